"""Resample any rate from 80 Hz up to exactly 100 Hz on the session's grid, by one causal filter.

Each grid point is a weighted sum of the source samples in the 0.18 s before it. The weights are a
Kaiser-windowed sinc, evaluated at the samples' true times: it removes what would alias, converts
the rate and applies the fractional delay in one step. The times decide where a sample belongs, so
that a source that runs fast or slow stays on the grid all night.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from models.contract import LOWPASS_HZ, SFREQ_HZ
from monitor.conditioning.ordering import GAP_PERIODS
from monitor.types import F32, F64, Bool

MAX_FILL_S = 0.1
"""A gap up to this long is filled by a straight line; a longer one is lost. It covers about two
packets of a Bluetooth headband."""

TRANSITION_HZ = 20.0
STOPBAND_DB = 60.0
"""The filter around `LOWPASS_HZ`, its -6 dB point: flat to 30 Hz, -60 dB from 50 Hz on."""

N_PHASES = 512
"""Fractional delays in the filter's table: 1/512 of a sample period is 8 us at 256 Hz."""

IN_CACHE = 8192
"""Grid points that are filtered together, so that their data fit a core's cache."""

MAX_CYCLE = 100
MIN_CYCLES = 8
"""At a steady rate the delays repeat after a cycle of grid points: of 25 at 256 Hz. At least
`MIN_CYCLES` cycles of at most `MAX_CYCLE` points are filtered together, which is faster."""

TIME_TOLERANCE_S = 1e-6
"""Times closer than this are equal; floating-point seconds carry an error below 1e-9 s."""


class SampleProvenance(IntEnum):
    """The samples that a grid point was made from.

    RECEIVED: samples that were measured. FILLED: a straight line over a short gap. LOST: none.
    """

    RECEIVED = 0
    FILLED = 1
    LOST = 2


@dataclass(frozen=True, slots=True, eq=False)
class GridBlock:
    """Consecutive points of the 100 Hz grid.

    - ``first``: the index of the first point; the grid origin is point 0.
    - ``data_uv``: float64 (n_channels, n); 0 uV where lost.
    - ``provenance``: int8 (n,) of `SampleProvenance`.
    """

    first: int
    data_uv: F64
    provenance: npt.NDArray[np.int8]


