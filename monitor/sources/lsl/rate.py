"""How many samples a second a stream has, from what it says and from how they are stamped."""

from __future__ import annotations

import numpy as np

from monitor.types import F64

MEASURE_S = 3.0
"""The rate is measured over this, and over twice as long if it has no name or contradicts it."""

STEADY = 0.015
"""Parts of the stamps are as fast as each other, within this, unless packets get lost or come twice
now and then: 5 % of them make the rates of parts differ by more, jitter of 10 ms by less."""

SHORT_S, SHORT_RATE = 0.25, 0.01
"""Parts so short mostly hold no loss: if their median is this close to what the stream says, the
stream is right."""

UNSTEADY = 0.1
"""A rate that unsteady stamps contradict by no more is right: they tell of loss."""

USUAL_RATES_HZ = (
    *(100.0, 125.0, 128.0, 200.0, 220.0, 250.0, 256.0, 300.0, 500.0, 512.0, 600.0),
    *(1000.0, 1024.0, 2000.0, 2048.0),
)


def settled_rate_hz(stamps_s: F64, nominal_hz: float) -> float | None:
    """The rate to work with, or None while the stamps are too few to tell."""
    known_s = stamps_s[np.isfinite(stamps_s)]
    span_s = known_s[-1] - known_s[0] if known_s.size else 0.0
    enough = span_s >= MEASURE_S and known_s.size >= 16
    periods_s = _periods_s(known_s) if enough else np.zeros(1)
    period_s = float(np.median(periods_s))  # so that a gap in one part does not count
    if period_s <= 0.0:
        # A sender that gives no times cannot contradict its rate.
        return nominal_hz if nominal_hz and stamps_s.size > 4 * MEASURE_S * nominal_hz else None
    measured_hz = 1.0 / period_s
    if nominal_hz and abs(measured_hz / nominal_hz - 1.0) <= 0.02:
        return nominal_hz
    if span_s < 2 * MEASURE_S:
        return None
    short_s = np.median(_periods_s(known_s, min(int(span_s / SHORT_S), known_s.size // 4)))
    right = abs(float(short_s) * nominal_hz - 1.0) <= SHORT_RATE
    if right or np.ptp(periods_s) > STEADY * period_s:
        if span_s < 4 * MEASURE_S:
            return None
        if nominal_hz and abs(measured_hz / nominal_hz - 1.0) <= UNSTEADY:
            return nominal_hz
    usual_hz = min(USUAL_RATES_HZ, key=lambda usual: abs(measured_hz / usual - 1.0))
    return usual_hz if abs(measured_hz / usual_hz - 1.0) <= 0.01 else round(measured_hz, 2)


def _periods_s(stamps_s: F64, n_parts: int = 4) -> F64:
    """From sample to sample, in each part."""
    parts = np.array_split(stamps_s, n_parts)
    return np.array([np.polyfit(np.arange(p.size), p - p[0], 1)[0] for p in parts])
