"""Each distortion changes what it should, within its limits, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from offline_training.training import augment as a

BATCH = 64


@pytest.fixture
def epochs_uv() -> Tensor:
    return 20 * torch.randn(BATCH, 3000, generator=Generator().manual_seed(1))


@pytest.fixture
def random() -> Generator:
    return Generator().manual_seed(2)


@pytest.mark.parametrize("change", a.augmentations(keep_amplitude=False))
def test_the_same_seed_gives_the_same_epochs_and_the_input_is_unchanged(
    change: a.Augmentation, epochs_uv: Tensor, random: Generator
) -> None:
    before = epochs_uv.clone()
    first = change(epochs_uv, random)
    again = change(epochs_uv, random.manual_seed(2))
    assert torch.equal(first, again) and torch.equal(epochs_uv, before)
    assert first.shape == before.shape and first.isfinite().all()
    differs = (first != before).any(dim=1).float().mean()
    assert differs > 0.9


@pytest.mark.parametrize("gain", [a.GAIN, a.SMALL_GAIN])
def test_amplitude_multiplies_each_epoch_by_one_factor(
    epochs_uv: Tensor, random: Generator, gain: float
) -> None:
    ratio = a.amplitude(epochs_uv, random, gain) / epochs_uv
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert ratio.min() >= 1 / gain - 1e-5 and ratio.max() <= gain + 1e-5
    assert ratio[:, 0].std() > 0.1 * (gain - 1)


def test_known_gain_keeps_amplitude_within_a_tenth(epochs_uv: Tensor, random: Generator) -> None:
    ratio = a.augmentations(keep_amplitude=True)[0](epochs_uv, random) / epochs_uv
    assert ratio.min() > 0.9 and ratio.max() < 1.11


def test_shift_rolls_each_epoch_by_at_most_3_s(random: Generator) -> None:
    ramp = torch.arange(3000.0).repeat(BATCH, 1)
    moved = a.shift(ramp, random)
    by = moved.argmin(dim=1)  # where sample 0 went
    by = torch.where(by > 1500, by - 3000, by)
    assert by.abs().max() <= 300 and by.min() < -100 < 100 < by.max()
    for row, n in zip(moved, by.tolist(), strict=True):
        assert torch.equal(row, ramp[0].roll(n))


def test_offset_adds_one_constant_to_each_epoch(epochs_uv: Tensor, random: Generator) -> None:
    added = a.offset(epochs_uv, random) - epochs_uv
    torch.testing.assert_close(added, added[:, :1].expand_as(added), atol=1e-4, rtol=0)
    assert added.abs().max() <= 10.001 and added[:, 0].std() > 3


def test_zero_mask_hides_one_stretch_of_at_most_3_s(random: Generator) -> None:
    hidden = a.zero_mask(torch.ones(BATCH, 3000), random) == 0
    assert hidden.sum(dim=1).max() <= 301 and hidden.sum(dim=1).float().mean() > 100
    edges = (hidden[:, 1:] != hidden[:, :-1]).sum(dim=1) + hidden[:, 0].int() + hidden[:, -1].int()
    assert edges.max() <= 2  # one stretch
    assert hidden.any(dim=0).float().mean() > 0.9  # anywhere


def test_noise_has_a_random_standard_deviation_up_to_its_limit(
    epochs_uv: Tensor, random: Generator
) -> None:
    sigma = (a.noise(epochs_uv, random) - epochs_uv).std(dim=1)
    assert sigma.max() < 0.22 and sigma.std() > 0.03


def test_band_stop_removes_2_hz_and_keeps_the_rest(epochs_uv: Tensor, random: Generator) -> None:
    before, after = (torch.fft.rfft(x).abs() for x in (epochs_uv, a.band_stop(epochs_uv, random)))
    gone = after < 0.01 * before  # (B, 1501), 1/30 Hz apart
    torch.testing.assert_close(after[~gone], before[~gone], rtol=1e-3, atol=1e-1)
    hz = torch.arange(1501) / 30
    for row in gone:
        stopped = hz[row]
        assert 1.9 < stopped.max() - stopped.min() <= 2.01
        assert len(stopped) > 57 and stopped.min() >= 0.5 and stopped.max() <= 30


def test_each_distortion_reaches_about_half_of_the_epochs(random: Generator) -> None:
    chain: list[a.Augmentation] = [lambda x, _, k=k: x + 10.0**k for k in range(6)]  # type: ignore[misc]
    met = a.augment(torch.zeros(4000, 1), chain, random)[:, 0].long()
    for k in range(6):
        assert (met // 10**k % 10).float().mean() == pytest.approx(0.5, abs=0.03)
    assert len(met.unique()) == 64
