"""Judges an epoch's signal. Every threshold stands here, with its source.

Flat, railed and mains are judged on the source's own samples: conditioning would hide them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from models.contract import SFREQ_HZ, Gain
from monitor.conditioning.spectrum import power_spectrum
from monitor.types import (
    F32,
    F64,
    Bool,
    Quality,
    Reason,
    SignalState,
)

MAX_USELESS_FRACTION = 0.5
"""An epoch is scored while at most this much of it is missing and flat, or missing and too high
(AASM Manual: an epoch is scored by what fills most of it; more than half obscured cannot be)."""

FLAT_STD_UV = 1.0
"""A second with a standard deviation below this is flat (practice of Muse home recordings). With
unknown gain only a constant second is."""

RAIL_UV = 900.0
"""Further than this from its median a sample is railed (Muse home recordings). A sample that stays
on the epoch's extreme value is railed at any gain: the converter or amplifier is at its limit."""

MAX_RAILED_FRACTION = 0.2
"""More than a fifth of the epoch railed (Muse home recordings)."""

HIGH_AMPLITUDE_UV = 500.0
"""A second with more than this peak to peak is not brain activity; the measurements that the
default weights learned from leave such epochs out."""

MAX_MAINS_FRACTION = 0.995
"""Share of the power at 50 or 60 Hz. The conditioning removes mains by 60 dB, so hum is harmless:
recordings of muselsl from a worn Muse reach 0.988 and are staged rightly. An electrode that picks
up practically nothing else is off the head (our choice)."""

NOISE_SLOPE = -0.15
"""Log power over log frequency, 1 to 35 Hz. An electrode that touches nothing gives the noise of
its amplifier, white: slope 0 (30-s epochs of it: -0.02, s.d. 0.04). The power of EEG falls with
frequency, of a tense face least: of 292 derived epochs of a Muse on people awake
(muselsl recordings) the flattest had -0.23, of the excerpt's 167 epochs of sleep -0.85."""

POOR_MISSING_FRACTION = 0.1
"""A scored epoch with more than this missing is still reported as a poor signal (our choice)."""

WINDOW_S = 1.0


def judge(conditioned_uv: F32, raw_uv: F32, sfreq_hz: float, gain: Gain) -> Quality:
    """Quality of one channel's epoch.

    ``conditioned_uv`` (3000,) at 100 Hz, NaN where lost; ``raw_uv`` (n,) the source's samples of
    the same 30 s at ``sfreq_hz``.
    """
    seen = conditioned_uv[~np.isnan(conditioned_uv)].astype(np.float64)
    missing = 1.0 - seen.size / conditioned_uv.size
    absolute = gain is Gain.KNOWN
    flat = railed = high = 0.0
    mains: float | None = None
    if raw_uv.size:
        raw = raw_uv.astype(np.float64)
        windows = _windows(raw, round(WINDOW_S * sfreq_hz))
        limit = FLAT_STD_UV if absolute else 0.0
        flat = float(np.mean((np.ptp(windows, axis=1) == 0.0) | (windows.std(axis=1) < limit)))
        railed = float(np.mean(_railed(raw, absolute)))
        mains = _mains_fraction(raw, sfreq_hz)
    if seen.size and absolute:
        spans = np.ptp(_windows(seen, round(WINDOW_S * SFREQ_HZ)), axis=1)
        high = float(np.mean(spans > HIGH_AMPLITUDE_UV))
    # What is missing cannot be judged, and is of no more use than what is flat or too high.
    verdicts = {
        Reason.MISSING: missing > MAX_USELESS_FRACTION,
        Reason.FLAT: missing + (1.0 - missing) * flat > MAX_USELESS_FRACTION,
        Reason.RAILED: railed > MAX_RAILED_FRACTION,
        Reason.MAINS: mains is not None and mains > MAX_MAINS_FRACTION,
        Reason.AMPLITUDE: missing + (1.0 - missing) * high > MAX_USELESS_FRACTION,
    }
    return Quality(
        reason=next((reason for reason, holds in verdicts.items() if holds), None),
        std_uv=float(seen.std()) if seen.size else 0.0,
        peak_to_peak_uv=float(np.ptp(seen)) if seen.size else 0.0,
        flat_fraction=flat,
        railed_fraction=railed,
        high_amplitude_fraction=high,
        mains_fraction=mains,
        missing_fraction=missing,
    )


def judge_derivation(quality: Quality, electrodes: Iterable[Quality], derived_uv: F32) -> Quality:
    """``quality`` of a derivation, as its electrodes and its spectrum allow.

    The difference of a dead electrode and a live one looks alive: it is the live one. And what is
    to be staged must look like EEG; a single electrode near a muscle need not. ``derived_uv``
    (3000,) is conditioned, NaN where lost.
    """
    dead = [each.reason for each in electrodes if each.reason in (Reason.FLAT, Reason.RAILED)]
    reason = quality.reason or next(iter(dead), None)
    if reason is None and spectral_slope(derived_uv) > NOISE_SLOPE:
        reason = Reason.NOISE
    return replace(quality, reason=reason)


def spectral_slope(conditioned_uv: F32) -> float:
    """Slope of log power over log frequency from 1 to 35 Hz of what was seen, (n,) at 100 Hz."""
    seen = conditioned_uv[~np.isnan(conditioned_uv)].astype(np.float64)
    freqs_hz, power = power_spectrum(seen, SFREQ_HZ)
    band = (freqs_hz >= 1.0) & (freqs_hz <= 35.0)
    log_hz, log_power = np.log(freqs_hz[band]), np.log(np.maximum(power[band], 1e-30))
    centred = log_hz - log_hz.mean()
    return float(centred @ log_power / (centred @ centred))


def signal_state(quality: Quality) -> SignalState:
    """What an epoch of this quality says about the source: GOOD or POOR."""
    if quality.reason is not None or quality.missing_fraction > POOR_MISSING_FRACTION:
        return SignalState.POOR
    return SignalState.GOOD


def _windows(signal: F64, length: int) -> F64:
    """Whole windows of ``length`` samples, (n_windows, length); one short one if that is all."""
    n_windows = signal.size // length
    if not n_windows:
        return signal[None, :]
    return signal[: n_windows * length].reshape(n_windows, length)


def _railed(raw_uv: F64, absolute: bool) -> Bool:
    extreme = (raw_uv == raw_uv.max()) | (raw_uv == raw_uv.min())
    stays = np.zeros(raw_uv.size, np.bool_)
    stays[1:] = raw_uv[1:] == raw_uv[:-1]
    railed: Bool = extreme & stays
    if absolute:
        railed |= np.abs(raw_uv - np.median(raw_uv)) > RAIL_UV
    return railed


def _mains_fraction(raw_uv: F64, sfreq_hz: float) -> float | None:
    """Power within 1 Hz of 50 or 60 Hz over all power from 0.5 Hz; None below 104 Hz, where
    50 Hz cannot be seen."""
    candidates_hz = [f for f in (50.0, 60.0) if f + 2.0 <= sfreq_hz / 2.0]
    if not candidates_hz or raw_uv.size < 2.0 * sfreq_hz:
        return None
    freqs_hz, power = power_spectrum(raw_uv, sfreq_hz)
    total = float(power[freqs_hz >= 0.5].sum())
    if total == 0.0:
        return None
    return max(float(power[np.abs(freqs_hz - f) <= 1.0].sum()) for f in candidates_hz) / total
