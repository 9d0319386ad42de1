"""Train the sequence model and the band-power token together, on measured features alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.bandpower import N_BANDS, band_features
from models.mc2sleepnet import BandPowerToken, EpochInputs, MC2SleepNet, NetworkConfig
from offline_training.bandpower.nights import Night
from offline_training.bandpower.staging import stream_nights
from offline_training.evaluation.streaming import Streamed
from offline_training.progress import Report
from offline_training.training.tracks import (
    average,
    calibrate,
    half_causal,
    stage_weights,
    track_losses,
    weighted_loss,
)
from offline_training.training.windows import Windows


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the band-power weights are trained.

    - Windows hold ``context_epochs``; half of a batch is staged causally (`training.tracks`).
    - ``noise`` is drawn per epoch and band, ``offset`` per window and band, ``gain`` per window,
      all in ln units of power: small, since strong gain and tilt augmentation is known to hurt.
      ``gain`` is about what the level of a recording is known to (`nights.in_microvolts`).
    - ``between`` of the windows are of a derivation between Fpz-Cz and Pz-Oz: log powers mixed in a
      random share. Stages of other derivations get better, those of Fpz-Cz no worse.
    - ``hide`` of the windows have a random run of epochs unscored.
    """

    context_epochs: int = 120
    revision_epochs: int = 10
    steps: int = 800
    batch: int = 24
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    average: float = 0.99
    noise: float = 0.1
    offset: float = 0.1
    gain: float = 0.25
    between: float = 0.5
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
        log_power += random.normal(0, recipe.noise, (*at.shape, N_BANDS))
        log_power += random.normal(0, recipe.offset, (recipe.batch, 1, N_BANDS))
        log_power += random.normal(0, recipe.gain, (recipe.batch, 1, 1))
        return torch.from_numpy(log_power.astype(np.float32)), stage, scored


def _standardise(network: MC2SleepNet, nights: Sequence[Night]) -> None:
    token = network.spectral_encoder.token
    assert isinstance(token, BandPowerToken)
    log_power = torch.from_numpy(
        np.concatenate([night.log_power[night.stage >= 0] for night in nights])
    )
    features = band_features(log_power, token.gain_free)
    token.standardise.mean.copy_(features.mean(dim=0))
    token.standardise.std.copy_(features.std(dim=0))


def fit(
    train: Sequence[Night],
    held_out: Sequence[Night],
    gain_free: bool,
    recipe: Recipe,
    seed: int,
    report: Report = lambda step, steps, line: None,
) -> MC2SleepNet:
    """Train on ``train``; keep the averaged weights that stage ``held_out`` best, calibrated there.

    Calibration is one temperature for each track, under the same square-root class weights as
    training: probabilities are right for a night whose stages are more even than Sleep-EDF's.
    """
    torch.manual_seed(seed)
    network = MC2SleepNet(recipe.network_config(gain_free))
    _standardise(network, train)
    weight = stage_weights(train)
    windows = NoisyWindows(train, recipe, seed)
    averaged = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: (
            min(1.0, (step + 1) / recipe.warmup_steps)
            * (0.5 + 0.5 * math.cos(math.pi * step / recipe.steps))
        ),
    )

    def stage_held_out(network: MC2SleepNet) -> Streamed:
        return stream_nights(
            network,
            held_out,
            recipe.context_epochs,
            recipe.revision_epochs,
            recipe.evaluate_stride,
        )

    best, best_loss = copy.deepcopy(averaged), math.inf
    for step in range(1, recipe.steps + 1):
        network.train()
        log_power, stage, scored = windows.draw()
        embeddings = network.embed(EpochInputs(log_power=log_power.flatten(0, 1)))
        embeddings = embeddings.view(*scored.shape, -1)  # (B, L, E)
        logits = half_causal(network.staging_view, embeddings, scored).prediction
        loss = weighted_loss(logits, stage, weight)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        average(averaged, network, min(recipe.average, step / (step + 10)))
        if step % recipe.evaluate_every == 0 or step == recipe.steps:
            live, revised = track_losses(stage_held_out(averaged), weight)
            if live + revised < best_loss:
                best, best_loss = copy.deepcopy(averaged), live + revised
            report(
                step,
                recipe.steps,
                f"train {loss:.3f}  held out: live {live:.4f} revised {revised:.4f}",
            )
    calibrate(best, stage_held_out(best), weight)
    return best.eval()
