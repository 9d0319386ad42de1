"""The two parts before fine-tuning: contrast of epochs, cross-masking of sequences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from models.mc2sleepnet import MC2SleepNet
from offline_training.data.recordings import Recording
from offline_training.training.augment import Augmentation, augment
from offline_training.training.losses import (
    epoch_mask,
    info_nce,
    logit_loss,
    masked_l1,
    supervised_contrast,
)
from offline_training.training.parts import Looked, mixed
from offline_training.training.reading import UsableEpochs, read_stretches, truth
from offline_training.training.recipe import Recipe
from offline_training.training.tracks import half_causal
from offline_training.training.windows import Windows


def generator_of(random: np.random.Generator, device: torch.device) -> Generator:
    return Generator(device).manual_seed(int(random.integers(2**62)))


class EpochPart:
    """Contrast between the streams' embeddings of an epoch."""

    name = "epoch"
    epochs_per_item = 1

    def __init__(
        self,
        train: Sequence[Recording],
        validation: Sequence[Recording],
        recipe: Recipe,
        chain: list[Augmentation],
        device: torch.device,
    ) -> None:
        self.schedule = recipe.epoch
        self.train, self.validation = UsableEpochs(train), UsableEpochs(validation)
        self.recipe, self.chain, self.device = recipe, chain, device

    def loss(self, network: MC2SleepNet, random: np.random.Generator) -> Tensor:
        return self._contrast(network, self.train, self.chain, random)[0]

    def look(self, network: MC2SleepNet) -> Looked:
        network.eval()
        with torch.no_grad():
            found = torch.stack(
                [
                    torch.stack(
                        self._contrast(network, self.validation, [], np.random.default_rng(seed))
                    )
                    for seed in range(self.recipe.validation_batches)
                ]
            ).mean(dim=0)
        return Looked(float(found[0]), {"found": float(found[1])})

    def _contrast(
        self,
        network: MC2SleepNet,
        source: UsableEpochs,
        chain: list[Augmentation],
        random: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """The loss, and the share of raw embeddings that find their epoch's spectral one."""
        drawn, stages = source.draw(random, self.schedule.micro_batch)
        epochs_uv = torch.from_numpy(drawn).to(self.device)
        generator = generator_of(random, self.device)
        with torch.no_grad():
            raw = network.measure(augment(epochs_uv, chain, generator)).raw
            spectral = network.measure(augment(epochs_uv, chain, generator))
        with mixed(self.device):
            embeddings = network.embed(spectral._replace(raw=raw))
            a, b = network.contrast(embeddings)
        temperature = self.recipe.temperature
        if self.recipe.supervised_contrast:
            stage = torch.from_numpy(stages).to(self.device)
            loss = supervised_contrast(a, b, stage, temperature)
        else:
            loss = info_nce(a, b, temperature)
        nearest = (a.float() @ b.float().T).argmax(dim=1)
        return loss, (nearest == torch.arange(len(a), device=self.device)).float().mean()


class SequencePart:
    """Cross-masked rebuilding and single-view staging of windows of epochs."""

    name = "sequence"

    def __init__(
        self,
        train: Sequence[Recording],
        validation: Sequence[Recording],
        recipe: Recipe,
        chain: list[Augmentation],
        device: torch.device,
    ) -> None:
        self.schedule = recipe.sequence
        self.epochs_per_item = recipe.sequence_length
        self.recipe, self.chain, self.device = recipe, chain, device
        self.train, self.validation = (
            _WindowsOf(recordings, recipe) for recordings in (train, validation)
        )
        self.even = torch.ones(5, device=device)

    def loss(self, network: MC2SleepNet, random: np.random.Generator) -> Tensor:
        staging, rebuilding = self._losses(network, self.train, self.chain, random)
        return staging + self.recipe.reconstruction_weight * rebuilding

    def look(self, network: MC2SleepNet) -> Looked:
        network.eval()
        with torch.no_grad():
            found = torch.stack(
                [
                    torch.stack(
                        self._losses(network, self.validation, [], np.random.default_rng(seed))
                    )
                    for seed in range(self.recipe.validation_batches)
                ]
            ).mean(dim=0)
        staging, rebuilding = float(found[0]), float(found[1])
        return Looked(
            staging + self.recipe.reconstruction_weight * rebuilding,
            {"single_view_loss": staging, "masked_l1": rebuilding},
        )

    def _losses(
        self,
        network: MC2SleepNet,
        source: _WindowsOf,
        chain: list[Augmentation],
        random: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the single views and L1 of what was hidden from either stream."""
        drawn = source.windows.draw_labelled(random, self.schedule.micro_batch)
        stretches = source.windows.stretches(drawn)
        windows = read_stretches(source.recordings, stretches, self.epochs_per_item)
        scored, stage = drawn.scored.to(self.device), drawn.stage.to(self.device)
        generator = generator_of(random, self.device)
        # Unscored epochs stay out of the encoders: their zeros would enter batch-norm.
        epochs_uv = torch.from_numpy(windows).to(self.device)[scored]  # (N, 3000)
        with torch.no_grad():
            inputs = network.measure(augment(epochs_uv, chain, generator))
        masks = [epoch_mask(scored, self.recipe.mask_share, generator) for _ in range(2)]
        with mixed(self.device):
            embeddings = scatter(network.embed(inputs).float(), scored)  # (B, L, E)
            rebuilt = network.reconstruct(embeddings, scored, *masks)
            logits = half_causal(network.single_views, embeddings, scored)
        rebuilding = [
            masked_l1(*each)
            for each in zip(rebuilt, embeddings.chunk(2, dim=2), masks, strict=True)
        ]
        return logit_loss(logits, stage, self.even), torch.stack(rebuilding).mean()


def scatter(embeddings: Tensor, scored: Tensor) -> Tensor:
    """Embeddings (N, E) of the N True places of ``scored`` (B, L) -> (B, L, E), zeros elsewhere."""
    placed = embeddings.new_zeros(*scored.shape, embeddings.shape[1])
    return placed.masked_scatter(scored.unsqueeze(2), embeddings)


class _WindowsOf:
    """Recordings and the windows that can be drawn from them."""

    def __init__(self, recordings: Sequence[Recording], recipe: Recipe) -> None:
        self.recordings = recordings
        self.windows = Windows(
            [truth(one) for one in recordings],
            [one.usable for one in recordings],
            recipe.sequence_length,
            recipe.hide,
        )
