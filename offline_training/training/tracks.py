"""Train one set of weights for both tracks, live and revised, and calibrate each track.

Half of a batch is staged causally: every position is then a live prediction with a history of its
own length. The other half sees the whole window, as the revised track does. Works for a network
with any inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.contract import STAGES
from models.mc2sleepnet import Logits, MC2SleepNet
from offline_training.arrays import I64
from offline_training.evaluation.streaming import Streamed

View = Callable[[Tensor, Tensor, bool], Logits]
"""`MC2SleepNet.views`, `single_views` or `staging_view`: (embeddings, scored, causal) -> logits."""


class HasStages(Protocol):
    """Anything that holds the expert's stages, int64 (n,), -1 where the expert scored none."""

    @property
    def stage(self) -> I64: ...


def stage_weights(nights: Sequence[HasStages], power: float = 0.5) -> Tensor:
    """Return the loss weight of each stage: its inverse frequency to ``power``. float32 (5,).

    The mean weight over the scored epochs of ``nights`` is 1. A stage that no night contains has
    weight 1. The default power is the square root.
    """
    stage = np.concatenate([night.stage for night in nights])
    share = np.bincount(stage[stage >= 0], minlength=len(STAGES)) / (stage >= 0).sum()
    present = share > 0
    weight = np.ones(len(STAGES))
    weight[present] = 1 / share[present] ** power
    weight[present] /= (weight * share).sum()
    return torch.tensor(weight, dtype=torch.float32)


def weighted_loss(logits: Tensor, stage: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted cross-entropy of logits (..., 5) against stages (...).

    Epochs with stage -1 do not count. ``weight`` is float32 (5,).
    """
    return F.cross_entropy(logits.flatten(0, -2), stage.flatten(), weight=weight, ignore_index=-1)


def half_causal(view: View, embeddings: Tensor, scored: Tensor) -> Logits:
    """Apply ``view`` to the first half of a batch causally, to the second with the whole window.

    ``embeddings`` is (B, L, E), ``scored`` bool (B, L). Returns logits (B, L, 5).
    """
    half = len(embeddings) // 2
    causal = view(embeddings[:half], scored[:half], True)
    whole = view(embeddings[half:], scored[half:], False)
    return Logits(
        *(
            None if first is None or second is None else torch.cat([first, second])
            for first, second in zip(causal, whole, strict=True)
        )
    )


def track_losses(streamed: Streamed, weight: Tensor) -> tuple[float, float]:
    """Return the weighted cross-entropy of the live and of the final revised track."""
    truth = torch.from_numpy(streamed.truth)
    live, revised = (
        float(weighted_loss(torch.from_numpy(logits), truth, weight))
        for logits in (streamed.live, streamed.revised)
    )
    return live, revised


def calibrate(network: MC2SleepNet, streamed: Streamed) -> None:
    """Set each track's temperature to the one with the least cross-entropy on ``streamed``.

    Every epoch counts the same here, unlike in training: a probability should match the frequency
    of a stage in real nights.
    """
    truth = torch.from_numpy(streamed.truth)
    even = torch.ones(len(STAGES))
    candidates = torch.linspace(0.5, 3.0, 251)
    for track, logits in enumerate((streamed.live, streamed.revised)):
        losses = [
            float(weighted_loss(torch.from_numpy(logits) / temperature, truth, even))
            for temperature in candidates
        ]
        network.temperature[track] = candidates[int(np.argmin(losses))]
