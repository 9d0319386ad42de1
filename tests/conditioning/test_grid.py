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


@pytest.mark.parametrize("sfreq_hz", [80.0, 100.0, 125.0, 128.0, 250.0, 256.0, 257.3, 300.0, 512.0])
@pytest.mark.parametrize("origin_s", [0.0, 10.01])
def test_points_that_are_filtered_together_have_the_same_bits(
    sfreq_hz: float, origin_s: float
) -> None:
    n = round(60 * sfreq_hz)
    data_uv = np.random.default_rng(3).normal(0.0, 50.0, (2, n)).astype(np.float32)
    times_s = np.arange(n) / sfreq_hz
    times_s[n // 2] += 0.1 / sfreq_hz  # a sample is late: its cycle is not like the others
    together = GridResampler(2, sfreq_hz, origin_s).push(data_uv, times_s).data_uv
    cut = GridResampler(2, sfreq_hz, origin_s)
    # Five samples are too few cycles at any of these rates.
    pieces = [cut.push(data_uv[:, i : i + 5], times_s[i : i + 5]).data_uv for i in range(0, n, 5)]
    one_by_one = np.concatenate(pieces, axis=1)
    np.testing.assert_array_equal(together.view(np.int64), one_by_one.view(np.int64))


def test_at_a_steady_rate_whole_cycles_are_filtered_together() -> None:
    n_points: list[int] = []

    class Counted(GridResampler):
        def _weigh_cycles(self, samples, newest, phase, out):  # type: ignore[no-untyped-def]
            n_points.append(out.shape[1])
            super()._weigh_cycles(samples, newest, phase, out)

    times_s = np.arange(256 * 600) / 256.0
    block = Counted(1, 256.0, 0.0).push(np.zeros((1, times_s.size), np.float32), times_s)
    assert sum(n_points) > 0.99 * block.data_uv.shape[1]
