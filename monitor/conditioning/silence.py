"""Notices when samples stop and when they come again, from their times alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from monitor.types import EegChunk, SignalState

SILENCE_S = 5.0
"""No sample for so long: the signal is lost. Headbands deliver several times a second; a Bluetooth
link that has not recovered after a few supervision timeouts (0.1 to 32 s) seldom does by itself."""


@dataclass(frozen=True, slots=True)
class SignalChange:
    """The signal was LOST or RESTORED at ``time_s``, on the source's clock."""

    state: SignalState
    time_s: float


class SilenceWatch:
    """Cuts chunks where the signal went and came.

    The same changes come out whether a gap was lived through, chunk by chunk with the time told,
    or only shows in the times of recorded samples.
    """

    def __init__(self, last_s: float | None = None) -> None:
        """``last_s``: silence counts from here, even if no sample ever came."""
        self._last_s = last_s
        self._heard = False
        self._lost = False

    @property
    def last_s(self) -> float | None:
        """When the newest sample was taken; None before any."""
        return self._last_s if self._heard else None

    def split(self, chunk: EegChunk) -> Iterator[EegChunk | SignalChange]:
        """The chunk in pieces, in order, with the changes between them."""
        start = 0
        times_s = np.where(np.isfinite(chunk.times_s), chunk.times_s, np.nan)
        newest_s = np.fmax.accumulate(
            np.concatenate([[-np.inf if self._last_s is None else self._last_s], times_s])
        )
        after_silence = times_s - newest_s[:-1] >= SILENCE_S
        if self._lost:
            # The first sample that is not late says that the source is back.
            after_silence[np.flatnonzero(times_s > newest_s[:-1])[:1]] = True
        for index in np.flatnonzero(after_silence & np.isfinite(newest_s[:-1])):
            if index > start:
                yield _piece(chunk, start, int(index))
            lost_s = float(newest_s[index]) + SILENCE_S
            restored_s = max(float(chunk.times_s[index]), lost_s)
            if not self._lost:
                yield _silence(chunk, lost_s)
                yield SignalChange(SignalState.LOST, lost_s)
            yield _silence(chunk, restored_s)
            yield SignalChange(SignalState.RESTORED, restored_s)
            self._lost = False
            start = int(index)
        if np.isfinite(newest_s[-1]):
            self._last_s = float(newest_s[-1])
        self._heard |= bool(np.isfinite(times_s).any())
        if start < chunk.times_s.size:
            yield _piece(chunk, start, chunk.times_s.size)
        if chunk.reached_s is None or self._last_s is None:
            return
        lost_s = self._last_s + SILENCE_S
        if not self._lost and chunk.reached_s >= lost_s:
            yield _silence(chunk, lost_s)
            yield SignalChange(SignalState.LOST, lost_s)
            self._lost = True
        yield _silence(chunk, chunk.reached_s)


def _piece(chunk: EegChunk, start: int, stop: int) -> EegChunk:
    return replace(
        chunk,
        data_uv=chunk.data_uv[:, start:stop],
        times_s=chunk.times_s[start:stop],
        reached_s=None,
    )


def _silence(chunk: EegChunk, reached_s: float) -> EegChunk:
    return replace(
        chunk, data_uv=chunk.data_uv[:, :0], times_s=chunk.times_s[:0], reached_s=reached_s
    )
