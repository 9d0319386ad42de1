"""Measure the rate of a stream from its stamps, and compare it with the nominal one."""

from __future__ import annotations

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

UNSTEADY = 0.1
"""If unsteady stamps contradict the nominal rate by no more than this, it is right: samples are
lost."""

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


def _periods_s(stamps_s: F64, n_parts: int = 4) -> F64:
    """Return the mean period of each part, by a straight line through its stamps."""
    parts = np.array_split(stamps_s, n_parts)
    return np.array([np.polyfit(np.arange(p.size), p - p[0], 1)[0] for p in parts])
