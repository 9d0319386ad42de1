"""Band-power nights, encoded and streamed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.mc2sleepnet import EpochInputs, MC2SleepNet
from offline_training.data.bandpowers import BandPowerNight
from offline_training.evaluation.streaming import EmbeddedNight, Streamed, stream_all


def embed_night(network: MC2SleepNet, night: BandPowerNight) -> Tensor:
    """(n, E)."""
    return network.embed(EpochInputs(log_power=torch.from_numpy(night.log_power)))


@torch.inference_mode()
def stream_nights(
    network: MC2SleepNet,
    nights: Sequence[BandPowerNight],
    context_epochs: int,
    revision_epochs: int,
    stride: int = 1,
) -> Streamed:
    """`stream_all` over nights of band powers; epochs without an expert's stage are unscored."""
    network.eval()
    embedded = (
        EmbeddedNight(embed_night(network, night), night.stage, night.stage >= 0)
        for night in nights
    )
    return stream_all(network, embedded, context_epochs, revision_epochs, stride)
