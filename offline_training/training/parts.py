"""The three parts of the training, and the interface that `trainer.Trainer` drives them through.

The command line calls a part a stage (``--stage``). In the code a stage is always a sleep stage.

- *epoch*: contrast. The raw and the spectral embedding of one epoch learn to find each other.
  Each stream sees its own distortion of the epoch.
- *sequence*: cross-masking. The network rebuilds hidden epochs from the other stream, and each
  stream predicts the stages by itself. The epoch encoders are trained too, because no label has
  reached them before. Labels matter here: embeddings that carry no stage are the easiest to
  rebuild. The rebuilt target gets no gradient.
- *finetune*: five logit sets. The encoders are frozen, so every epoch is encoded only once.

A part trains the modules that `TRAINED` names. All others get no gradients and stay in eval mode,
so that batch-norm keeps its running statistics.
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
"""The parts in order, each with the modules and parameters of `MC2SleepNet` that it trains.

A network that lacks an input lacks some of these modules; the part then trains the rest.
"""


def parts_of(network: NetworkConfig) -> tuple[str, ...]:
    """Return the parts that can train ``network``, in order.

    A network of one stream has nothing to contrast, so it skips *epoch*.
    """
    return tuple(part for part in TRAINED if part != "epoch" or network.two_streams)


class ValidationResult(NamedTuple):
    """Loss and figures of a network on the validation subjects.

    The trainer keeps the weights with the least ``loss``. ``figures`` are columns of
    ``metrics.csv``.
    """

    loss: float
    figures: dict[str, float | None]

    def __str__(self) -> str:
        known = (f"{name} {value:.3f}" for name, value in self.figures.items() if value is not None)
        return "  ".join([f"{self.loss:.4f}", *known])


Batch = TypeVar("Batch")


class Part(Protocol[Batch]):
    """A part of the training: its data, its loss and its validation.

    - ``name`` is a key of `TRAINED`.
    - ``epochs_per_item`` is the number of epochs in one item of a batch. It counts throughput.
    """

    name: str
    schedule: Schedule
    epochs_per_item: int

    def read(self, random: np.random.Generator) -> Batch:
        """Return one micro-batch, drawn with ``random`` alone.

        The trainer calls this in a second thread while `loss` runs in the first. It calls no
        other method meanwhile.
        """
        ...

    def loss(self, network: MC2SleepNet, batch: Batch) -> Tensor:
        """Return the loss of one micro-batch, a scalar that carries gradients."""
        ...

    def validate(self, network: MC2SleepNet) -> ValidationResult:
        """Measure ``network`` on the validation subjects, with the same draws at every call."""
        ...


def select(network: MC2SleepNet, part: str) -> None:
    """Make the modules of ``part`` trainable and freeze all others."""
    network.eval()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.partition(".")[0] in TRAINED[part])
    for name, module in network.named_children():
        module.train(name in TRAINED[part])


def mixed(device: torch.device) -> torch.autocast:
    """Return a context that computes in bfloat16 on a GPU and in float32 on a CPU.

    Compute spectra and losses outside of it, in float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
