"""Train the sequence model and the band-power token together, on measured features alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.bandpower import BANDS_HZ, N_BANDS, band_features
from models.contract import Gain
from models.mc2sleepnet import N_STAGES, BandPowerToken, EpochInputs, MC2SleepNet, NetworkConfig
from offline_training.arrays import F64
from offline_training.bandpower.staging import stream_nights
from offline_training.data.bandpowers import Night
from offline_training.evaluation.streaming import Streamed
from offline_training.progress import Report
from offline_training.training.tracks import (
    average,
    calibrate,
    half_causal,
    stage_weights,
    track_losses,
)
from offline_training.training.windows import Windows

FLOOR_DB = (5.0, 30.0)
"""How far the noise of worse recorders is below the EEG."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the band-power weights are trained.

    - Windows hold ``context_epochs``; half of a batch is staged causally (`training.tracks`).
    - ``noise`` is drawn per epoch and band, ``offset`` per window and band, ``gain`` per window,
      all in ln units of power: small, since strong gain and tilt augmentation is known to hurt.
      ``gain`` is about what the level of a recording is known to (`in_microvolts`).
    - ``between`` of the windows are of a derivation between Fpz-Cz and Pz-Oz: log powers mixed in a
      random share. Stages of other derivations get better, those of Fpz-Cz no worse.
    - ``mutual``: how much of what is to be learned comes from what both variants agree on.
    - ``floor`` of the windows have the noise of a worse recorder added: white to pink, 5 to 30 dB
      below the power of the window's newest epoch.
    - ``hide`` of the windows have a random run of epochs unscored.
    """

    context_epochs: int = 120
    revision_epochs: int = 10
    steps: int = 2000
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    average: float = 0.99
    noise: float = 0.1
    offset: float = 0.1
    gain: float = 0.5
    between: float = 0.5
    floor: float = 0.5
    mutual: float = 0.5
    hide: float = 0.3
    evaluate_every: int = 200
    evaluate_stride: int = 16
    d_model: int = 64
    n_heads: int = 4
    d_ff: int = 256
    sequence_layers: int = 4
    dropout: float = 0.1

    def network_config(self, gain_free: bool) -> NetworkConfig:
        return NetworkConfig(
            raw=False,
            frames=False,
            band_power=True,
            gain_free=gain_free,
            d_model=self.d_model,
            n_heads=self.n_heads,
            d_ff=self.d_ff,
            sequence_layers=self.sequence_layers,
            max_distance=self.context_epochs - 1,
            dropout=self.dropout,
        )


class NoisyWindows:
    """Random windows of nights: log powers (B, L, 5), stages (B, L), scored (B, L)."""

    def __init__(self, nights: Sequence[Night], recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        self.random = np.random.default_rng(seed)
        self.windows = Windows(
            [night.stage for night in nights],
            [night.stage >= 0 for night in nights],
            recipe.context_epochs,
            recipe.hide,
        )
        self.log_power = self.windows.lay_out([night.log_power for night in nights], 0)
        self.parietal = self.windows.lay_out([night.parietal for night in nights], 0)

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        recipe, random = self.recipe, self.random
        at, stage, scored = self.windows.draw(random, recipe.batch)
        mixed = random.random((recipe.batch, 1, 1)) < recipe.between
        share = np.where(mixed, random.random(mixed.shape), 0.0)
        log_power = (1 - share) * self.log_power[at] + share * self.parietal[at]
        log_power = np.logaddexp(log_power, self._floor(log_power))
        log_power += random.normal(0, recipe.noise, (*at.shape, N_BANDS))
        log_power += random.normal(0, recipe.offset, (recipe.batch, 1, N_BANDS))
        log_power += random.normal(0, recipe.gain, (recipe.batch, 1, 1))
        return torch.from_numpy(log_power.astype(np.float32)), stage, scored

    def _floor(self, log_power: F64) -> F64:
        """ln of the noise power in each window's bands, (B, 1, 5); minus infinity without."""
        random, batch = self.random, (len(log_power), 1, 1)
        newest = np.logaddexp.reduce(log_power[:, -1], axis=1)[:, None, None]
        below_db = random.uniform(*FLOOR_DB, batch)
        steepness = random.uniform(0, 1, batch)  # 0 white, 1 pink
        low_hz, high_hz = (np.array([band[i] for band in BANDS_HZ]) for i in (1, 2))
        shape = np.log(high_hz - low_hz) - steepness * np.log(np.sqrt(low_hz * high_hz))
        shape -= np.logaddexp.reduce(shape, axis=2, keepdims=True)
        noisy = random.random(batch) < self.recipe.floor
        return np.where(noisy, newest - below_db * math.log(10) / 10 + shape, -np.inf)


def _standardise(network: MC2SleepNet, nights: Sequence[Night]) -> None:
    token = network.spectral_encoder.token
    assert isinstance(token, BandPowerToken)
    log_power = torch.from_numpy(
        np.concatenate([night.log_power[night.stage >= 0] for night in nights])
    )
    features = band_features(log_power, token.gain_free)
    token.standardise.mean.copy_(features.mean(dim=0))
    token.standardise.std.copy_(features.std(dim=0))


class Student:
    """One of the networks that are trained together, with its optimiser and running average."""

    def __init__(self, nights: Sequence[Night], gain: Gain, recipe: Recipe) -> None:
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
    train: Sequence[Night],
    held_out: Sequence[Night],
    recipe: Recipe,
    seed: int,
    report: Report = lambda step, steps, line: None,
) -> dict[Gain, MC2SleepNet]:
    """Train both variants together on ``train``; of each keep the averaged weights that stage
    ``held_out`` best, calibrated there.

    Both see the same windows, and each learns from the expert and from what the two agree on
    (deep mutual learning, Zhang et al. 2018): about as good as averaging both, at the cost of one.
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