class GridResampler:
    """Resamples ordered samples onto the grid ``origin_s + k / 100``.

    - The output is the same, bit for bit, however the input is cut.
    - It lags the input by the filter's constant group delay (`delay_s`, 90 ms) and never depends on
      later samples.
    """

    def __init__(
        self, n_channels: int, sfreq_hz: float, origin_s: float, first: int | None = None
    ) -> None:
        """``first`` is the grid point to begin with, which is lost if no sample comes for it.

        None: begin with the first point that a sample reaches, or with point 0 if that is earlier.
        """
        self._sfreq_hz = sfreq_hz
        self._origin_s = origin_s
        self._weights = _tabulate_kernel(sfreq_hz)  # (n_taps, N_PHASES + 1)
        self._n_taps = self._weights.shape[0]
        self._cycle = _cycle(sfreq_hz)
        self._next = first
        # The newest samples since the last loss; the last of them is at _last_s.
        self._history: F64 = np.zeros((n_channels, self._n_taps))
        self._last_s = -np.inf
        self._last_filled = False

    def push(self, data_uv: F32, times_s: F64) -> GridBlock:
        """Add settled samples (n_channels, n) with times (n,); return the points they complete."""
        if not times_s.size:
            return self._empty()
        if self._next is None:
            first = np.ceil((times_s[0] - self._origin_s - TIME_TOLERANCE_S) * SFREQ_HZ)
            self._next = min(0, int(first))
        steps = np.diff(times_s, prepend=self._last_s)
        breaks = np.flatnonzero(steps > MAX_FILL_S)
        blocks = []
        for start, stop in _pieces(breaks, times_s.size):
            if start in breaks:
                blocks.append(self._restart(data_uv[:, start], float(times_s[start])))
                start += 1
            if start < stop:
                blocks.append(self._extend(data_uv[:, start:stop], times_s[start:stop]))
        return _joined(blocks)

    def skip(self, until_s: float) -> GridBlock:
        """Return the points lost so far, given that no sample will come before ``until_s``.

        These are the points of a gap longer than `MAX_FILL_S`. They would be lost anyway once the
        next sample comes.
        """
        if self._next is None or until_s - self._last_s <= MAX_FILL_S:
            return self._empty()
        return self._lose(until_s)

    def finish(self) -> GridBlock:
        """Return the points within the period of the last sample: no more samples will come."""
        if not np.isfinite(self._last_s):
            return self._empty()
        # A grid point at the very end of the period would belong to a next sample. The sum below
        # is one tolerance short of the end, since `_sample` adds one.
        until_s = self._last_s + 1.0 / self._sfreq_hz - 2.0 * TIME_TOLERANCE_S
        times, filled = np.array([self._last_s]), np.array([self._last_filled])
        return self._sample(self._history, times, filled, until_s)

    def _restart(self, sample_uv: F32, time_s: float) -> GridBlock:
        """Begin anew after a long gap, as if the first sample had lasted for ever before."""
        assert self._next is not None
        self._history = np.repeat(sample_uv[:, None].astype(np.float64), self._n_taps, axis=1)
        self._last_s, self._last_filled = time_s, False
        lost = self._lose(time_s)
        return _joined([lost, self._sample(self._history, np.array([time_s]), np.array([False]))])

    def _lose(self, until_s: float) -> GridBlock:
        """Return the points from the next one up to ``until_s`` (exclusive) as lost."""
        assert self._next is not None
        first = self._next
        before = (until_s - self._origin_s - TIME_TOLERANCE_S) * SFREQ_HZ
        n_lost = max(0, int(np.ceil(before)) - first)
        self._next = first + n_lost
        zeros = np.zeros((self._history.shape[0], n_lost))
        return GridBlock(first, zeros, np.full(n_lost, SampleProvenance.LOST, np.int8))

    def _extend(self, data_uv: F32, times_s: F64) -> GridBlock:
        """Filter samples that follow those before with short gaps at most."""
        times = np.concatenate([[self._last_s], times_s])
        data = np.concatenate([self._history[:, -1:], data_uv], axis=1)  # (n_channels, 1 + n)
        filled = np.zeros(times.size, np.bool_)
        filled[0] = self._last_filled
        if np.any(np.diff(times) > GAP_PERIODS / self._sfreq_hz):
            times, data, filled = self._fill(times, data, filled)
        samples = np.concatenate([self._history[:, :-1], data], axis=1)
        block = self._sample(samples, times, filled)
        self._history = samples[:, -self._n_taps :]
        self._last_s, self._last_filled = float(times[-1]), bool(filled[-1])
        return block

    def _fill(self, times: F64, data: F64, filled: Bool) -> tuple[F64, F64, Bool]:
        """Insert samples on a straight line into gaps; ``filled`` marks the inserted ones."""
        steps = np.diff(times) * self._sfreq_hz
        n_missing = np.where(steps > GAP_PERIODS, np.rint(steps) - 1, 0).astype(np.int64)
        positions = np.arange(times.size) + np.concatenate([[0], np.cumsum(n_missing)])
        everywhere = np.arange(positions[-1] + 1)
        is_filled = np.ones(everywhere.size, np.bool_)
        is_filled[positions] = filled
        return (
            np.interp(everywhere, positions, times),
            np.stack([np.interp(everywhere, positions, channel) for channel in data]),
            is_filled,
        )

    def _sample(
        self, samples: F64, times: F64, filled: Bool, until_s: float | None = None
    ) -> GridBlock:
        """Filter at every grid point up to ``until_s`` (None: the last of ``times``).

        ``samples`` is (n_channels, n_taps - 1 + n): the history before the first of ``times`` (n,),
        then the samples at ``times``.
        """
        assert self._next is not None
        first = self._next
        last_s = times[-1] if until_s is None else until_s
        reach = (last_s - self._origin_s + TIME_TOLERANCE_S) * SFREQ_HZ
        stop = max(first, int(np.floor(reach)) + 1)
        grid_s = self._origin_s + np.arange(first, stop) / SFREQ_HZ
        index = self._last_before(times, grid_s + TIME_TOLERANCE_S)
        before_s = times[index]
        steps = times.take(index + 1, mode="clip") - before_s
        # After the last sample, and before the first one by a rounding error.
        steps[(index < 0) | (index == times.size - 1)] = 1.0 / self._sfreq_hz
        fraction = np.clip((grid_s - before_s) / steps, 0.0, 1.0)
        phase = np.rint(fraction * N_PHASES).astype(np.int64)
        newest = index + self._n_taps - 1
        out = np.zeros((samples.shape[0], grid_s.size))
        n_points, _ = self._cycle
        n_together = max(1, IN_CACHE // n_points) * n_points
        for start in range(0, grid_s.size, n_together):
            part = slice(start, start + n_together)
            self._weigh(samples, newest[part], phase[part], out[:, part])
        self._next = stop
        made_from = np.where(filled[index], SampleProvenance.FILLED, SampleProvenance.RECEIVED)
        return GridBlock(first, out, made_from.astype(np.int8))

    def _last_before(self, times: F64, at_s: F64) -> npt.NDArray[np.int64]:
        """Return the index of the last of ``times`` at or before each of ``at_s``; -1: none.

        At a steady rate the place can be computed and checked, which is faster than a search.
        """
        guess: npt.NDArray[np.int64] = ((at_s - times[0]) * self._sfreq_hz).astype(np.int64)
        inside = guess.size and guess[0] >= 0 and guess[-1] < times.size - 1
        if inside and np.all((times[guess] <= at_s) & (at_s < times[guess + 1])):
            return guess
        found: npt.NDArray[np.int64] = np.searchsorted(times, at_s, side="right") - 1
        return found

    def _weigh(
        self, samples: F64, newest: npt.NDArray[np.int64], phase: npt.NDArray[np.int64], out: F64
    ) -> None:
        """Add to ``out`` (n_channels, n) the weighted sum of the samples before each grid point.

        ``newest`` (n,) is the place in ``samples`` of the last sample before each point, ``phase``
        (n,) its delay. The sum goes tap by tap, here and in `_weigh_cycles`, so that the order of
        additions never depends on how the input was cut.
        """
        n_points, _ = self._cycle
        n_cyclic = newest.size // n_points * n_points
        if n_cyclic >= MIN_CYCLES * n_points and _repeats(
            newest[:n_cyclic], phase[:n_cyclic], self._cycle
        ):
            self._weigh_cycles(samples, newest[:n_points], phase[:n_points], out[:, :n_cyclic])
            newest, phase, out = newest[n_cyclic:], phase[n_cyclic:], out[:, n_cyclic:]
        if newest.size:
            for tap in range(self._n_taps):
                out += self._weights[tap].take(phase) * samples.take(newest - tap, axis=1)

    def _weigh_cycles(
        self, samples: F64, newest: npt.NDArray[np.int64], phase: npt.NDArray[np.int64], out: F64
    ) -> None:
        """Fill ``out`` as `_weigh` does, if the delays of the first cycle repeat in all others.

        Point k of all cycles is one row, and so is sample k: a tap multiplies whole rows, without a
        weight and a sample to look up for each point. ``newest`` and ``phase`` are (n_points,).
        """
        n_points, n_samples = self._cycle
        n_cycles = out.shape[1] // n_points
        first = int(newest[0]) - self._n_taps + 1
        assert first >= 0
        rows = newest - first  # (n_points,)
        weights = self._weights[:, phase, np.newaxis]  # (n_taps, n_points, 1)
        product = np.empty((n_points, n_cycles))
        for channel_uv, out_uv in zip(samples, out, strict=True):
            windows = sliding_window_view(channel_uv[first:], int(rows[-1]) + 1)
            # (rows[-1] + 1, n_cycles)
            by_row = windows[: n_cycles * n_samples : n_samples].T.copy()
            total = np.zeros((n_points, n_cycles))
            for tap in range(self._n_taps):
                by_row.take(rows - tap, axis=0, out=product, mode="clip")
                product *= weights[tap]
                total += product
            out_uv[:] = total.T.ravel()

    def _empty(self) -> GridBlock:
        return GridBlock(self._next or 0, self._history[:, :0], np.empty(0, np.int8))


def _cycle(sfreq_hz: float) -> tuple[int, int]:
    """Return after how many grid points and samples the delays repeat; (1, 0) if they do not."""
    ratio = Fraction(sfreq_hz / SFREQ_HZ).limit_denominator(MAX_CYCLE)
    if abs(float(ratio) * SFREQ_HZ - sfreq_hz) > 1e-9:
        return 1, 0
    return ratio.denominator, ratio.numerator


def _repeats(
    newest: npt.NDArray[np.int64], phase: npt.NDArray[np.int64], cycle: tuple[int, int]
) -> bool:
    """Return True if the delays repeat from cycle to cycle: no sample is early, late or lost."""
    n_points, n_samples = cycle
    return (
        n_samples > 0
        and bool(np.all(phase[n_points:] == phase[:-n_points]))
        and bool(np.all(newest[n_points:] - newest[:-n_points] == n_samples))
    )


def _pieces(breaks: npt.NDArray[np.int64], n_samples: int) -> list[tuple[int, int]]:
    """Return (start, stop) of the pieces of ``n_samples`` between ``breaks``."""
    edges = [0, *(int(b) for b in breaks if b > 0), n_samples]
    return list(itertools.pairwise(edges))


def _joined(blocks: list[GridBlock]) -> GridBlock:
    return GridBlock(
        blocks[0].first,
        np.concatenate([block.data_uv for block in blocks], axis=1),
        np.concatenate([block.provenance for block in blocks]),
    )


def delay_s() -> float:
    """Return the filter's group delay: half its length, the same at every frequency and rate."""
    # Kaiser's estimate of the order of a windowed-sinc filter (Oppenheim & Schafer, 7.76).
    taps_at_grid = (STOPBAND_DB - 8.0) / (2.285 * 2.0 * np.pi * TRANSITION_HZ / SFREQ_HZ)
    return float(taps_at_grid / SFREQ_HZ / 2.0)


def _tabulate_kernel(sfreq_hz: float) -> F64:
    """Return the filter's weights (n_taps, N_PHASES + 1).

    Tap j at phase p weighs the sample that lies (j + p / N_PHASES) periods before the grid point.
    The weights of each phase sum to 1, so that a constant passes exactly.
    """
    cutoff_hz = min(LOWPASS_HZ, sfreq_hz / 2.0 - TRANSITION_HZ / 2.0)
    half_s = delay_s()
    n_taps = int(np.ceil(2.0 * half_s * sfreq_hz)) + 1
    phases = np.arange(N_PHASES + 1) / N_PHASES
    lag_s = (np.arange(n_taps)[:, None] + phases[None, :]) / sfreq_hz  # (n_taps, N_PHASES + 1)
    centred = (lag_s - half_s) / half_s
    inside = np.abs(centred) <= 1.0
    beta = 0.1102 * (STOPBAND_DB - 8.7)  # Kaiser's, from 50 dB on (Oppenheim & Schafer, 7.75)
    window = np.i0(beta * np.sqrt(np.where(inside, 1.0 - centred**2, 0.0)))
    weights = np.where(inside, np.sinc(2.0 * cutoff_hz * (lag_s - half_s)) * window, 0.0)
    return np.asarray(weights / weights.sum(axis=0), dtype=np.float64)
