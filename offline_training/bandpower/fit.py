"""Training of the sequence stack and the band-power token together, on measured features alone."""

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
from offline_training.bandpower.recipe import BandPowerRecipe
from offline_training.bandpower.staging import stream_nights
from offline_training.data.bandpowers import BandPowerNight
from offline_training.evaluation.streaming import Streamed
from offline_training.progress import Report
from offline_training.training.averaging import MovingAverage
from offline_training.training.tracks import calibrate, half_causal, stage_weights, track_losses


def _standardise(network: MC2SleepNet, nights: Sequence[BandPowerNight]) -> None:
    token = network.spectral_encoder.token
    assert isinstance(token, BandPowerToken)
    log_power = torch.from_numpy(
        np.concatenate([night.log_power[night.stage >= 0] for night in nights])
    )
    token.standardise.fit(band_features(log_power, token.gain_free))


class Student:
    """A network that learns with the other variant, its optimiser and its moving average.

    ``best`` is the averaged network with the least loss so far.
    """

    def __init__(
        self, nights: Sequence[BandPowerNight], gain: Gain, recipe: BandPowerRecipe
    ) -> None:
        self.network = MC2SleepNet(recipe.network_config(gain is Gain.UNKNOWN))
        _standardise(self.network, nights)
        self.average = MovingAverage(self.network, recipe.average)
        self.average.requires_grad_(False)
        self.best, self.best_loss = self.average.module, math.inf
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        # Linear warm-up times half a cosine.
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser,
            lambda step: (
                min(1.0, (step + 1) / recipe.warmup_steps)
                * (0.5 + 0.5 * math.cos(math.pi * step / recipe.steps))
            ),
        )

    def logits(self, log_power: Tensor, scored: Tensor) -> Tensor:
        """Return logits (B, L, 5): the first half of the batch live, the second revised.

        ``log_power`` is float32 (B, L, 5), ln of uV^2; ``scored`` is bool (B, L).
        """
        self.network.train()
        embeddings = self.network.embed(EpochInputs(log_power=log_power.flatten(0, 1)))
        embeddings = embeddings.view(*scored.shape, -1)  # (B, L, E)
        return half_causal(self.network.staging_view, embeddings, scored).prediction

    def learn(self, loss: Tensor) -> None:
        """Do one step of the optimiser and move the average."""
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.network)

    def keep_if_better(self, loss: float) -> None:
        """Make the averaged network the best one if ``loss`` is the least so far."""
        if loss < self.best_loss:
            self.best, self.best_loss = copy.deepcopy(self.average.module), loss


def mutual_loss(
    logits: Tensor, agreed: Tensor, stage: Tensor, weight: Tensor, mutual: float
) -> Tensor:
    """Return the weighted cross-entropy against a mixture of the expert and ``agreed``.

    Parameters
    ----------
    logits : (B, L, 5).
    agreed : (B, L, 5), mean probabilities of all students.
    stage : int64 (B, L), the expert's stages. Epochs with a negative one do not count.
    weight : float32 (5,), weight of each stage.
    mutual : share of ``agreed`` in the target, from 0 to 1.
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
    recipe: BandPowerRecipe,
    seed: int,
    report: Report = lambda step, steps, line: None,
) -> dict[Gain, MC2SleepNet]:
    """Train both variants together on ``train``, and calibrate them on ``held_out``.

    Both variants see the same windows. Each learns from the expert and from the mean answer of the
    two (deep mutual learning, Zhang et al. 2018). A wrong gain does not mislead the gain-free
    variant, and so it teaches the absolute one. The result holds, for each variant, the averaged
    weights that stage ``held_out`` best.
    """
    torch.manual_seed(seed)
    students = {gain: Student(train, gain, recipe) for gain in Gain}
    weight = stage_weights(train)
    windows = NoisyWindows(train, recipe, seed)
    for step in range(1, recipe.steps + 1):
        log_power, stage, scored = windows.draw()
        answers = {gain: each.logits(log_power, scored) for gain, each in students.items()}
        agreed = torch.stack([a.detach().softmax(dim=2) for a in answers.values()]).mean(dim=0)
        for gain, student in students.items():
            student.learn(mutual_loss(answers[gain], agreed, stage, weight, recipe.mutual))
        if step % recipe.evaluate_every == 0 or step == recipe.steps:
            line = _validate(students, held_out, recipe, weight)
            report(step, recipe.steps, f"held out, {line}")
    for student in students.values():
        calibrate(student.best, _stream(student.best, held_out, recipe))
    return {gain: student.best.eval() for gain, student in students.items()}


def _validate(
    students: dict[Gain, Student],
    held_out: Sequence[BandPowerNight],
    recipe: BandPowerRecipe,
    weight: Tensor,
) -> str:
    """Keep each student's average if it stages ``held_out`` best so far; return the losses."""
    lines = []
    for gain, student in students.items():
        live, revised = track_losses(_stream(student.average.module, held_out, recipe), weight)
        student.keep_if_better(live + revised)
        lines.append(f"gain {gain.value}: live {live:.4f} revised {revised:.4f}")
    return "  ".join(lines)


def _stream(
    network: MC2SleepNet, nights: Sequence[BandPowerNight], recipe: BandPowerRecipe
) -> Streamed:
    return stream_nights(
        network, nights, recipe.context_epochs, recipe.revision_epochs, recipe.evaluate_stride
    )
