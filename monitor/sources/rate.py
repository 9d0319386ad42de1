"""Measure the rate of samples by their stamps, and notice if it is not the nominal one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.types import F64

MEASURE_S = 3.0
"""Length of stamps to measure the rate over. If the stream states no rate, or another one than was
measured, twice as long."""

STEADY = 0.015
"""The stamps are steady if the rates of their parts differ by less than this. Jitter of 10 ms makes
them differ by less; if 5 % of the packets are lost or come twice, they differ by more."""

SHORT_S, SHORT_RATE = 0.25, 0.01
"""Parts of `SHORT_S` mostly contain no loss: if the median of their rates is within `SHORT_RATE` of
the nominal rate, the nominal rate is right."""

BLOCK_S, BLOCK_PARTS = 6.0, 1000
"""Length of stamps that show a lower rate, and the most deliveries that a block may have."""

UNSTEADY = 0.1
"""If unsteady stamps contradict the nominal rate by no more than this, it is right: samples are
lost."""

OVERLAP_S = 0.25
"""If a delivery begins this much before the end of the one before, its stamps were computed by a
wrong rate: LSL counts the stamps of a chunk back from its last sample by the declared rate."""

AHEAD_S = 3.0
"""Times that run this far ahead of the stamps show that samples come faster than their rate says.
Clocks that are set differ by less (`stream_clock.STEP_S`)."""

USUAL_RATES_HZ = (
    *(100.0, 125.0, 128.0, 200.0, 220.0, 250.0, 256.0, 300.0, 500.0, 512.0, 600.0),
    *(1000.0, 1024.0, 2000.0, 2048.0),
)


def settled_rate_hz(stamps_s: F64, nominal_hz: float) -> float | None:
    """Return the rate of a stream with these first stamps (n,), or None to wait for more stamps.

    It is ``nominal_hz`` (0: the stream states none) if the stamps agree with it; else a usual rate
    within 1 % of the measured one, else the measured one.
    """
    known_s = stamps_s[np.isfinite(stamps_s)]
    span_s = known_s[-1] - known_s[0] if known_s.size else 0.0
    enough = span_s >= MEASURE_S and known_s.size >= 16
    periods_s = _periods_s(known_s) if enough else np.zeros(1)
    period_s = float(np.median(periods_s))  # the median, so that a gap in one part does not count
    if not enough and span_s > 0.0:
        return None  # At ten times the nominal rate, many samples come in little time.
    if period_s <= 0.0:
        # A sender without stamps cannot contradict its rate.
        return nominal_hz if nominal_hz and stamps_s.size > 4 * MEASURE_S * nominal_hz else None
    measured_hz = 1.0 / period_s
    if nominal_hz and abs(measured_hz / nominal_hz - 1.0) <= 0.02:
        return nominal_hz
    if span_s < 2 * MEASURE_S:
        return None
    short_s = np.median(_periods_s(known_s, min(int(span_s / SHORT_S), known_s.size // 4)))
    nominal_is_right = abs(float(short_s) * nominal_hz - 1.0) <= SHORT_RATE
    if nominal_is_right or np.ptp(periods_s) > STEADY * period_s:
        if span_s < 4 * MEASURE_S:
            return None
        if nominal_hz and abs(measured_hz / nominal_hz - 1.0) <= UNSTEADY:
            return nominal_hz
    usual_hz = min(USUAL_RATES_HZ, key=lambda usual: abs(measured_hz / usual - 1.0))
    return usual_hz if abs(measured_hz / usual_hz - 1.0) <= 0.01 else round(measured_hz, 2)


def comparable_stamps(deliveries: Sequence[F64]) -> F64:
    """Return the stamps (n,) of samples that came in ``deliveries``, to measure their rate by.

    If deliveries overlap, only the newest stamp of each is a time: it counts for all samples of its
    delivery. The first delivery, which began at an unknown time, is then left out.
    """
    whole_s = np.concatenate(deliveries)
    ends_s = [stamps_s[-1] for stamps_s in deliveries[:-1]]
    begins_s = [stamps_s[0] for stamps_s in deliveries[1:]]
    if not np.any(np.subtract(ends_s, begins_s) > OVERLAP_S):
        return whole_s
    return np.concatenate([np.full(each.size, each[-1]) for each in deliveries[1:]])


class RateWatch:
    """Watches the stamps of a stream for a lower rate than ``sfreq_hz``.

    Lost samples look like a lower rate, but not like a steady one. So a rate counts once two blocks
    of `BLOCK_S` show it, each of them steady (`STEADY`) and more than `UNSTEADY` below. A higher
    rate shows in `SampleClock.ahead_s`.
    """

    def __init__(self, sfreq_hz: float) -> None:
        self._sfreq_hz = sfreq_hz
        self._block: list[F64] = []
        self._slow_blocks = 0

    def is_slow(self, stamps_s: F64) -> bool:
        """Add ``stamps_s`` (n,); return True if samples come at a lower rate."""
        known_s = stamps_s[np.isfinite(stamps_s)]
        if not known_s.size:
            return False
        self._block.append(known_s)
        span_s = known_s[-1] - self._block[0][0]
        if 0.0 <= span_s < BLOCK_S and len(self._block) < BLOCK_PARTS:
            return False
        block_s, self._block = np.concatenate(self._block), []
        slow = block_s.size >= 16 and self._is_slow(block_s)
        self._slow_blocks = self._slow_blocks + 1 if slow else 0
        return self._slow_blocks >= 2

    def _is_slow(self, block_s: F64) -> bool:
        periods_s = _periods_s(block_s)
        period_s = float(np.median(periods_s))
        steady = bool(np.ptp(periods_s) <= STEADY * period_s)
        return steady and (1.0 - UNSTEADY) * self._sfreq_hz * period_s > 1.0


def _periods_s(stamps_s: F64, n_parts: int = 4) -> F64:
    """Return the mean period of each part, by a straight line through its stamps."""
    parts = np.array_split(stamps_s, n_parts)
    return np.array([np.polyfit(np.arange(p.size), p - p[0], 1)[0] for p in parts])
