"""Resampling of any source rate to the exact 100 Hz grid, by a causal filter."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract import Gain
from monitor.conditioning.conditioner import Conditioner
from monitor.conditioning.grid import GridResampler, delay_s
from monitor.errors import InputError
from monitor.types import Montage
from tests.signals import START, chunk, condition, pink_noise_uv

TONE_HZ = 10.0


def tone_uv(times_s: np.ndarray, freq_hz: float = TONE_HZ) -> np.ndarray:
    return (50.0 * np.sin(2.0 * np.pi * freq_hz * times_s)).astype(np.float32)[None]


def resample(times_s: np.ndarray, data_uv: np.ndarray, sfreq_hz: float) -> np.ndarray:
    return GridResampler(1, sfreq_hz, 0.0).push(data_uv, times_s).data_uv[0]


@pytest.mark.parametrize("sfreq_hz", [80.0, 100.0, 125.0, 128.0, 200.0, 256.0, 500.0, 1000.0])
def test_a_tone_passes_unchanged_apart_from_the_stated_delay(sfreq_hz: float) -> None:
    times_s = np.arange(round(20 * sfreq_hz)) / sfreq_hz
    out = resample(times_s, tone_uv(times_s), sfreq_hz)
    grid_s = np.arange(out.size) / 100.0
    expected = tone_uv(grid_s - delay_s())[0]
    settled = grid_s > 1.0
    assert np.abs(out - expected)[settled].max() < 0.5  # 1 % of 50 uV


def test_a_source_that_runs_fast_stays_on_the_grid_all_night() -> None:
    """256.05 Hz instead of 256: without timestamps the grid would end 5.6 s off after 8 h."""
    true_hz, nominal_hz, night_s = 256.05, 256.0, 8 * 3600
    resampler = GridResampler(1, nominal_hz, 0.0)
    minute = round(60 * true_hz)
    for start in range(0, round(night_s * true_hz), minute):
        times_s = np.arange(start, start + minute) / true_hz
        block = resampler.push(tone_uv(times_s), times_s)
    grid_s = (block.first + np.arange(block.provenance.size)) / 100.0
    assert grid_s[-1] > night_s - 60
    assert np.abs(block.data_uv[0] - tone_uv(grid_s - delay_s())[0]).max() < 0.5


def test_mains_and_frequencies_that_would_alias_are_attenuated_by_60_db() -> None:
    times_s = np.arange(256 * 20) / 256.0
    for freq_hz in (50.0, 60.0, 80.0, 110.0):
        out = resample(times_s, tone_uv(times_s, freq_hz), 256.0)
        assert np.abs(out[100:]).max() < 50.0 * 2e-3


def test_a_constant_passes_exactly() -> None:
    times_s = np.arange(1000) / 256.05
    out = resample(times_s, np.full((1, 1000), 37.0, np.float32), 256.0)
    np.testing.assert_allclose(out, 37.0, rtol=1e-12)


def test_output_never_depends_on_later_samples() -> None:
    times_s = np.arange(2560) / 256.0
    data = pink_noise_uv(2560)
    changed = data.copy()
    changed[0, 1280:] = 999.0
    a, b = resample(times_s, data, 256.0), resample(times_s, changed, 256.0)
    first_changed = int(np.flatnonzero(a != b)[0])
    assert first_changed / 100.0 >= times_s[1280]


def test_the_last_epoch_completes_at_any_rate() -> None:
    """At 80 Hz the last sample comes before the epoch's last grid point, which it completes."""
    for sfreq_hz in (80.0, 100.0, 256.0):
        n_samples = round(60 * sfreq_hz)
        times_s = np.arange(n_samples) / sfreq_hz
        assert len(condition([chunk(pink_noise_uv(n_samples), times_s, sfreq_hz)])) == 2


def test_a_rate_below_80_hz_is_refused() -> None:
    with pytest.raises(InputError, match="64 Hz; staging needs at least 80 Hz"):
        Conditioner(Montage.of_one("EEG"), 64.0, 0.0, START, Gain.KNOWN)
