"""The two parts before fine-tuning: contrast of epochs and cross-masking of sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from models.mc2sleepnet import MC2SleepNet
from offline_training.arrays import F32, I64
from offline_training.data.recordings import LabelledNight
from offline_training.training.augment import Augmentation, augment
from offline_training.training.losses import (
    epoch_mask,
    info_nce,
    logit_loss,
    masked_l1,
    supervised_contrast,
)
from offline_training.training.parts import ValidationResult, mixed
from offline_training.training.reading import UsableEpochs, read_stretches, truth
from offline_training.training.recipe import TrainingRecipe
from offline_training.training.tracks import half_causal
from offline_training.training.windows import DrawnWindows, Windows


class EpochBatch(NamedTuple):
    """Epochs float32 (B, 3000) in uV, their stages int64 (B,), and a seed.

    The seed is for what is drawn on the device: distortions and masks.
    """

    epochs_uv: F32
    stage: I64
    seed: int


class WindowBatch(NamedTuple):
    """Windows of epochs, float32 (B, L, 3000) in uV, their labels, and a seed (`EpochBatch`)."""

    epochs_uv: F32
    drawn: DrawnWindows
    seed: int


def seed_from(random: np.random.Generator) -> int:
    """Draw a seed for a generator on another device."""
    return int(random.integers(2**62))


@torch.no_grad()
def _mean(
    measure: Callable[[np.random.Generator], tuple[Tensor, Tensor]], batches: int
) -> tuple[float, float]:
    """Return the means of two figures over ``batches`` draws, the same draws at every call."""
    pairs = [measure(np.random.default_rng(seed)) for seed in range(batches)]
    first, second = (float(torch.stack(each).mean()) for each in zip(*pairs, strict=True))
    return first, second


class EpochPart:
    """Contrast between the two streams' embeddings of an epoch. A `parts.Part`."""

    name = "epoch"
    epochs_per_item = 1

    def __init__(
        self,
        train: Sequence[LabelledNight],
        validation: Sequence[LabelledNight],
        recipe: TrainingRecipe,
        chain: list[Augmentation],
        device: torch.device,
    ) -> None:
        self.schedule = recipe.epoch
        self.train, self.validation = UsableEpochs(train), UsableEpochs(validation)
        self.recipe, self.chain, self.device = recipe, chain, device

    def read(self, random: np.random.Generator) -> EpochBatch:
        return self._read(self.train, random)

    def loss(self, network: MC2SleepNet, batch: EpochBatch) -> Tensor:
        return self._contrast(network, batch, self.chain)[0]

    def validate(self, network: MC2SleepNet) -> ValidationResult:
        network.eval()
        loss, found = _mean(
            lambda random: self._contrast(network, self._read(self.validation, random), []),
            self.recipe.validation_batches,
        )
        return ValidationResult(loss, {"found": found})

    def _read(self, source: UsableEpochs, random: np.random.Generator) -> EpochBatch:
        return EpochBatch(*source.draw(random, self.schedule.micro_batch), seed_from(random))

    def _contrast(
        self, network: MC2SleepNet, batch: EpochBatch, chain: list[Augmentation]
    ) -> tuple[Tensor, Tensor]:
        """Return the loss, and the share of raw embeddings nearest to their own spectral one."""
        epochs_uv = torch.from_numpy(batch.epochs_uv).to(self.device)
        generator = Generator(self.device).manual_seed(batch.seed)
        with torch.no_grad():
            # Two calls of augment: each stream sees its own distortion of the epoch.
            raw = network.measure(augment(epochs_uv, chain, generator), spectral=False).raw
            spectral = network.measure(augment(epochs_uv, chain, generator), raw=False)
        with mixed(self.device):
            embeddings = network.embed(spectral._replace(raw=raw))
            a, b = network.contrast(embeddings)
        temperature = self.recipe.temperature
        if self.recipe.supervised_contrast:
            stage = torch.from_numpy(batch.stage).to(self.device)
            loss = supervised_contrast(a, b, stage, temperature)
        else:
            loss = info_nce(a, b, temperature)
        nearest = (a.float() @ b.float().T).argmax(dim=1)
        return loss, (nearest == torch.arange(len(a), device=self.device)).float().mean()


