"""How a network learns both tracks at once, whatever its inputs: live and revised.

Half of a batch is staged causally, so that every position is a live prediction with a history of
its own length; half with the whole window in view, as the revised track sees it. Same weights.
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
"""`MC2SleepNet.views`, `single_views` or `staging_view`."""


class HasStages(Protocol):
    """Anything with the expert's stages, int64 (n,), -1 where there is none."""

    @property
    def stage(self) -> I64: ...


def stage_weights(nights: Sequence[HasStages], power: float = 0.5) -> Tensor:
    """Inverse class frequency to ``power`` (square root by default), mean 1 over the scored
    epochs of ``nights``; 1 for a stage that is in none of them. float32 (5,)."""
    stage = np.concatenate([night.stage for night in nights])
    share = np.bincount(stage[stage >= 0], minlength=len(STAGES)) / (stage >= 0).sum()
    present = share > 0
    weight = np.ones(len(STAGES))
    weight[present] = 1 / share[present] ** power
    weight[present] /= (weight * share).sum()
    return torch.tensor(weight, dtype=torch.float32)


def weighted_loss(logits: Tensor, stage: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross-entropy of (..., 5) against (...), negative ``stage`` ignored."""
    return F.cross_entropy(logits.flatten(0, -2), stage.flatten(), weight=weight, ignore_index=-1)


def half_causal(view: View, embeddings: Tensor, scored: Tensor) -> Logits:
    """``view`` of a batch (B, L, E): its first half causally, the rest with the whole window."""
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
    """Weighted cross-entropy of the live and the final revised track."""
    truth = torch.from_numpy(streamed.truth)
    live, revised = (
        float(weighted_loss(torch.from_numpy(logits), truth, weight))
        for logits in (streamed.live, streamed.revised)
    )
    return live, revised


def calibrate(network: MC2SleepNet, streamed: Streamed) -> None:
    """Set each track's temperature to the one of least cross-entropy on ``streamed``, every epoch
    counting the same: probabilities are those of nights as they are."""
    truth = torch.from_numpy(streamed.truth)
    even = torch.ones(len(STAGES))
    candidates = torch.linspace(0.5, 3.0, 251)
    for track, logits in enumerate((streamed.live, streamed.revised)):
        losses = [
            float(weighted_loss(torch.from_numpy(logits) / temperature, truth, even))
            for temperature in candidates
        ]
        network.temperature[track] = candidates[int(np.argmin(losses))]


@torch.no_grad()
def average(averaged: MC2SleepNet, network: MC2SleepNet, keep: float) -> None:
    """Move ``averaged`` towards ``network``: an exponential moving average over steps."""
    for slow, fast in zip(averaged.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - keep)
