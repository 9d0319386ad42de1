"""How many samples a second a stream has, from what it says and from how they are stamped."""

from __future__ import annotations

import numpy as np

from monitor.types import F64

MEASURE_S = 3.0
"""The rate is measured over this, and over twice as long if it has no name or contradicts it."""

USUAL_RATES_HZ = (
    *(100.0, 125.0, 128.0, 200.0, 220.0, 250.0, 256.0, 300.0, 500.0, 512.0, 600.0),
    *(1000.0, 1024.0, 2000.0, 2048.0),
)


def settled_rate_hz(stamps_s: F64, nominal_hz: float) -> float | None:
    """The rate to work with, or None while the stamps are too few to tell."""
    known_s = stamps_s[np.isfinite(stamps_s)]
    span_s = known_s[-1] - known_s[0] if known_s.size else 0.0
    period_s = _period_s(known_s) if span_s >= MEASURE_S and known_s.size >= 16 else 0.0
    if period_s <= 0.0:
        # A sender that gives no times cannot contradict its rate.
        return nominal_hz if nominal_hz and stamps_s.size > 4 * MEASURE_S * nominal_hz else None
    measured_hz = 1.0 / period_s
    if nominal_hz and abs(measured_hz / nominal_hz - 1.0) <= 0.02:
        return nominal_hz
    if span_s < 2 * MEASURE_S:
        return None
    usual_hz = min(USUAL_RATES_HZ, key=lambda usual: abs(measured_hz / usual - 1.0))
    return usual_hz if abs(measured_hz / usual_hz - 1.0) <= 0.01 else round(measured_hz, 2)


def _period_s(stamps_s: F64) -> float:
    """From sample to sample; the median of four parts, so that a gap in one does not count."""
    parts = np.array_split(stamps_s, 4)
    return float(np.median([np.polyfit(np.arange(p.size), p - p[0], 1)[0] for p in parts]))
