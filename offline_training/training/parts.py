"""The three parts of the training: what each draws, makes small and looks at.

A part trains the modules named in `TRAINED` and leaves all others as they are: without gradients
and in eval mode, so that batch-norm keeps its running statistics.

- *epoch*: the two streams' embeddings of one epoch find each other (contrast). Each stream sees
  its own distortion of the epoch.
- *sequence*: hidden epochs are rebuilt from the other stream, and each stream stages by itself.
  The epoch encoders train along: they have seen no label yet, and embeddings that neither
  stream's stage needs are easiest to rebuild. The rebuilt target carries no gradient.
- *finetune*: five logit sets on embeddings that are computed once, since the encoders are frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from models.mc2sleepnet import MC2SleepNet
from offline_training.data.recordings import Recording
from offline_training.evaluation.scores import Scores
from offline_training.evaluation.streaming import Streamed, probabilities, stream_all
from offline_training.training.augment import Augmentation, augment
from offline_training.training.distributed import Ranks
from offline_training.training.losses import (
    epoch_mask,
    info_nce,
    logit_loss,
    masked_l1,
    supervised_contrast,
)
from offline_training.training.reading import (
    UsableEpochs,
    encode_nights,
    read_stretches,
    truth,
)
from offline_training.training.recipe import Recipe, Schedule
from offline_training.training.tracks import half_causal, stage_weights, track_losses
from offline_training.training.windows import Windows

TRAINED = {
    "epoch": ("raw_encoder", "spectral_encoder", "raw_projection", "spectral_projection"),
    "sequence": (
        *("raw_encoder", "raw_stack", "raw_head", "raw_mask_token"),
        *("spectral_encoder", "spectral_stack", "spectral_head", "spectral_mask_token"),
    ),
    "finetune": ("raw_stack", "raw_head", "spectral_stack", "spectral_head", "joint_head"),
}
"""By part, the modules and parameters of `MC2SleepNet` that it trains (those that exist)."""


class Looked(NamedTuple):
    """What a look at the validation subjects found; the least ``loss`` is kept."""

    loss: float
    figures: dict[str, float | None]

    def __str__(self) -> str:
        found = (f"{name} {value:.3f}" for name, value in self.figures.items() if value is not None)
        return "  ".join([f"{self.loss:.4f}", *found])


class Part(Protocol):
    """One part of the training."""

    name: str
    schedule: Schedule
    epochs_per_item: int

    def loss(self, network: MC2SleepNet, random: np.random.Generator) -> Tensor:
        """Of one micro-batch, drawn with ``random`` alone."""
        ...

    def look(self, network: MC2SleepNet) -> Looked:
        """At the validation subjects; the same at every call."""
        ...


def select(network: MC2SleepNet, part: str) -> None:
    """Let ``part``'s modules train and freeze the others."""
    network.eval()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.partition(".")[0] in TRAINED[part])
    for name, module in network.named_children():
        module.train(name in TRAINED[part])


def _mixed(device: torch.device) -> torch.autocast:
    """bfloat16 where it is fast. Spectra and losses are computed outside, in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _generator(random: np.random.Generator, device: torch.device) -> Generator:
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
        generator = _generator(random, self.device)
        with torch.no_grad():
            raw = network.measure(augment(epochs_uv, chain, generator)).raw
            spectral = network.measure(augment(epochs_uv, chain, generator))
        with _mixed(self.device):
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
        generator = _generator(random, self.device)
        # Unscored epochs stay out of the encoders: their zeros would enter batch-norm.
        epochs_uv = torch.from_numpy(windows).to(self.device)[scored]  # (N, 3000)
        with torch.no_grad():
            inputs = network.measure(augment(epochs_uv, chain, generator))
        masks = [epoch_mask(scored, self.recipe.mask_share, generator) for _ in range(2)]
        with _mixed(self.device):
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


class FinetunePart:
    """All logit sets from embeddings computed once: nothing of the encoders changes here."""

    name = "finetune"

    def __init__(
        self,
        network: MC2SleepNet,
        train: Sequence[Recording],
        validation: Sequence[Recording],
        recipe: Recipe,
        ranks: Ranks,
    ) -> None:
        self.schedule = recipe.finetune
        self.epochs_per_item = recipe.sequence_length
        self.recipe, self.device = recipe, ranks.device
        nights = encode_nights(network, train, ranks)
        self.weight = stage_weights(nights, recipe.class_weight_power)
        self.windows = Windows(
            [night.stage for night in nights],
            [night.scored for night in nights],
            recipe.sequence_length,
            recipe.hide,
        )
        laid_out = self.windows.lay_out([night.embeddings.numpy() for night in nights], 0)
        self.embeddings = torch.from_numpy(laid_out)  # (N, E)
        self.validation = encode_nights(network, validation, ranks)

    def loss(self, network: MC2SleepNet, random: np.random.Generator) -> Tensor:
        drawn = self.windows.draw_labelled(random, self.schedule.micro_batch)
        embeddings = self.embeddings[torch.from_numpy(drawn.at)].to(self.device)  # (B, L, E)
        with _mixed(self.device):
            logits = half_causal(network.views, embeddings, drawn.scored.to(self.device))
        return logit_loss(logits, drawn.stage.to(self.device), self.weight.to(self.device))

    def look(self, network: MC2SleepNet) -> Looked:
        streamed = self.streamed(network, self.recipe.evaluate_stride)
        live, revised = track_losses(streamed, self.weight)
        figures: dict[str, float | None] = {"live_loss": live, "revised_loss": revised}
        for track, answer in zip(
            ("live", "revised"), probabilities(network, streamed), strict=True
        ):
            found = Scores.of(streamed.truth, answer).to_json()
            figures |= {f"{track}_{name}": found[name] for name in ("accuracy", "kappa")}
        return Looked(live + revised, figures)

    def streamed(self, network: MC2SleepNet, stride: int) -> Streamed:
        """The validation subjects' nights, staged as the monitor would."""
        recipe = self.recipe
        return stream_all(
            network, self.validation, recipe.sequence_length, recipe.revision_epochs, stride
        )
