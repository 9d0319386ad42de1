"""Band powers and spectrogram: equal to scipy's, and invariant to polarity, offset and gain."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

from models.bandpower import BANDS_HZ, band_features, log_band_power
from models.contract import SFREQ_HZ, SpectrogramSpec
from models.spectrogram import log_spectrogram


@pytest.fixture
def epochs_uv() -> torch.Tensor:
    noise = np.random.default_rng(0).normal(size=(4, 3000))
    return torch.tensor(20 * np.cumsum(noise, axis=1) / 30 + 5 * noise, dtype=torch.float32)


def test_band_powers_equal_scipys(epochs_uv: torch.Tensor) -> None:
    frequencies_hz, density = scipy.signal.welch(
        epochs_uv.numpy().astype(np.float64),
        SFREQ_HZ,
        window="hamming",
        nperseg=400,
        average="median",
    )
    bands = []
    for _, low_hz, high_hz in BANDS_HZ:
        inside = (frequencies_hz >= low_hz) & (frequencies_hz <= high_hz)
        bands.append(np.trapezoid(density[:, inside], frequencies_hz[inside], axis=1))
    expected = np.log(np.stack(bands, axis=1))
    np.testing.assert_allclose(log_band_power(epochs_uv).numpy(), expected, atol=1e-4)


def test_the_power_of_a_sine_is_in_its_band() -> None:
    sine_uv = 10 * torch.sin(2 * torch.pi * 10 * torch.arange(3000) / SFREQ_HZ)
    power_uv2 = log_band_power(sine_uv.unsqueeze(0)).exp()[0]
    assert power_uv2.argmax() == 2  # alpha
    # The median of a constant is the constant; it is divided by the median's bias for noise, which
    # is 0.72 for 14 segments.
    assert power_uv2[2].item() == pytest.approx(50 / 0.7238, rel=0.02)


def test_polarity_and_offset_do_not_change_band_powers(epochs_uv: torch.Tensor) -> None:
    power = log_band_power(epochs_uv)
    assert torch.equal(log_band_power(-epochs_uv), power)
    torch.testing.assert_close(log_band_power(epochs_uv + 100), power, atol=1e-3, rtol=0)


def test_gain_shifts_all_log_powers_and_no_gain_free_feature(epochs_uv: torch.Tensor) -> None:
    power, doubled = log_band_power(epochs_uv), log_band_power(2 * epochs_uv)
    torch.testing.assert_close(doubled - power, torch.full_like(power, 2 * np.log(2)))
    torch.testing.assert_close(
        band_features(doubled, gain_free=True), band_features(power, gain_free=True)
    )
    assert band_features(power, gain_free=False)[:, 5:].sum(dim=1).numpy() == pytest.approx(1)


def test_the_features_of_a_flat_epoch_are_finite() -> None:
    flat = torch.zeros(1, 3000)
    assert log_band_power(flat).isfinite().all()
    assert log_spectrogram(flat, SpectrogramSpec()).isfinite().all()


def test_an_error_names_a_wrong_shape() -> None:
    with pytest.raises(ValueError, match="n_samples"):
        log_band_power(torch.zeros(3000))
    with pytest.raises(ValueError, match="3000"):
        log_spectrogram(torch.zeros(1, 2000), SpectrogramSpec())


def test_a_spectrogram_has_29_frames_of_128_bins_in_db(epochs_uv: torch.Tensor) -> None:
    spec = SpectrogramSpec()
    db = log_spectrogram(epochs_uv, spec)
    assert db.shape == (4, 29, 128)
    frame = epochs_uv[1, 700:900].double().numpy() * np.hamming(200)  # frame 7 starts at 7 s
    expected = 20 * np.log10(np.abs(np.fft.rfft(frame, 256))[1:] + spec.epsilon_uv)
    np.testing.assert_allclose(db[1, 7].numpy(), expected, atol=1e-2)
    assert torch.equal(log_spectrogram(-epochs_uv, spec), db)
