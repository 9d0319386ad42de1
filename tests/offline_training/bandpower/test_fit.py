"""Band-power training on synthetic nights: it learns, repeats, and stages as at run time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.contract import Gain
from models.mc2sleepnet import EpochInputs, MC2SleepNet
from monitor.errors import InputError
from offline_training.bandpower.crossval import CrossValidation
from offline_training.bandpower.fit import fit, mutual_loss
from offline_training.bandpower.noisy import NoisyWindows
from offline_training.bandpower.recipe import BandPowerRecipe
from offline_training.bandpower.staging import stream_nights
from offline_training.data.bandpowers import BandPowerNight, hold_out, in_microvolts, load_nights
from offline_training.evaluation.scores import Scores
from offline_training.training.tracks import stage_weights, weighted_loss
from tests.offline_training.data.measured import write_data

RECIPE = BandPowerRecipe(
    context_epochs=12,
    revision_epochs=3,
    steps=40,
    batch=16,
    warmup_steps=5,
    learning_rate=5e-3,
    average=0.9,
    evaluate_every=20,
    evaluate_stride=2,
    d_model=16,
    n_heads=2,
    d_ff=32,
    sequence_layers=2,
    dropout=0.0,
)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> list[BandPowerNight]:
    directory = tmp_path_factory.mktemp("sleep-edf")
    write_data(directory, subjects=6)
    return in_microvolts(load_nights(directory), directory)


def test_training_learns_and_repeats_bit_for_bit(nights: list[BandPowerNight]) -> None:
    train, held_out = hold_out(nights)
    lines: list[str] = []
    first, again = (
        fit(train, held_out, RECIPE, seed, lambda step, steps, line: lines.append(line))
        for seed in (0, 0)
    )
    assert len(lines) == 4 and "revised" in lines[0]
    for gain, network in first.items():
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, again[gain].state_dict()[name])
        assert network.config.gain_free is (gain is Gain.UNKNOWN)
        streamed = stream_nights(
            network, held_out[:1], RECIPE.context_epochs, RECIPE.revision_epochs
        )
        live = torch.from_numpy(streamed.live).softmax(dim=1).numpy()
        assert Scores.of(streamed.truth, live).to_json()["accuracy"] > 0.8
    token = first[Gain.KNOWN].spectral_encoder.token.standardise  # type: ignore[union-attr]
    assert token.mean[3] != 0 and token.std[3] != 1  # type: ignore[union-attr, index]


def test_streamed_logits_equal_the_network_s_own_staging(nights: list[BandPowerNight]) -> None:
    night = nights[0]
    torch.manual_seed(0)
    network = MC2SleepNet(RECIPE.network_config(gain_free=True)).eval().requires_grad_(False)
    streamed = stream_nights(network, [night], RECIPE.context_epochs, RECIPE.revision_epochs)
    embeddings = network.embed(EpochInputs(log_power=torch.from_numpy(night.log_power)))
    scored = torch.from_numpy(night.stage >= 0)
    for epoch in (0, 5, 30, 58):
        last = min(epoch + RECIPE.revision_epochs, len(night.stage) - 1)
        for newest, found, track in ((epoch, streamed.live, 0), (last, streamed.revised, 1)):
            first = max(0, newest - RECIPE.context_epochs + 1)
            window = slice(first, newest + 1)
            live, revised = network.stage(embeddings[None, window], scored[None, window])
            answer = (live, revised[:, epoch - first])[track][0]
            expected = torch.from_numpy(found[epoch]).softmax(dim=0)
            torch.testing.assert_close(answer, expected, atol=1e-5, rtol=1e-4)


EXACT = replace(RECIPE, noise=0, offset=0, gain=0, between=0, floor=0, batch=200)
"""A recipe that leaves log powers unchanged."""


def test_windows_lie_between_the_two_derivations(nights: list[BandPowerNight]) -> None:
    marked = [
        replace(night, log_power=np.zeros_like(night.log_power), parietal=night.parietal * 0 + 1)
        for night in nights
    ]
    log_power, _, _ = NoisyWindows(marked, replace(EXACT, between=0.5), seed=0).draw()
    shares = log_power.amax(dim=(1, 2))
    assert shares.max() <= 1 and len(shares.unique()) > 50
    assert 0.3 < (shares == 0).float().mean() < 0.7


def test_a_noise_floor_adds_power_and_most_to_the_weakest_band(
    nights: list[BandPowerNight],
) -> None:
    clean, noisy = (
        NoisyWindows(nights, replace(EXACT, floor=floor), seed=0).draw()[0] for floor in (0.0, 1.0)
    )
    added = noisy - clean  # ln
    assert added.min() >= 0 and added.amax(dim=(1, 2)).min() > 0
    quiet = clean.argmin(dim=2, keepdim=True)
    assert added.gather(2, quiet).mean() > added.gather(2, clean.argmax(dim=2, keepdim=True)).mean()


def test_a_window_never_holds_two_nights(nights: list[BandPowerNight]) -> None:
    marked = [
        replace(night, log_power=np.full_like(night.log_power, i)) for i, night in enumerate(nights)
    ]
    windows = NoisyWindows(marked, EXACT, seed=0)
    log_power, stage, scored = windows.draw()
    assert log_power.shape == (200, 12, 5) and not ((stage >= 0) & ~scored).any()
    for power, use in zip(log_power, scored, strict=True):
        assert len(power[use].unique()) <= 1
    lengths = scored.sum(dim=1)
    assert lengths.min() < 6 and lengths.max() == 12


def test_stage_weights_are_square_roots_of_inverse_frequencies(
    nights: list[BandPowerNight],
) -> None:
    stage = np.concatenate([night.stage for night in nights])
    share = np.bincount(stage[stage >= 0]) / (stage >= 0).sum()
    weight = stage_weights(nights).numpy()
    np.testing.assert_allclose(weight * np.sqrt(share), (weight * np.sqrt(share))[0], rtol=1e-5)
    assert (weight * share).sum() == pytest.approx(1)


def test_mutual_loss_goes_from_cross_entropy_to_the_shared_answer() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    stage = torch.tensor([[0, 3, -1], [4, 4, 1]])
    weight = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])
    agreed = torch.full((2, 3, 5), 0.2)
    hard = mutual_loss(logits, agreed, stage, weight, mutual=0.0)
    torch.testing.assert_close(hard, weighted_loss(logits, stage, weight))
    soft = mutual_loss(logits, logits.softmax(dim=2), stage, weight, mutual=1.0)
    entropy = torch.distributions.Categorical(logits=logits[stage >= 0]).entropy()
    each = weight[stage[stage >= 0]]
    torch.testing.assert_close(soft, (each * entropy).sum() / each.sum())


def test_cross_validation_pools_every_epoch_once_and_reuses_finished_folds(
    nights: list[BandPowerNight], tmp_path: Path
) -> None:
    recipe, seen = replace(RECIPE, steps=2), list[tuple[int, int]]()

    def report(step: int, steps: int, line: str) -> None:
        seen.append((step, steps))

    one = CrossValidation(folds=2, run_folds=1, stride=1, seed=0)
    one.run(nights, recipe, tmp_path, report)
    assert seen == [(2, 2)]
    both = replace(one, run_folds=2)
    figures = both.run(nights, recipe, tmp_path, report)
    assert seen == [(2, 2), (4, 4)]  # the first fold was not run again
    epochs, scored = (
        sum(len(night.stage) for night in nights),
        sum(int((night.stage >= 0).sum()) for night in nights),
    )
    for gain in Gain:
        for track in ("live", "revised"):
            found = figures[gain][track]
            assert (found["epochs"], found["compared"]) == (epochs, scored)
    with pytest.raises(InputError, match="another recipe"):
        replace(both, seed=1).run(nights, recipe, tmp_path, report)
    fold = tmp_path / "fold-01.npz"
    fold.write_bytes(fold.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"fold-01.npz is damaged"):
        both.run(nights, recipe, tmp_path, report)
