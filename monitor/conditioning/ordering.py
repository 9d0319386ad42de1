"""Puts samples into time order: repeats dropped, late ones counted, gaps waited for."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from monitor.types import F32, F64

REORDER_WAIT_S = 0.5
"""How long, on the source's clock, a gap stays open for samples that overtook each other.

Contiguous samples never wait. Bluetooth stacks deliver a delayed packet within a few connection
intervals (7.5 ms to 4 s, Bluetooth Core 5.4, Vol 6 B 4.5.1; headbands use tens of milliseconds).
"""

DUPLICATE_PERIODS = 0.5
"""Two samples closer than this many sample periods are the same sample."""

GAP_PERIODS = 1.5
"""Two neighbours further apart than this many sample periods have a gap between them."""


class Arrival(IntEnum):
    """What became of a sample when it arrived."""

    IN_ORDER = 0
    REORDERED = 1
    DUPLICATE = 2
    LATE = 3
    INVALID = 4


@dataclass(frozen=True, slots=True, eq=False)
class OrderedSamples:
    """Samples whose place is settled, strictly rising in time, and the fate of all that arrived.

    - ``times_s`` float64 (n,), ``data_uv`` float32 (n_channels, n).
    - ``arrivals`` int8 (m,): an `Arrival` for each sample handed in, in order of arrival;
      ``newest_s`` float64 (m,): the newest time seen when it came.
    """

    times_s: F64
    data_uv: F32
    arrivals: npt.NDArray[np.int8]
    newest_s: F64


class SampleOrderer:
    """Settles the order of samples by their timestamps, the same however they are cut into chunks.

    A sample is settled once it follows its predecessor without a gap, or once samples newer than
    the gap's start by more than ``REORDER_WAIT_S`` have arrived.
    """

    def __init__(self, n_channels: int, sfreq_hz: float, after_s: float = -np.inf) -> None:
        """``after_s``: everything up to here is settled, as when a night is taken up again."""
        self._period_s = 1.0 / sfreq_hz
        self._frontier_s = after_s
        self._newest_s = -np.inf
        self._silent_until_s = np.nan  # where the frontier was told by the clock, not by a sample
        self._waiting_times: F64 = np.empty(0)
        self._waiting_data: F32 = np.empty((n_channels, 0), np.float32)
        # Gaps given up on: a sample that still turns up in one is late, any other is a repeat.
        self._passed_gaps: deque[tuple[float, float]] = deque(maxlen=256)

    def push(self, data_uv: F32, times_s: F64) -> OrderedSamples:
        """Take samples as they arrive: ``data_uv`` (n_channels, n), ``times_s`` (n,)."""
        valid = np.isfinite(times_s) & np.isfinite(data_uv).all(axis=0)
        seen_s = max(self._newest_s, self._frontier_s)
        newest_s = np.maximum.accumulate(
            np.concatenate([[seen_s], np.where(valid, times_s, -np.inf)])
        )[1:]
        arrivals = np.where(valid, Arrival.IN_ORDER, Arrival.INVALID).astype(np.int8)
        if not valid.all():
            data_uv, times_s = data_uv[:, valid], times_s[valid]
        steps = np.diff(times_s, prepend=seen_s)
        if bool(np.all(steps > DUPLICATE_PERIODS * self._period_s)):
            settled = self._settle(times_s, data_uv)
        else:
            settled, fates = self._settle_one_by_one(times_s, data_uv)
            arrivals[valid] = fates
        return OrderedSamples(*settled, arrivals, newest_s)

    def advance(self, now_s: float) -> tuple[OrderedSamples, float]:
        """The source's clock stands at ``now_s``, whatever samples came: settle what waits behind
        gaps that are old enough. Returns it, and the time before which any sample is late now."""
        settled = self._settle(np.empty(0), self._waiting_data[:, :0], now_s)
        closed_s = now_s - REORDER_WAIT_S
        if not self._waiting_times.size and -np.inf < self._frontier_s < closed_s:
            self._pass_gap(self._frontier_s, closed_s)
            self._silent_until_s = self._frontier_s = closed_s
        return OrderedSamples(*settled, np.empty(0, np.int8), np.empty(0)), self._frontier_s

    def finish(self) -> OrderedSamples:
        """Settle what still waits behind a gap: nothing more will come."""
        settled = self._settle(np.empty(0), self._waiting_data[:, :0], np.inf)
        return OrderedSamples(*settled, np.empty(0, np.int8), np.empty(0))

    def _settle(self, times_s: F64, data_uv: F32, now_s: float = -np.inf) -> tuple[F64, F32]:
        """Append samples newer than all seen before; return those whose place is now settled."""
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
        # Told the time in mid-gap, the same gap goes on.
        if start_s == self._silent_until_s:
            start_s, _ = self._passed_gaps.pop()
        self._passed_gaps.append((start_s, end_s))

    def _settle_one_by_one(
        self, times_s: F64, data_uv: F32
    ) -> tuple[tuple[F64, F32], npt.NDArray[np.int8]]:
        """The same, sample by sample, for input that is not in order."""
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
        near = np.append(self._waiting_times, self._frontier_s)
        return bool(np.min(np.abs(near - time_s)) <= half_s)
