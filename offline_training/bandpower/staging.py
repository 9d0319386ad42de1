"""Staging of nights that are given as band powers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.mc2sleepnet import EpochInputs, MC2SleepNet
from offline_training.data.bandpowers import BandPowerNight
from offline_training.evaluation.streaming import EmbeddedNight, Streamed, stream_all


def embed_night(network: MC2SleepNet, night: BandPowerNight) -> Tensor:
    """Return the embedding of each epoch, float32 (n, E)."""
    return network.embed(EpochInputs(log_power=torch.from_numpy(night.log_power)))


@torch.inference_mode()
def stream_nights(
    network: MC2SleepNet,
    nights: Sequence[BandPowerNight],
    context_epochs: int,
    revision_epochs: int,
    stride: int = 1,
) -> Streamed:
    """Stage nights of band powers as `stream_all` does. Epochs without a stage are unscored."""
    network.eval()
    embedded = (
        EmbeddedNight(embed_night(network, night), night.stage, night.stage >= 0)
        for night in nights
    )
    return stream_all(network, embedded, context_epochs, revision_epochs, stride)
