"""Noise has the stated power, band and shape, and the same seed gives the same noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import welch

from offline_training.evaluation.noise import (
    NoiseKind,
    amplitude_uv,
    noise,
    signal_power_uv2,
)
from tests.signals import pink_noise_uv


def made(
    kind: NoiseKind, sfreq_hz: float = 256.0, seed: int = 0, minutes: float = 10
) -> np.ndarray:
    n_samples = round(minutes * 60 * sfreq_hz)
    return noise(kind, n_samples, sfreq_hz, np.random.default_rng(seed)).astype(np.float64)


def share(uv: np.ndarray, sfreq_hz: float, low_hz: float, high_hz: float) -> float:
    """Return the share of the power between two frequencies."""
    freqs_hz, power = welch(uv, sfreq_hz, nperseg=round(8 * sfreq_hz))
    return float(power[(freqs_hz >= low_hz) & (freqs_hz <= high_hz)].sum() / power.sum())


@pytest.mark.parametrize("kind", NoiseKind)
@pytest.mark.parametrize("sfreq_hz", [100.0, 256.0])
def test_the_ratio_is_the_requested_one(kind: NoiseKind, sfreq_hz: float) -> None:
    clean = pink_noise_uv(round(600 * sfreq_hz), rms_uv=30.0)[0]
    power = signal_power_uv2(clean, sfreq_hz)
    for snr_db in (20.0, -5.0):
        added = amplitude_uv(power, snr_db) * made(kind, sfreq_hz)
        assert 10 * np.log10(power / np.mean(added**2)) == pytest.approx(snr_db, abs=0.01)


def test_signal_power_is_that_of_the_median_epoch_from_half_to_30_hz() -> None:
    time_s = np.arange(30_000) / 100.0
    amplitude = np.repeat([10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 500.0, 500.0, 10.0, 10.0], 3000)
    inside = amplitude * np.sin(2 * np.pi * 10.0 * time_s)
    outside = 40.0 * np.sin(2 * np.pi * 45.0 * time_s)
    power = signal_power_uv2((inside + outside).astype(np.float32), 100.0)
    assert power == pytest.approx(10.0**2 / 2, rel=0.02)


def test_the_same_seed_gives_the_same_noise() -> None:
    for kind in NoiseKind:
        assert (made(kind, minutes=1) == made(kind, minutes=1)).all()
        assert (made(kind, minutes=1) != made(kind, seed=1, minutes=1)).any()


def test_white_is_even_and_pink_falls_by_half_an_octave() -> None:
    white, pink = made(NoiseKind.WHITE), made(NoiseKind.PINK)
    assert share(white, 256, 0, 25) == pytest.approx(0.5, abs=0.03)
    assert share(white, 256, 51, 128) < 0.01
    octaves = [share(pink, 256, low_hz, 2 * low_hz) for low_hz in (2, 4, 8, 16)]
    assert max(octaves) / min(octaves) < 1.15  # Every octave holds the same power.


def test_mains_is_at_50_hz_and_its_harmonics() -> None:
    hum = made(NoiseKind.MAINS)
    assert share(hum, 256, 49, 51) == pytest.approx(0.8, abs=0.01)  # The powers are 1 to 1/4.
    assert share(hum, 256, 99, 101) == pytest.approx(0.2, abs=0.01)
    assert np.mean(made(NoiseKind.MAINS, 100.0) ** 2) == pytest.approx(1)  # Half the sampling rate.


def test_muscle_comes_in_bursts_between_20_and_45_hz() -> None:
    muscle = made(NoiseKind.MUSCLE)
    assert share(muscle, 256, 19, 46) > 0.95
    power = (muscle**2).reshape(-1, 128).mean(axis=1)  # (half seconds,)
    assert 0.6 < np.mean(power < 1e-6) < 0.95 and power.max() > 3


def test_pops_jump_and_decay() -> None:
    pops = made(NoiseKind.POPS)
    steps = np.flatnonzero(np.abs(np.diff(pops)) > 0.2 * np.abs(pops).max())
    assert 5 < steps.size < 60  # Four a minute; small ones are not counted.
    after = np.abs(pops[steps[0] + 1 : steps[0] + 100])
    assert (np.diff(after) < 0).all()
