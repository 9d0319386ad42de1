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

from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from models.mc2sleepnet import MC2SleepNet, NetworkConfig
from offline_training.training.recipe import Schedule

TRAINED = {
    "epoch": ("raw_encoder", "spectral_encoder", "raw_projection", "spectral_projection"),
    "sequence": (
        *("raw_encoder", "raw_stack", "raw_head", "raw_mask_token"),
        *("spectral_encoder", "spectral_stack", "spectral_head", "spectral_mask_token"),
    ),
    "finetune": ("raw_stack", "raw_head", "spectral_stack", "spectral_head", "joint_head"),
}
"""By part, the modules and parameters of `MC2SleepNet` that it trains (those that exist)."""


def parts_of(network: NetworkConfig) -> tuple[str, ...]:
    """All parts, in order; a network of one stream has nothing to contrast."""
    return tuple(part for part in TRAINED if part != "epoch" or network.two_streams)


class Looked(NamedTuple):
    """What a look at the validation subjects found; the least ``loss`` is kept."""

    loss: float
    figures: dict[str, float | None]

    def __str__(self) -> str:
        found = (f"{name} {value:.3f}" for name, value in self.figures.items() if value is not None)
        return "  ".join([f"{self.loss:.4f}", *found])


Batch = TypeVar("Batch")


class Part(Protocol[Batch]):
    """One part of the training."""

    name: str
    schedule: Schedule
    epochs_per_item: int

    def read(self, random: np.random.Generator) -> Batch:
        """One micro-batch, drawn with ``random`` alone. May run in another thread, while no other
        method but `loss` does."""
        ...

    def loss(self, network: MC2SleepNet, batch: Batch) -> Tensor: ...

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


def mixed(device: torch.device) -> torch.autocast:
    """bfloat16 where it is fast. Spectra and losses are computed outside, in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
