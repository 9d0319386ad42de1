"""Train the sequence model and the band-power token together, on measured features alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.bandpower import N_BANDS, band_features
from models.contract import STAGES
from models.mc2sleepnet import BandPowerToken, EpochInputs, MC2SleepNet, NetworkConfig
from offline_training.bandpower.nights import Night
from offline_training.bandpower.staging import stream_all
from offline_training.progress import Report

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the band-power weights are trained.

    - Windows of ``context_epochs`` start anywhere in a night. Half of a batch is staged causally,
      where every position is a live prediction with a history of its own length; half with the
      whole window in view, of a random length, as the revised track sees it.
    - ``noise`` is drawn per epoch and band, ``offset`` per window and band, ``gain`` per window,
      all in ln units of power: small, since strong gain and tilt augmentation is known to hurt.
      ``gain`` is about what the level of a recording is known to (`nights.in_microvolts`).
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


def stage_weights(nights: Sequence[Night]) -> Tensor:
    """Square root of inverse class frequency, mean 1 over the epochs of ``nights``. (5,)"""
    stage = np.concatenate([night.stage for night in nights])
    share = np.bincount(stage[stage >= 0], minlength=len(STAGES)) / (stage >= 0).sum()
    weight = 1 / np.sqrt(np.maximum(share, 1e-6))
    return torch.tensor(weight / (weight * share).sum(), dtype=torch.float32)


class Windows:
    """Random windows of nights: log powers (B, L, 5), stages (B, L), scored (B, L)."""

    def __init__(self, nights: Sequence[Night], recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        self.random = np.random.default_rng(seed)
        pad = recipe.context_epochs - 1
        # Nights lie end to end, each preceded by `pad` unscored epochs that no window can cross.
        self.log_power = np.concatenate(
            [np.pad(night.log_power, ((pad, 0), (0, 0))) for night in nights]
        )
        self.stage = np.concatenate(
            [np.pad(night.stage, (pad, 0), constant_values=-1) for night in nights]
        )
        starts = np.concatenate([np.arange(len(night.stage)) for night in nights])
        before = np.cumsum([0] + [len(night.stage) + pad for night in nights[:-1]])
        self.starts = starts + np.repeat(before, [len(night.stage) for night in nights])

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        recipe, random = self.recipe, self.random
        length, batch = recipe.context_epochs, recipe.batch
        start = random.choice(self.starts, batch)
        at = start[:, None] + np.arange(length)  # (B, L)
        stage = self.stage[at]
        scored = stage >= 0
        position = np.arange(length)
        # Second half: a history of random length. Causal windows hold every length already.
        shorter = random.random(batch) < 0.5
        shorter[: batch // 2] = False
        first = np.where(shorter, random.integers(0, length, batch), 0)
        scored &= position >= first[:, None]
        hidden = random.random(batch) < recipe.hide
        gap_start = random.integers(0, length, batch)[:, None]
        gap_end = gap_start + random.integers(1, 6, batch)[:, None]
        scored &= ~(hidden[:, None] & (position >= gap_start) & (position < gap_end))
        log_power = self.log_power[at] + random.normal(0, recipe.noise, (batch, length, N_BANDS))
        log_power += random.normal(0, recipe.offset, (batch, 1, N_BANDS))
        log_power += random.normal(0, recipe.gain, (batch, 1, 1))
        return (
            torch.from_numpy(log_power.astype(np.float32)),
            torch.from_numpy(np.where(scored, stage, -1)),
            torch.from_numpy(scored),
        )


def weighted_loss(logits: Tensor, stage: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross-entropy, negative ``stage`` ignored."""
    return F.cross_entropy(logits.flatten(0, -2), stage.flatten(), weight=weight, ignore_index=-1)


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
    windows = Windows(train, recipe, seed)
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
    best, best_loss = copy.deepcopy(averaged), math.inf
    for step in range(1, recipe.steps + 1):
        network.train()
        log_power, stage, scored = windows.draw()
        half = recipe.batch // 2
        embeddings = network.embed(EpochInputs(log_power=log_power.flatten(0, 1)))
        embeddings = embeddings.view(*scored.shape, -1)  # (B, L, E)
        causal = network.views(embeddings[:half], scored[:half], causal=True).prediction
        whole = network.views(embeddings[half:], scored[half:], causal=False).prediction
        loss = weighted_loss(torch.cat([causal, whole]), stage, weight)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        _average(averaged, network, min(recipe.average, step / (step + 10)))
        if step % recipe.evaluate_every == 0 or step == recipe.steps:
            live, revised = held_out_losses(averaged, held_out, recipe, weight)
            if live + revised < best_loss:
                best, best_loss = copy.deepcopy(averaged), live + revised
            report(
                step,
                recipe.steps,
                f"train {loss:.3f}  held out: live {live:.4f} revised {revised:.4f}",
            )
    calibrate(best, held_out, recipe, weight)
    return best.eval()


@torch.no_grad()
def _average(averaged: MC2SleepNet, network: MC2SleepNet, keep: float) -> None:
    for slow, fast in zip(averaged.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - keep)


def held_out_losses(
    network: MC2SleepNet, nights: Sequence[Night], recipe: Recipe, weight: Tensor
) -> tuple[float, float]:
    """Weighted cross-entropy of the live and the final revised track."""
    streamed = stream_all(
        network,
        list(nights),
        recipe.context_epochs,
        recipe.revision_epochs,
        recipe.evaluate_stride,
    )
    truth = torch.from_numpy(streamed.truth)
    return (
        float(weighted_loss(torch.from_numpy(streamed.live), truth, weight)),
        float(weighted_loss(torch.from_numpy(streamed.revised), truth, weight)),
    )


def calibrate(
    network: MC2SleepNet, nights: Sequence[Night], recipe: Recipe, weight: Tensor
) -> None:
    """Set each track's temperature to the one of least weighted cross-entropy on ``nights``."""
    streamed = stream_all(
        network,
        list(nights),
        recipe.context_epochs,
        recipe.revision_epochs,
        recipe.evaluate_stride,
    )
    truth = torch.from_numpy(streamed.truth)
    candidates = torch.linspace(0.5, 3.0, 251)
    for track, logits in enumerate((streamed.live, streamed.revised)):
        losses = [
            float(weighted_loss(torch.from_numpy(logits) / temperature, truth, weight))
            for temperature in candidates
        ]
        network.temperature[track] = candidates[int(np.argmin(losses))]
