"""Surrogate EEG: measured band powers and kurtosis, reproducible samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import periodogram
from scipy.stats import kurtosis

from models.bandpower import log_band_power
from models.contract import SFREQ_HZ
from monitor.errors import InputError
from offline_training.data.bandpowers import in_microvolts, load_nights
from offline_training.data.surrogates import TIMEDOMAIN_FILE, surrogate_recordings, synthesise
from tests.offline_training.data.measured import write_data, write_timedomain

N2_AND_W = np.array([[5.05, 3.2, 2.4, 2.1, 1.6], [4.0, 2.6, 3.4, 1.9, 2.8]])
"""ln uV^2, close to those of a real N2 and a real W epoch."""


def test_band_powers_match_the_request() -> None:
    wanted = np.repeat(N2_AND_W, 20, axis=0)
    epochs = synthesise(wanted, np.zeros(40), np.random.default_rng(0))
    assert epochs.shape == (40, 3000) and epochs.dtype == np.float32
    got = log_band_power(torch.from_numpy(epochs)).numpy()
    assert np.abs((got - wanted).mean(axis=0)).max() < 0.05
    assert np.abs(got - wanted).max() < 0.5


def test_kurtosis_follows_the_request() -> None:
    powers = np.repeat(N2_AND_W[:1], 60, axis=0)
    found = [
        np.median(kurtosis(synthesise(powers, np.full(60, k), np.random.default_rng(1)), axis=1))
        for k in (0.0, 1.0, 4.0)
    ]
    assert abs(found[0]) < 0.25
    assert found[0] + 0.3 < found[1] < found[2] - 0.5


def test_no_power_is_left_above_the_low_pass() -> None:
    epochs = synthesise(N2_AND_W, np.zeros(2), np.random.default_rng(2))
    frequency_hz, density = periodogram(epochs, SFREQ_HZ)
    assert density[:, frequency_hz > 45].max() < 1e-3 * density.max()


def test_a_stretch_is_reproducible_and_shares_no_samples_with_another(tmp_path: Path) -> None:
    write_data(tmp_path, subjects=2)
    write_timedomain(tmp_path, 240)
    nights = in_microvolts(load_nights(tmp_path), tmp_path)
    night = surrogate_recordings(nights, tmp_path, seed=3)[1]
    first = night.epochs_uv(4, 8)
    np.testing.assert_array_equal(night.epochs_uv(4, 8), first)
    assert first.shape == (4, 3000) and not np.allclose(night.epochs_uv(4, 7), first[:3])
    other = surrogate_recordings(nights, tmp_path, seed=4)[1]
    assert not np.allclose(other.epochs_uv(4, 8), first)
    assert night.subject == surrogate_recordings(nights, tmp_path, seed=3)[0].subject
    assert np.isfinite(night.kurtosis).all()
    assert not night.usable[-1] and not night.epochs_uv(58, 60)[1].any()


def test_errors_name_missing_and_unmatched_files(tmp_path: Path) -> None:
    write_data(tmp_path, subjects=2)
    nights = in_microvolts(load_nights(tmp_path), tmp_path)
    with pytest.raises(InputError, match=TIMEDOMAIN_FILE):
        surrogate_recordings(nights, tmp_path, seed=0)
    write_timedomain(tmp_path, 239)
    with pytest.raises(InputError, match="do not belong together"):
        surrogate_recordings(nights, tmp_path, seed=0)
