"""The training loop: exact resumption, accumulation, early stopping, the weights it keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.mc2sleepnet import MC2SleepNet
from monitor.errors import InputError
from offline_training.training import checkpoint
from offline_training.training.augment import augmentations
from offline_training.training.checkpoint import Counters
from offline_training.training.distributed import Ranks
from offline_training.training.finetuning import FinetunePart
from offline_training.training.parts import Part, ValidationResult
from offline_training.training.pretraining import EpochPart, SequencePart
from offline_training.training.recipe import TrainingRecipe
from offline_training.training.trainer import Trainer
from tests.offline_training.training.synthetic import (
    RECIPE,
    SyntheticRecording,
    build,
    nights,
    schedule,
)

CPU = Ranks(0, 1, torch.device("cpu"))
PARTS = ("epoch", "sequence", "finetune")


def part_of(
    name: str, network: MC2SleepNet, recordings: list[SyntheticRecording], recipe: TrainingRecipe
) -> Part[Any]:
    train, validation = recordings[:2], recordings[2:]
    if name == "finetune":
        return FinetunePart(network, train, validation, recipe, CPU)
    kind = EpochPart if name == "epoch" else SequencePart
    return kind(train, validation, recipe, augmentations(True), CPU.device)


def train(name: str, path: Path, interrupt: int = -1, **fields: Any) -> dict[str, Tensor]:
    """Train a part, resuming from ``path`` if it exists; return the weights.

    ``interrupt``: the number of the read that raises KeyboardInterrupt.
    """
    recordings = nights(3)
    recipe = replace(RECIPE, **{name: replace(getattr(RECIPE, name), steps=3, **fields)})
    network = build(recordings)
    part = part_of(name, network, recordings, recipe)
    recordings[1].reads_until_interrupt = interrupt
    if name == "finetune" and interrupt > 0:
        _interrupt(part, interrupt)
    Trainer(part, network, 7, CPU, path, lambda *_: None).run()
    return {key: tensor.clone() for key, tensor in network.state_dict().items()}


def _interrupt(part: Part, after: int) -> None:
    """Make the draw of windows raise after ``after`` calls: fine-tuning reads no recording."""
    assert isinstance(part, FinetunePart)
    draw, left = part.windows.draw, iter(range(after))

    def interrupted(random: np.random.Generator, batch: int) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return draw(random, batch)

    part.windows.draw = interrupted  # type: ignore[method-assign]


@pytest.mark.parametrize("name", PARTS)
def test_a_resumed_part_equals_an_uninterrupted_one_bit_for_bit(name: str, tmp_path: Path) -> None:
    straight = train(name, tmp_path / "straight.safetensors")
    path = tmp_path / "cut.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(name, path, interrupt=4 if name != "epoch" else 20)
    counters, _ = checkpoint.read(path)
    assert 0 < counters.step < 3 and not counters.finished
    resumed = train(name, path)
    assert all(torch.equal(resumed[key], straight[key]) for key in straight)
    again = train(name, path)  # finished: trains no more
    assert all(torch.equal(again[key], straight[key]) for key in straight)


def test_accumulation_is_the_mean_of_its_micro_batches(tmp_path: Path) -> None:
    """Compute the running statistics of a step of two micro-batches by hand."""
    recordings = nights(3)
    recipe = replace(RECIPE, epoch=schedule(steps=1, batch=16, micro_batch=8))
    network = build(recordings)
    part = part_of("epoch", network, recordings, recipe)
    means = []
    for number in range(2):
        copy = build(recordings).train()
        random = np.random.default_rng([7, 0, 1, number])
        torch.manual_seed(int(random.integers(2**62)))
        part.loss(copy, part.read(random))
        means.append(copy.raw_encoder.backbone.stages[0][1].running_mean)  # type: ignore[index]
    trainer = Trainer(part, network, 7, CPU, tmp_path / "a.safetensors", lambda *_: None)
    trainer._step(trainer._batches(1, 1))
    found = network.raw_encoder.backbone.stages[0][1].running_mean  # type: ignore[index]
    torch.testing.assert_close(found, (means[0] + means[1]) / 2)


class ScriptedPart:
    """A part whose validation losses are given in advance."""

    name = "finetune"
    epochs_per_item = 1

    def __init__(self, losses: list[float], **fields: Any) -> None:
        self.schedule = schedule(steps=50, **fields)
        self.losses = iter(losses)
        self.heads: list[Tensor] = []

    def read(self, random: np.random.Generator) -> None:
        pass

    def loss(self, network: MC2SleepNet, batch: None) -> Tensor:
        return network.joint_head.weight.square().sum()

    def validate(self, network: MC2SleepNet) -> ValidationResult:
        self.heads.append(network.joint_head.weight.detach().clone())
        return ValidationResult(next(self.losses), {})


def test_patience_ends_the_part_and_keeps_the_best_weights(tmp_path: Path) -> None:
    network = build(nights(1))
    part = ScriptedPart([3.0, 2.0, 1.0, 1.5, 1.2, 1.1, 0.0], patience=3)
    seen: list[int] = []

    def on_validation(counters: Counters, loss: float, result: ValidationResult) -> None:
        seen.append(counters.step)

    counters = Trainer(part, network, 0, CPU, tmp_path / "a.safetensors", on_validation).run()
    assert seen == [0, 1, 2, 3, 4, 5]
    assert (counters.best_step, counters.best_loss, counters.finished) == (2, 1.0, True)
    assert torch.equal(network.joint_head.weight, part.heads[2])


def test_the_first_weights_are_kept_if_no_step_improves_them(tmp_path: Path) -> None:
    network = build(nights(1))
    before = network.joint_head.weight.clone()
    part = ScriptedPart([1.0, 2.0, 2.0], patience=2, average=0.5)
    Trainer(part, network, 0, CPU, tmp_path / "a.safetensors", lambda *_: None).run()
    assert torch.equal(network.joint_head.weight, before)


def test_a_schedule_of_no_steps_trains_nothing(tmp_path: Path) -> None:
    part = ScriptedPart([1.0])
    part.schedule = replace(part.schedule, steps=0)
    network = build(nights(1))
    counters = Trainer(part, network, 0, CPU, tmp_path / "a.safetensors", lambda *_: None).run()
    assert counters.finished and counters.epochs_per_s == 0


def test_a_bad_checkpoint_or_number_of_processes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"not a checkpoint")
    network = build(nights(1))
    with pytest.raises(InputError, match="damaged"):
        Trainer(ScriptedPart([1.0]), network, 0, CPU, path, lambda *_: None)
    checkpoint.write(path, Counters("finetune"), {"network": {"x": torch.zeros(1)}})
    with pytest.raises(InputError, match="another network"):
        Trainer(ScriptedPart([1.0]), network, 0, CPU, path, lambda *_: None)
    with pytest.raises(InputError, match="3 processes cannot share the 2 micro-batches"):
        Trainer(ScriptedPart([1.0]), network, 0, replace(CPU, world=3), path, lambda *_: None)
