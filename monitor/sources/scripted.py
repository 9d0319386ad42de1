"""A live source for tests: it plays a given signal and fails as its script says.

It is for authors of sources and of apps. It needs no device and, with a `ManualClock`, no waiting:
see ``tests/sources/test_scripted.py`` for a whole night with a stall.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.clock import Timeline
from monitor.errors import InputError
from monitor.sources.live import Device, LiveSource
from monitor.types import F32, F64, Bool, EegChunk

_TOLERANCE = 1e-3
"""Part of a sample period; unix seconds as floats are rounded by 1e-4 of a period at most."""


@dataclass(frozen=True, slots=True)
class Stall:
    """No sample arrives from ``from_s`` to ``to_s``.

    The samples of this time are lost or, if ``late``, all arrive at ``to_s``.
    """

    from_s: float
    to_s: float
    late: bool = False


@dataclass(frozen=True, slots=True)
class ClockJump:
    """The device's clock is set at ``at_s``, and the source does not notice it.

    From there on, the times of samples are ``by_s`` seconds later than they were taken, or earlier
    if it is negative.
    """

    at_s: float
    by_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """The device is switched off for good at ``at_s``."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """`poll` raises ``error`` from ``at_s`` on.

    An `InputError` never ends. Any other error ends when the source is opened anew: only a source
    that was opened before ``at_s`` raises it.
    """

    at_s: float
    error: Exception


ScriptStep = Stall | ClockJump | Stop | Failure


class ScriptedSource(LiveSource):
    """A headband that plays ``signal_uv`` (n_channels, n) in real time on ``timeline``.

    - All times of the script are seconds since ``begin_s``, the time of the first sample on the
      timeline; None: now.
    - If the monitor opens the source again, give every source the same ``begin_s``. Samples that
      were taken before a source was opened are lost to it.
    - A sample arrives in the first poll after it was taken. After the last one nothing arrives.
    - ``clock_offset_s`` is what the source reports.
    """

    def __init__(
        self,
        timeline: Timeline,
        signal_uv: F32,
        sfreq_hz: float,
        channels: tuple[str, ...],
        script: Sequence[ScriptStep] = (),
        *,
        begin_s: float | None = None,
        clock_offset_s: float | None = None,
    ) -> None:
        self._timeline = timeline
        self._signal_uv = signal_uv
        self._found = Device("scripted headband", channels, sfreq_hz)
        self._script = tuple(script)
        self._begin_s = timeline.now_s() if begin_s is None else begin_s
        self._clock_offset_s = clock_offset_s
        self._opened_s = self._now_s()
        self._next = self._taken_before(self._opened_s)
        self._device: Device | None = None
        self._status = f"waiting for the {self._found.name}"

    @property
    def device(self) -> Device | None:
        return self._device

    @property
    def clock_offset_s(self) -> float | None:
        return self._clock_offset_s

    @property
    def status(self) -> str:
        return self._status

    def poll(self) -> list[EegChunk]:
        now_s = self._now_s()
        self._fail(now_s)
        first, self._next = self._next, max(self._next, self._taken_before(self._reach_s(now_s)))
        index = np.arange(first, self._next)
        index = index[~self._lost(index / self._found.sfreq_hz)]
        if not index.size:
            self._status = f"waiting for the {self._found.name}"
            return []
        self._device, self._status = self._found, "streaming"
        taken_s = index / self._found.sfreq_hz
        times_s = self._begin_s + taken_s + self._jumps_s(taken_s)
        data_uv = self._signal_uv[:, index]
        return [EegChunk(data_uv, times_s, self._found.channels, self._found.sfreq_hz)]

    def close(self) -> None:
        """Do nothing: there is no device to release."""

    def _now_s(self) -> float:
        return self._timeline.now_s() - self._begin_s

    def _taken_before(self, time_s: float) -> int:
        """Return how many samples were taken before ``time_s``."""
        n = math.ceil(time_s * self._found.sfreq_hz - _TOLERANCE)
        return int(min(max(0, n), self._signal_uv.shape[1]))

    def _reach_s(self, now_s: float) -> float:
        """Return the time up to which samples have arrived."""
        reach_s = now_s
        for step in self._script:
            if isinstance(step, Stop):
                reach_s = min(reach_s, step.at_s)
            elif isinstance(step, Stall) and step.late and step.from_s <= now_s < step.to_s:
                reach_s = min(reach_s, step.from_s)
        return reach_s

    def _lost(self, taken_s: F64) -> Bool:
        """Return True for each of the samples (n,) that never arrives."""
        lost = np.zeros(taken_s.size, np.bool_)
        for step in self._script:
            if isinstance(step, Stall) and not step.late:
                lost |= (taken_s >= step.from_s) & (taken_s < step.to_s)
        return lost

    def _jumps_s(self, taken_s: F64) -> F64:
        """Return by how much the time of each sample (n,) is wrong."""
        jumps_s = np.zeros(taken_s.size)
        for step in self._script:
            if isinstance(step, ClockJump):
                jumps_s[taken_s >= step.at_s] += step.by_s
        return jumps_s

    def _fail(self, now_s: float) -> None:
        for step in self._script:
            if isinstance(step, Failure) and now_s >= step.at_s:
                for_ever = isinstance(step.error, InputError)
                if for_ever or self._opened_s < step.at_s:
                    raise step.error
