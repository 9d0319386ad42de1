"""Detect when samples stop and when they come again, from their times alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.types import F64, EegChunk, SignalState

SILENCE_S = 5.0
"""Without a sample for this long, the signal is lost. Headbands deliver several times a second; a
Bluetooth link that has not recovered after a few supervision timeouts (0.1 to 32 s) seldom does."""


@dataclass(frozen=True, slots=True)
class SignalChange:
    """The signal was LOST or RESTORED at ``time_s``, on the source's clock."""

    state: SignalState
    time_s: float


class SilenceWatch:
    """Cuts chunks where the signal was lost and where it was restored.

    The changes are the same for a live gap, in which chunks report the time (``reached_s``), and
    for a gap that shows only in the times of recorded samples.
    """

    def __init__(self, last_s: float | None = None) -> None:
        """``last_s``: silence counts from this time on; None: from the first sample on."""
        self._last_s = last_s
        self._any_sample = False
        self._lost = False

    @property
    def last_s(self) -> float | None:
        """The time of the newest sample; None before any."""
        return self._last_s if self._any_sample else None

    def split(self, chunk: EegChunk) -> Iterator[EegChunk | SignalChange]:
        """Yield the chunk in pieces, in order, with the changes between them."""
        start = 0
        times_s = np.where(np.isfinite(chunk.times_s), chunk.times_s, np.nan)
        # The newest time before each sample and, at the end, after all of them: (n + 1,).
        newest_s = np.fmax.accumulate(
            np.concatenate([[-np.inf if self._last_s is None else self._last_s], times_s])
        )
        for index in self._ends_of_silence(times_s, newest_s[:-1]):
            if index > start:
                yield _piece(chunk, start, int(index))
            lost_s = float(newest_s[index]) + SILENCE_S
            # A backlog has times before the loss. The signal cannot return before it was lost.
            restored_s = max(float(chunk.times_s[index]), lost_s)
            if not self._lost:
                yield chunk.without_samples(lost_s)
                yield SignalChange(SignalState.LOST, lost_s)
            yield chunk.without_samples(restored_s)
            yield SignalChange(SignalState.RESTORED, restored_s)
            self._lost = False
            start = int(index)
        if np.isfinite(newest_s[-1]):
            self._last_s = float(newest_s[-1])
        self._any_sample |= bool(np.isfinite(times_s).any())
        if start < chunk.times_s.size:
            yield _piece(chunk, start, chunk.times_s.size)
        if chunk.reached_s is not None and self._last_s is not None:
            yield from self._reach(chunk, chunk.reached_s, self._last_s + SILENCE_S)

    def _ends_of_silence(self, times_s: F64, newest_s: F64) -> npt.NDArray[np.intp]:
        """Return the indices of samples (n,) that end a silence; NaN is a sample without a time."""
        after_silence = times_s - newest_s >= SILENCE_S
        if self._lost:
            # The first sample that is not late shows that the source is back.
            after_silence[np.flatnonzero(times_s > newest_s)[:1]] = True
        return np.flatnonzero(after_silence & np.isfinite(newest_s))

    def _reach(
        self, chunk: EegChunk, reached_s: float, lost_s: float
    ) -> Iterator[EegChunk | SignalChange]:
        """Yield the time that ``chunk`` reports after its samples, and the loss that it shows."""
        if not self._lost and reached_s >= lost_s:
            yield chunk.without_samples(lost_s)
            yield SignalChange(SignalState.LOST, lost_s)
            self._lost = True
        yield chunk.without_samples(reached_s)


def _piece(chunk: EegChunk, start: int, stop: int) -> EegChunk:
    return replace(
        chunk,
        data_uv=chunk.data_uv[:, start:stop],
        times_s=chunk.times_s[start:stop],
        reached_s=None,
    )
