"""Each part of the training: the modules it trains, the epochs it reads, the rest unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.mc2sleepnet import EpochInputs, MC2SleepNet
from offline_training.training.augment import augmentations
from offline_training.training.distributed import Ranks
from offline_training.training.finetuning import FinetunePart
from offline_training.training.losses import masked_l1
from offline_training.training.parts import TRAINED, Part, select
from offline_training.training.pretraining import EpochPart, SequencePart, scatter
from tests.offline_training.training.synthetic import (
    NETWORK,
    RECIPE,
    SyntheticRecording,
    build,
    nights,
)

CPU = Ranks(0, 1, torch.device("cpu"))
NIGHTS = nights(3)

Make = Callable[[MC2SleepNet], Part[Any]]


def epoch_part(_: MC2SleepNet) -> Part[Any]:
    return EpochPart(NIGHTS[:2], NIGHTS[2:], RECIPE, augmentations(True), CPU.device)


def sequence_part(_: MC2SleepNet) -> Part[Any]:
    return SequencePart(NIGHTS[:2], NIGHTS[2:], RECIPE, augmentations(True), CPU.device)


def finetune_part(network: MC2SleepNet) -> Part[Any]:
    return FinetunePart(network, NIGHTS[:2], NIGHTS[2:], RECIPE, CPU)


PARTS = pytest.mark.parametrize("make", [epoch_part, sequence_part, finetune_part])


def loss_of(part: Part[Any], network: MC2SleepNet, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return part.loss(network, part.read(np.random.default_rng(seed)))


@PARTS
def test_a_part_gives_gradients_only_to_the_modules_that_it_trains(make: Make) -> None:
    network = build(NIGHTS)
    part = make(network)
    select(network, part.name)
    loss_of(part, network).backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        trained = name.partition(".")[0] in TRAINED[part.name]
        assert (parameter.grad is not None) == trained, name
        assert not trained or parameter.grad.isfinite().all()  # type: ignore[union-attr]


@PARTS
def test_batch_norm_and_dropout_are_on_only_in_trained_modules(make: Make) -> None:
    network = build(NIGHTS)
    part = make(network)
    select(network, part.name)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    loss_of(part, network)
    changed = {n for n, buffer in network.named_buffers() if not torch.equal(buffer, before[n])}
    if part.name == "finetune":
        assert not changed and not network.raw_encoder.training and network.raw_stack.training
    else:
        assert changed and all(name.startswith("raw_encoder.") for name in changed)


@PARTS
def test_the_same_draw_gives_the_same_loss_and_validation_repeats(make: Make) -> None:
    network = build(NIGHTS)
    part = make(network)
    select(network, part.name)
    assert loss_of(part, network, 3) == loss_of(part, network, 3) != loss_of(part, network, 4)
    first, second = part.validate(network), part.validate(network)
    assert first == second and np.isfinite(first.loss)
    assert all(value is None or np.isfinite(value) for value in first.figures.values())


@PARTS
def test_a_batch_is_memorised(make: Make) -> None:
    """Within 300 steps. The number of steps needed differs from one processor to another."""
    network = build(NIGHTS, dropout=0.0)
    part = make(network)
    select(network, part.name)
    # No distortions. One seed keeps the masks and windows the same in every step.
    if isinstance(part, EpochPart | SequencePart):
        part.chain = []
    trained = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=5e-3)
    losses = []
    while len(losses) < 300 and not (losses and losses[-1] < 0.2 * losses[0]):
        optimiser.zero_grad()
        loss = loss_of(part, network, seed=1)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0], losses[::10]


def test_samples_of_unscored_epochs_do_not_change_the_sequence_part() -> None:
    """They reach neither the encoders, nor batch-norm, nor the loss."""
    found = []
    for filler in (0.0, 1e6):
        recordings = [SyntheticRecording(one.name, one.subject) for one in NIGHTS]
        for one in recordings:
            one.samples[~one.usable] = filler
        part = SequencePart(recordings[:2], recordings[2:], RECIPE, [], CPU.device)
        network = build(NIGHTS)
        select(network, "sequence")
        loss = loss_of(part, network)
        mean = network.raw_encoder.backbone.stages[0][1].running_mean  # type: ignore[index]
        found.append((loss.item(), mean))
    assert found[0][0] == found[1][0] and torch.equal(found[0][1], found[1][1])


def test_scatter_places_embeddings_at_the_scored_epochs() -> None:
    scored = torch.tensor([[False, True, True], [True, False, False]])
    placed = scatter(torch.tensor([[1.0, 1.5], [2.0, 2.5], [3.0, 3.5]]), scored)
    assert placed[..., 0].tolist() == [[0, 1, 2], [3, 0, 0]]
    assert placed[..., 1].tolist() == [[0, 1.5, 2.5], [3.5, 0, 0]]


def test_a_hidden_epoch_is_rebuilt_from_the_other_stream_alone() -> None:
    """The rebuilt raw epoch has no gradient to its own raw embedding, and one to its spectral
    embedding, even if the spectral stream hides that epoch too."""
    network = build(NIGHTS, dropout=0.0).eval()
    embeddings = torch.randn(1, 6, 32, requires_grad=True)
    scored = torch.ones(1, 6, dtype=torch.bool)
    hidden = torch.zeros(1, 6, dtype=torch.bool)
    hidden[0, 2] = True
    rebuilt, _ = network.reconstruct(embeddings, scored, hidden, hidden)
    loss = masked_l1(rebuilt, embeddings.chunk(2, dim=2)[0], hidden)
    (gradient,) = torch.autograd.grad(loss, embeddings)
    raw, spectral = gradient.abs().sum(dim=(0,)).split(16, dim=1)
    assert raw[2].sum() == 0 and raw[[0, 1, 3, 4, 5]].sum(dim=1).min() > 0
    assert spectral.sum(dim=1).min() > 0


def test_a_network_of_one_stream_is_fine_tuned() -> None:
    network = build(NIGHTS, raw=False, frames=False, pretraining=False)
    recipe = replace(RECIPE, network=replace(NETWORK, raw=False, frames=False, pretraining=False))
    part = FinetunePart(network, NIGHTS[:2], NIGHTS[2:], recipe, CPU)
    select(network, "finetune")
    before = {n: p.clone() for n, p in network.spectral_encoder.named_parameters()}
    loss_of(part, network).backward()  # type: ignore[no-untyped-call]
    assert network.spectral_stack.distance.table.grad is not None
    assert all(p.grad is None for p in network.spectral_encoder.parameters())
    assert set(before) == {n for n, _ in network.spectral_encoder.named_parameters()}


def test_supervised_contrast_changes_the_loss() -> None:
    network = build(NIGHTS)
    recipe = replace(RECIPE, supervised_contrast=True)
    losses = [
        loss_of(EpochPart(NIGHTS[:2], NIGHTS[2:], each, [], CPU.device), network).item()
        for each in (RECIPE, recipe)
    ]
    assert losses[0] != losses[1]


def test_each_stream_measures_its_own_distorted_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(NIGHTS)
    part = epoch_part(network)
    measured, measure = [], network.measure

    def recorded(*arguments: Any, **fields: Any) -> EpochInputs:
        measured.append(measure(*arguments, **fields))
        return measured[-1]

    monkeypatch.setattr(network, "measure", recorded)
    loss_of(part, network)
    assert [tuple(each is not None for each in inputs) for inputs in measured] == [
        (True, False, False),
        (False, True, True),
    ]
