"""Judge the signal of an epoch. Every threshold is here, with its source.

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
"""An epoch is scored while at most this much of it is missing or flat, and at most this much
missing or too high. AASM Manual: an epoch is scored by what fills most of it, and cannot be scored
if more than half is obscured."""

FLAT_STD_UV = 1.0
"""A second with a smaller standard deviation is flat (practice of Muse home recordings). With
unknown gain only a constant second is flat."""

RAIL_UV = 900.0
"""A sample further than this from the median is railed (Muse home recordings). A sample that stays
at the epoch's extreme value is railed at any gain: the converter or amplifier is at its limit."""

MAX_RAILED_FRACTION = 0.2
"""An epoch with more railed samples than this is unscored (Muse home recordings)."""

HIGH_AMPLITUDE_UV = 500.0
"""A second with a larger peak-to-peak amplitude is not brain activity. The measurements from which
the default weights learned leave such epochs out."""

MAX_MAINS_FRACTION = 0.995
"""Share of the power at 50 or 60 Hz. Conditioning attenuates mains by 60 dB, so hum does no harm:
muselsl recordings from a worn Muse reach 0.988 and are staged correctly. An electrode that records
practically nothing else is off the head (our choice)."""

NOISE_SLOPE = -0.15
"""Slope of log power over log frequency, 1 to 35 Hz. An electrode that touches nothing records the
noise of its amplifier, which is white: slope 0 (30-s epochs of it: -0.02, s.d. 0.04). The power of
EEG falls with frequency, least for a tense face: of 292 derived epochs of a Muse on people awake
(muselsl recordings) the flattest had -0.23, of the excerpt's 167 epochs of sleep -0.85."""

POOR_MISSING_FRACTION = 0.1
"""A scored epoch with more than this missing is still reported as a poor signal (our choice)."""

WINDOW_S = 1.0
"""Length of the windows in which an epoch is judged as flat or too high."""


def judge(conditioned_uv: F32, raw_uv: F32, sfreq_hz: float, gain: Gain) -> Quality:
    """Judge one channel of an epoch.

    ``conditioned_uv`` is (3000,) at 100 Hz, NaN where lost. ``raw_uv`` (n,) are the source's
    samples of the same 30 s at ``sfreq_hz``. With unknown gain, absolute thresholds do not apply.
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
    # Missing signal is as useless as flat or too high signal: it counts with each of them.
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
    """Return ``quality`` with the reasons that its electrodes and its spectrum add.

    ``quality`` is that of the derived signal, ``derived_uv`` (3000,) the conditioned signal, NaN
    where lost. The difference of a dead electrode and a live one looks alive, so the electrodes are
    judged too. Only a derivation must have the spectrum of EEG: a single electrode near a muscle
    need not.
    """
    dead = [each.reason for each in electrodes if each.reason in (Reason.FLAT, Reason.RAILED)]
    reason = quality.reason or next(iter(dead), None)
    if reason is None and spectral_slope(derived_uv) > NOISE_SLOPE:
        reason = Reason.NOISE
    return replace(quality, reason=reason)


def spectral_slope(conditioned_uv: F32) -> float:
    """Return the slope of log power over log frequency from 1 to 35 Hz.

    ``conditioned_uv`` is (n,) at 100 Hz; NaN where lost, which is left out.
    """
    seen = conditioned_uv[~np.isnan(conditioned_uv)].astype(np.float64)
    freqs_hz, power = power_spectrum(seen, SFREQ_HZ)
    band = (freqs_hz >= 1.0) & (freqs_hz <= 35.0)
    log_hz, log_power = np.log(freqs_hz[band]), np.log(np.maximum(power[band], 1e-30))
    centred = log_hz - log_hz.mean()
    return float(centred @ log_power / (centred @ centred))


def signal_state(quality: Quality) -> SignalState:
    """Return GOOD or POOR for the signal in an epoch of this quality."""
    if quality.reason is not None or quality.missing_fraction > POOR_MISSING_FRACTION:
        return SignalState.POOR
    return SignalState.GOOD


def _windows(signal: F64, length: int) -> F64:
    """Return the whole windows of ``length`` samples, (n_windows, length).

    A signal shorter than one window is returned as one short window.
    """
    n_windows = signal.size // length
    if not n_windows:
        return signal[None, :]
    return signal[: n_windows * length].reshape(n_windows, length)


def _railed(raw_uv: F64, absolute: bool) -> Bool:
    """Return True for each sample (n,) that is railed."""
    highest, lowest = raw_uv.max(), raw_uv.min()
    extreme = (raw_uv == highest) | (raw_uv == lowest)
    stays = np.zeros(raw_uv.size, np.bool_)
    stays[1:] = raw_uv[1:] == raw_uv[:-1]
    railed: Bool = extreme & stays
    # In a smaller span no sample is that far from the median, which takes long to find.
    if absolute and highest - lowest > RAIL_UV:
        railed |= np.abs(raw_uv - np.median(raw_uv)) > RAIL_UV
    return railed


def _mains_fraction(raw_uv: F64, sfreq_hz: float) -> float | None:
    """Return the share of the power from 0.5 Hz on that lies within 1 Hz of 50 or of 60 Hz.

    It is the larger of the two shares. None if the rate is below 104 Hz, too low to show 50 Hz, or
    if there are less than 2 s.
    """
    candidates_hz = [f for f in (50.0, 60.0) if f + 2.0 <= sfreq_hz / 2.0]
    if not candidates_hz or raw_uv.size < 2.0 * sfreq_hz:
        return None
    freqs_hz, power = power_spectrum(raw_uv, sfreq_hz)
    total = float(power[freqs_hz >= 0.5].sum())
    if total == 0.0:
        return None
    return max(float(power[np.abs(freqs_hz - f) <= 1.0].sum()) for f in candidates_hz) / total
