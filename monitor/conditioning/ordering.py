"""Put samples in the order of their times: drop repeats, count late ones, wait in gaps."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from monitor.types import F32, F64

REORDER_WAIT_S = 0.5
"""Time on the source's clock for which a gap stays open for samples that were overtaken.

Samples without a gap never wait. Bluetooth delivers a delayed packet within a few connection
intervals (7.5 ms to 4 s, Bluetooth Core 5.4, Vol 6 B 4.5.1; headbands use tens of milliseconds).
"""

DUPLICATE_PERIODS = 0.5
"""Two samples closer than this many sample periods are the same sample."""

GAP_PERIODS = 1.5
"""Two neighbours further apart than this many sample periods have a gap between them."""

_MAX_PASSED_GAPS = 256
"""Number of gaps that are remembered; a sample for an older gap counts as a repeat."""


class Arrival(IntEnum):
    """The fate of a sample when it arrives."""

    IN_ORDER = 0
    REORDERED = 1
    DUPLICATE = 2
    LATE = 3
    INVALID = 4


@dataclass(frozen=True, slots=True, eq=False)
class OrderedSamples:
    """Samples whose place is settled, and the fates of all that arrived.

    - ``times_s`` float64 (n,), strictly rising; ``data_uv`` float32 (n_channels, n).
    - ``arrivals`` int8 (m,): an `Arrival` for each sample that arrived, in order of arrival.
    - ``newest_s`` float64 (m,): the newest time seen when each of them arrived.
    """

    times_s: F64
    data_uv: F32
    arrivals: npt.NDArray[np.int8]
    newest_s: F64


class SampleOrderer:
    """Settles the order of samples by their times, however they are cut into chunks.

    A sample is settled once it follows its predecessor without a gap, or once the time is more than
    `REORDER_WAIT_S` after the start of the gap before it.
    """

    def __init__(self, n_channels: int, sfreq_hz: float, after_s: float = -np.inf) -> None:
        """``after_s``: where a continued night begins; samples up to here are not used again."""
        self._period_s = 1.0 / sfreq_hz
        self._frontier_s = after_s  # everything up to here is settled
        self._newest_s = -np.inf
        # The frontier if a reported time moved it there; NaN if a sample did.
        self._silent_until_s = np.nan
        self._waiting_times: F64 = np.empty(0)
        self._waiting_data: F32 = np.empty((n_channels, 0), np.float32)
        # Gaps that were closed without their samples. A sample that still arrives for one is late;
        # any other sample before the frontier is a repeat.
        self._passed_gaps: deque[tuple[float, float]] = deque(maxlen=_MAX_PASSED_GAPS)

    def push(self, data_uv: F32, times_s: F64) -> OrderedSamples:
        """Add samples as they arrive, ``data_uv`` (n_channels, n) and ``times_s`` (n,).

        A sample is invalid if its time or any of its channels is not finite.
        """
        valid = np.isfinite(times_s) & np.isfinite(data_uv).all(axis=0)
        seen_s = max(self._newest_s, self._frontier_s)
        arrivals = np.where(valid, Arrival.IN_ORDER, Arrival.INVALID).astype(np.int8)
        newest_s = times_s
        if not (all_valid := bool(valid.all())):
            newest_s = np.where(valid, times_s, -np.inf)
            data_uv, times_s = data_uv[:, valid], times_s[valid]
        steps = np.diff(times_s, prepend=seen_s)
        in_order = bool(np.all(steps > DUPLICATE_PERIODS * self._period_s))
        if not (all_valid and in_order):  # in order, each sample is the newest when it arrives
            newest_s = np.maximum.accumulate(np.concatenate([[seen_s], newest_s]))[1:]
        if in_order:
            settled = self._settle(times_s, data_uv)
        else:
            settled, fates = self._settle_one_by_one(times_s, data_uv)
            arrivals[valid] = fates
        return OrderedSamples(*settled, arrivals, newest_s)

    def advance(self, now_s: float) -> tuple[OrderedSamples, float]:
        """Settle samples behind gaps that are old enough at ``now_s``, on the source's clock.

        Returns them, and the time before which every sample is late from now on.
        """
        settled = self._settle(np.empty(0), self._waiting_data[:, :0], now_s)
        closed_s = now_s - REORDER_WAIT_S
        if not self._waiting_times.size and -np.inf < self._frontier_s < closed_s:
            self._pass_gap(self._frontier_s, closed_s)
            self._silent_until_s = self._frontier_s = closed_s
        return OrderedSamples(*settled, np.empty(0, np.int8), np.empty(0)), self._frontier_s

    def finish(self) -> OrderedSamples:
        """Settle all samples that wait behind a gap: no more will arrive."""
        settled = self._settle(np.empty(0), self._waiting_data[:, :0], np.inf)
        return OrderedSamples(*settled, np.empty(0, np.int8), np.empty(0))

    def _settle(self, times_s: F64, data_uv: F32, now_s: float = -np.inf) -> tuple[F64, F32]:
        """Append samples newer than all before; return those whose place is now settled."""
        if times_s.size:
            self._newest_s = float(times_s[-1])
        now_s = max(now_s, self._newest_s)
        if self._waiting_times.size:
            times_s = np.concatenate([self._waiting_times, times_s])
            data_uv = np.concatenate([self._waiting_data, data_uv], axis=1)
        before = np.concatenate([[self._frontier_s], times_s[:-1]]) if times_s.size else times_s
        gap = (times_s - before > GAP_PERIODS * self._period_s) & np.isfinite(before)
        open_gaps = np.flatnonzero(gap & (now_s - before <= REORDER_WAIT_S))
        n_settled = int(open_gaps[0]) if open_gaps.size else times_s.size
        for index in np.flatnonzero(gap[:n_settled]):
            self._pass_gap(float(before[index]), float(times_s[index]))
        if n_settled:
            self._frontier_s = float(times_s[n_settled - 1])
        self._waiting_times = times_s[n_settled:]
        self._waiting_data = data_uv[:, n_settled:]
        return times_s[:n_settled], data_uv[:, :n_settled]

    def _pass_gap(self, start_s: float, end_s: float) -> None:
        """Remember a gap that closes without its samples."""
        # If the source reported the time during a gap, the same gap continues here: extend it.
        if start_s == self._silent_until_s:
            start_s, _ = self._passed_gaps.pop()
        self._passed_gaps.append((start_s, end_s))

    def _settle_one_by_one(
        self, times_s: F64, data_uv: F32
    ) -> tuple[tuple[F64, F32], npt.NDArray[np.int8]]:
        """Settle samples that are not in order; return those settled, and the fates of all."""
        half_s = DUPLICATE_PERIODS * self._period_s
        fates = np.zeros(times_s.size, np.int8)
        settled: list[tuple[F64, F32]] = []
        for n, time_s in enumerate(times_s.tolist()):
            if time_s <= self._frontier_s:
                late = any(a + half_s < time_s < b - half_s for a, b in self._passed_gaps)
                fates[n] = Arrival.LATE if late else Arrival.DUPLICATE
            elif time_s - self._newest_s > half_s:
                settled.append(self._settle(times_s[n : n + 1], data_uv[:, n : n + 1]))
            elif self._is_taken(time_s, half_s):
                fates[n] = Arrival.DUPLICATE
            else:
                fates[n] = Arrival.REORDERED
                place = bisect_left(self._waiting_times, time_s)
                self._waiting_times = np.insert(self._waiting_times, place, time_s)
                self._waiting_data = np.insert(self._waiting_data, place, data_uv[:, n], axis=1)
                settled.append(self._settle(times_s[:0], data_uv[:, :0]))
        if not settled:
            return (times_s[:0], data_uv[:, :0]), fates
        times = np.concatenate([part[0] for part in settled])
        return (times, np.concatenate([part[1] for part in settled], axis=1)), fates

    def _is_taken(self, time_s: float, half_s: float) -> bool:
        """Return True if a waiting sample, or the last settled one, has this time."""
        near = np.append(self._waiting_times, self._frontier_s)
        return bool(np.min(np.abs(near - time_s)) <= half_s)
