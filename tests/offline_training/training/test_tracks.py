"""Weights of the stages in the loss, and calibration of the probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from offline_training.arrays import I64
from offline_training.evaluation.streaming import Streamed
from offline_training.training.tracks import calibrate, stage_weights
from tests.offline_training.training.synthetic import build, nights


@dataclass
class Staged:
    stage: I64


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_stage_weights_are_inverse_frequencies_to_a_power(power: float) -> None:
    stage = np.random.default_rng(0).choice(5, 9_999, p=[0.4, 0.05, 0.3, 0.1, 0.15])
    share = np.bincount(stage) / len(stage)
    rarity = 1 / share**power
    expected = torch.tensor(rarity / (rarity * share).sum(), dtype=torch.float32)
    assert torch.equal(stage_weights([Staged(stage)], power), expected)  # to the bit


def test_a_stage_that_no_night_contains_has_weight_1() -> None:
    weight = stage_weights([Staged(np.array([0, 0, 0, 2, 4, 4, -1]))])
    assert weight[[1, 3]].tolist() == [1, 1] and weight[0] < weight[4] < weight[2] < 2
    assert (weight[[0, 2, 4]] @ torch.tensor([3.0, 1.0, 2.0]) / 6).item() == pytest.approx(1)


def test_calibration_counts_every_epoch_the_same() -> None:
    """The network is right in 90 of 100 W answers and in one of two N1 answers."""
    truth = np.repeat([0, 1, 0, 1], [90, 10, 1, 1])
    logits = np.zeros((102, 5), np.float32)
    logits[:100, 0] = logits[100:, 1] = 4.0
    network = build(nights(1))
    calibrate(network, Streamed(truth, logits, logits))
    grid = np.linspace(0.5, 3, 251)

    def loss(temperature: float) -> float:
        scaled = torch.from_numpy(logits) / temperature
        return torch.nn.functional.cross_entropy(scaled, torch.from_numpy(truth)).item()

    best = grid[np.argmin([loss(temperature) for temperature in grid])]
    assert network.temperature.tolist() == pytest.approx([best, best], abs=0.011)