class SequencePart:
    """Cross-masked rebuilding and single-view staging of windows of epochs. A `parts.Part`."""

    name = "sequence"

    def __init__(
        self,
        train: Sequence[LabelledNight],
        validation: Sequence[LabelledNight],
        recipe: TrainingRecipe,
        chain: list[Augmentation],
        device: torch.device,
    ) -> None:
        self.schedule = recipe.sequence
        self.epochs_per_item = recipe.sequence_length
        self.recipe, self.chain, self.device = recipe, chain, device
        self.train, self.validation = (
            _RecordedWindows(recordings, recipe) for recordings in (train, validation)
        )
        self.even = torch.ones(5, device=device)

    def read(self, random: np.random.Generator) -> WindowBatch:
        return self._read(self.train, random)

    def loss(self, network: MC2SleepNet, batch: WindowBatch) -> Tensor:
        staging, rebuilding = self._losses(network, batch, self.chain)
        return staging + self.recipe.reconstruction_weight * rebuilding

    def validate(self, network: MC2SleepNet) -> ValidationResult:
        network.eval()
        staging, rebuilding = _mean(
            lambda random: self._losses(network, self._read(self.validation, random), []),
            self.recipe.validation_batches,
        )
        return ValidationResult(
            staging + self.recipe.reconstruction_weight * rebuilding,
            {"single_view_loss": staging, "masked_l1": rebuilding},
        )

    def _read(self, source: _RecordedWindows, random: np.random.Generator) -> WindowBatch:
        drawn = source.windows.draw_labelled(random, self.schedule.micro_batch)
        stretches = source.windows.stretches(drawn)
        epochs_uv = read_stretches(source.recordings, stretches, self.epochs_per_item)
        return WindowBatch(epochs_uv, drawn, seed_from(random))

    def _losses(
        self, network: MC2SleepNet, batch: WindowBatch, chain: list[Augmentation]
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy of the single views and the L1 of the rebuilt hidden epochs.

        A network of one stream rebuilds nothing: its L1 is 0.
        """
        scored, stage = batch.drawn.scored.to(self.device), batch.drawn.stage.to(self.device)
        generator = Generator(self.device).manual_seed(batch.seed)
        # Unscored epochs stay out of the encoders: their zeros would enter batch-norm.
        epochs_uv = torch.from_numpy(batch.epochs_uv).to(self.device)[scored]  # (N, 3000)
        with torch.no_grad():
            inputs = network.measure(augment(epochs_uv, chain, generator))
        with mixed(self.device):
            embeddings = scatter(network.embed(inputs).float(), scored)  # (B, L, E)
            logits = half_causal(network.single_views, embeddings, scored)
        staging = logit_loss(logits, stage, self.even)
        if not network.config.two_streams:
            return staging, staging.new_zeros(())
        masks = [epoch_mask(scored, self.recipe.mask_share, generator) for _ in range(2)]
        with mixed(self.device):
            rebuilt = network.reconstruct(embeddings, scored, *masks)
        rebuilding = [
            masked_l1(*each)
            for each in zip(rebuilt, embeddings.chunk(2, dim=2), masks, strict=True)
        ]
        return staging, torch.stack(rebuilding).mean()


def scatter(embeddings: Tensor, scored: Tensor) -> Tensor:
    """Place embeddings (N, E) at the N True positions of ``scored`` (B, L); zeros elsewhere.

    Returns (B, L, E).
    """
    placed = embeddings.new_zeros(*scored.shape, embeddings.shape[1])
    return placed.masked_scatter(scored.unsqueeze(2), embeddings)


class _RecordedWindows:
    """Recordings and the windows that can be drawn from them."""

    def __init__(self, recordings: Sequence[LabelledNight], recipe: TrainingRecipe) -> None:
        self.recordings = recordings
        self.windows = Windows(
            [truth(one) for one in recordings],
            [one.usable for one in recordings],
            recipe.sequence_length,
            recipe.hide,
        )
