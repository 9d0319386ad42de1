"""Make noise that is typical of recordings, at a given signal-to-noise ratio.

    SNR in dB = 10 log10(P_signal / P_noise)

``P_signal`` is the power of the clean recording in the median 30-s epoch, from 0.5 to 30 Hz, the
band that stages depend on. It is one number per night, so that deep sleep gets as much noise as
light sleep. ``P_noise`` is the mean square of the noise over the whole recording, including quiet
stretches: bursts and pops are far above it while they last. EEGdenoiseNet also mixes x + lambda n
to a target ratio, but scales each segment alone (Zhang et al. 2021, doi:10.1088/1741-2552/ac2bf8).

Broadband noise ends at 50 Hz, so that a ratio has the same meaning at every sampling rate.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import welch
from scipy.signal.windows import tukey

from models.contract import EPOCH_S
from offline_training.arrays import F32, F64

SIGNAL_BAND_HZ = (0.5, 30.0)
BROADBAND_HZ = 50.0
MUSCLE_BAND_HZ = (20.0, 45.0)
"""Scalp EMG begins near 20 Hz and, over frontal sites, peaks between 20 and 30 Hz (Goncharova et
al. 2003, doi:10.1016/S1388-2457(03)00093-2). The monitor's low-pass removes power above 45 Hz."""

MAINS_HZ = 50.0
MAINS_WANDER_HZ = 0.02
"""The mains frequency is never exactly nominal. At 100 Hz sampling, exactly 50 Hz would be sampled
at the same phase each time, so its amplitude would depend on that phase alone."""


class NoiseKind(StrEnum):
    WHITE = "white"
    PINK = "pink"
    MAINS = "mains"
    MUSCLE = "muscle bursts"
    POPS = "electrode pops"


def signal_power_uv2(samples_uv: F32, sfreq_hz: float) -> float:
    """Return ``P_signal``, in uV^2, of a clean recording (n,) of at least one epoch."""
    length = round(EPOCH_S * sfreq_hz)
    epochs = samples_uv[: samples_uv.size // length * length].reshape(-1, length)
    freqs_hz, density = welch(epochs, sfreq_hz, nperseg=round(4 * sfreq_hz))
    low_hz, high_hz = SIGNAL_BAND_HZ
    inside = (freqs_hz >= low_hz) & (freqs_hz <= high_hz)
    return float(np.median(density[:, inside].sum(axis=1) * freqs_hz[1]))


def noise(kind: NoiseKind, n_samples: int, sfreq_hz: float, random: np.random.Generator) -> F32:
    """Make noise of ``kind``: float32 (n_samples,) with a mean square of 1."""
    made = _MAKERS[kind](n_samples, sfreq_hz, random)
    power = float(np.mean(made**2))
    unit: F32 = (made / np.sqrt(power or 1.0)).astype(np.float32)
    return unit


def amplitude_uv(power_uv2: float, snr_db: float) -> float:
    """Return the factor, in uV, that gives unit noise this ratio to a signal of ``power_uv2``."""
    return float(np.sqrt(power_uv2 / 10 ** (snr_db / 10)))


def _shaped(
    n: int, sfreq_hz: float, random: np.random.Generator, low_hz: float, high_hz: float, fall: float
) -> F64:
    """Make Gaussian noise between two frequencies; its power falls with 1 / f^``fall``."""
    length = next_fast_len(n, real=True)
    spectrum = rfft(random.standard_normal(length))
    freqs_hz = rfftfreq(length, 1 / sfreq_hz)
    spectrum[(freqs_hz < low_hz) | (freqs_hz > high_hz)] = 0
    inside = freqs_hz > 0
    spectrum[inside] /= freqs_hz[inside] ** (fall / 2)
    shaped: F64 = irfft(spectrum, length)[:n]
    return shaped


def _white(n: int, sfreq_hz: float, random: np.random.Generator) -> F64:
    return _shaped(n, sfreq_hz, random, 0.0, BROADBAND_HZ, fall=0)


def _pink(n: int, sfreq_hz: float, random: np.random.Generator) -> F64:
    return _shaped(n, sfreq_hz, random, SIGNAL_BAND_HZ[0], BROADBAND_HZ, fall=1)


def _mains(n: int, sfreq_hz: float, random: np.random.Generator) -> F64:
    """Make 50 Hz and its harmonics up to half the sampling rate; amplitude falls with the order.

    The frequency wanders by 0.02 Hz within 5 min.
    """
    time_s = np.arange(n) / sfreq_hz
    wander_s = 300.0
    start, drift = random.uniform(0, 2 * np.pi, 2)
    swing = MAINS_WANDER_HZ * wander_s * np.cos(2 * np.pi * time_s / wander_s + drift)
    phase = start + 2 * np.pi * MAINS_HZ * time_s + swing
    orders = range(1, max(1, int(sfreq_hz / 2 / MAINS_HZ)) + 1)
    hum: F64 = np.sum([np.sin(order * phase) / order for order in orders], axis=0)
    return hum


def _muscle(n: int, sfreq_hz: float, random: np.random.Generator) -> F64:
    """Make bursts of 0.5 to 5 s, on average 10 s apart."""
    envelope = np.zeros(n)
    at_s = random.exponential(10.0)
    while (start := round(at_s * sfreq_hz)) < n:
        lasts_s = random.uniform(0.5, 5.0)
        burst = tukey(round(lasts_s * sfreq_hz), 0.2)[: n - start]
        envelope[start : start + burst.size] = burst
        at_s += lasts_s + random.exponential(10.0)
    low_hz, high_hz = MUSCLE_BAND_HZ
    return envelope * _shaped(n, sfreq_hz, random, low_hz, high_hz, fall=0)


def _pops(n: int, sfreq_hz: float, random: np.random.Generator) -> F64:
    """Make steps up or down, four a minute on average, that decay to 1 / e within 0.1 to 1 s."""
    pops = np.zeros(n)
    for start in np.sort(random.integers(0, n, random.poisson(4 / 60 * n / sfreq_hz) + 1)):
        decay_s, step = random.uniform(0.1, 1.0), random.choice([-1.0, 1.0])
        tail_s = np.arange(min(n - start, round(10 * decay_s * sfreq_hz))) / sfreq_hz
        size = step * random.lognormal(0.0, 0.5)
        pops[start : start + tail_s.size] += size * np.exp(-tail_s / decay_s)
    return pops


_MAKERS: dict[NoiseKind, Callable[[int, float, np.random.Generator], F64]] = {
    NoiseKind.WHITE: _white,
    NoiseKind.PINK: _pink,
    NoiseKind.MAINS: _mains,
    NoiseKind.MUSCLE: _muscle,
    NoiseKind.POPS: _pops,
}
