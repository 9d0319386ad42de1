"""The power spectrum, compared with scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import welch

from monitor.conditioning.spectrum import power_spectrum


@pytest.mark.parametrize(
    ("n", "sfreq_hz"), [(3000, 100.0), (7681, 256.013), (3333, 111.1), (150, 100.0), (151, 100.0)]
)
def test_it_equals_scipys_welch(n: int, sfreq_hz: float) -> None:
    signal = np.random.default_rng(n).normal(5.0, 20.0, n).cumsum()
    freqs_hz, power = power_spectrum(signal, sfreq_hz)
    expected_hz, expected = welch(signal, sfreq_hz, nperseg=min(n, round(4.0 * sfreq_hz)))
    np.testing.assert_allclose(freqs_hz, expected_hz)
    np.testing.assert_allclose(power, expected, rtol=1e-9, atol=1e-12 * expected.max())


def test_a_sine_has_its_power_at_its_frequency() -> None:
    sine_uv = 10.0 * np.sin(2 * np.pi * 10.0 * np.arange(3000) / 100.0)
    freqs_hz, power = power_spectrum(sine_uv, 100.0)
    assert freqs_hz[power.argmax()] == 10.0
    assert power.sum() * freqs_hz[1] == pytest.approx(50.0, rel=1e-3)  # 10^2 / 2
