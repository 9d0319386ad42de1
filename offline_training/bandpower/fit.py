"""Train the sequence model and the band-power token together, on measured features alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.bandpower import band_features
from models.contract import Gain
from models.mc2sleepnet import N_STAGES, BandPowerToken, EpochInputs, MC2SleepNet
from offline_training.bandpower.noisy import NoisyWindows
from offline_training.bandpower.recipe import Recipe
from offline_training.bandpower.staging import stream_nights
from offline_training.data.bandpowers import BandPowerNight
from offline_training.evaluation.streaming import Streamed
from offline_training.progress import Report
from offline_training.training.tracks import (
    average,
    calibrate,
    half_causal,
    stage_weights,
    track_losses,
)


def _standardise(network: MC2SleepNet, nights: Sequence[BandPowerNight]) -> None:
    token = network.spectral_encoder.token
    assert isinstance(token, BandPowerToken)
    log_power = torch.from_numpy(
        np.concatenate([night.log_power[night.stage >= 0] for night in nights])
    )
    token.standardise.fit(band_features(log_power, token.gain_free))


class Student:
    """One of the networks that are trained together, with its optimiser and running average."""

    def __init__(self, nights: Sequence[BandPowerNight], gain: Gain, recipe: Recipe) -> None:
        self.network = MC2SleepNet(recipe.network_config(gain is Gain.UNKNOWN))
        _standardise(self.network, nights)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self.best, self.best_loss = self.averaged, math.inf
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser,
            lambda step: (
                min(1.0, (step + 1) / recipe.warmup_steps)
                * (0.5 + 0.5 * math.cos(math.pi * step / recipe.steps))
            ),
        )

    def logits(self, log_power: Tensor, scored: Tensor) -> Tensor:
        """(B, L, 5), the first half of the batch live, the second revised."""
        self.network.train()
        embeddings = self.network.embed(EpochInputs(log_power=log_power.flatten(0, 1)))
        embeddings = embeddings.view(*scored.shape, -1)  # (B, L, E)
        return half_causal(self.network.staging_view, embeddings, scored).prediction

    def keep_if_better(self, loss: float) -> None:
        if loss < self.best_loss:
            self.best, self.best_loss = copy.deepcopy(self.averaged), loss

    def learn(self, loss: Tensor, keep: float) -> None:
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        average(self.averaged, self.network, keep)


def mutual_loss(
    logits: Tensor, agreed: Tensor, stage: Tensor, weight: Tensor, mutual: float
) -> Tensor:
    """Weighted cross-entropy against the expert and, for a share of ``mutual``, against ``agreed``.

    ``logits`` and the probabilities ``agreed`` are (B, L, 5), ``stage`` (B, L), negative ignored.
    """
    counted = stage >= 0
    log_probability = logits[counted].log_softmax(dim=1)  # (m, 5)
    truth = F.one_hot(stage[counted], N_STAGES)
    target = (1 - mutual) * truth + mutual * agreed[counted]
    each = weight[stage[counted]]  # (m,)
    return -(each * (target * log_probability).sum(dim=1)).sum() / each.sum()


def fit(
    train: Sequence[BandPowerNight],
    held_out: Sequence[BandPowerNight],
    recipe: Recipe,
    seed: int,
    report: Report = lambda step, steps, line: None,
) -> dict[Gain, MC2SleepNet]:
    """Train both variants together on ``train``; of each keep the averaged weights that stage
    ``held_out`` best, calibrated there.

    Both see the same windows, and each learns from the expert and from what the two agree on (deep
    mutual learning, Zhang et al. 2018): the gain-free one, whom a wrong gain does not mislead,
    teaches the other.
    """
    torch.manual_seed(seed)
    students = {gain: Student(train, gain, recipe) for gain in Gain}
    weight = stage_weights(train)
    windows = NoisyWindows(train, recipe, seed)

    def stage_held_out(network: MC2SleepNet) -> Streamed:
        return stream_nights(
            network,
            held_out,
            recipe.context_epochs,
            recipe.revision_epochs,
            recipe.evaluate_stride,
        )

    for step in range(1, recipe.steps + 1):
        log_power, stage, scored = windows.draw()
        answers = {gain: each.logits(log_power, scored) for gain, each in students.items()}
        agreed = torch.stack([a.detach().softmax(dim=2) for a in answers.values()]).mean(dim=0)
        keep = min(recipe.average, step / (step + 10))
        for gain, student in students.items():
            student.learn(mutual_loss(answers[gain], agreed, stage, weight, recipe.mutual), keep)
        if step % recipe.evaluate_every == 0 or step == recipe.steps:
            lines = []
            for gain, student in students.items():
                live, revised = track_losses(stage_held_out(student.averaged), weight)
                student.keep_if_better(live + revised)
                lines.append(f"gain {gain.value}: live {live:.4f} revised {revised:.4f}")
            report(step, recipe.steps, "held out, " + "  ".join(lines))
    for student in students.values():
        calibrate(student.best, stage_held_out(student.best))
    return {gain: student.best.eval() for gain, student in students.items()}
