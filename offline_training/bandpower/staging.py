"""Stage whole nights as the monitor would: one epoch at a time, with the context it would have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.mc2sleepnet import EpochInputs, MC2SleepNet
from offline_training.bandpower.nights import Night

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Streamed:
    """Logits of a night, float32 (n, 5), before temperature, as they would have left the stager."""

    truth: I64
    live: F32
    revised: F32


def embed_night(network: MC2SleepNet, night: Night) -> Tensor:
    """(n, E)."""
    return network.embed(EpochInputs(log_power=torch.from_numpy(night.log_power)))


@torch.inference_mode()
def stream(
    network: MC2SleepNet,
    night: Night,
    context_epochs: int,
    revision_epochs: int,
    stride: int = 1,
    batch: int = 256,
) -> Streamed:
    """Live logits of every ``stride``-th epoch from at most ``context_epochs`` epochs ending at
    it; revised logits of it once ``revision_epochs`` later epochs (or the night's end) are seen."""
    network.eval()
    n = len(night.stage)
    padding = context_epochs - 1
    embeddings = torch.nn.functional.pad(embed_night(network, night), (0, 0, padding, 0))
    scored = torch.nn.functional.pad(torch.from_numpy(night.stage >= 0), (padding, 0))

    def logits(newest: Tensor, wanted: Tensor, causal: bool) -> Tensor:
        """At epoch ``wanted``, from the window that ends at ``newest``; both (m,)."""
        found = []
        for end, at in zip(torch.split(newest, batch), torch.split(wanted, batch), strict=True):
            window = end.unsqueeze(1) + torch.arange(context_epochs)  # (b, L), into the padded
            all_logits = network.views(embeddings[window], scored[window], causal).prediction
            found.append(all_logits[torch.arange(len(at)), context_epochs - 1 - (end - at)])
        return torch.cat(found)

    at = torch.arange(0, n, stride)
    return Streamed(
        truth=night.stage[::stride],
        live=logits(at, at, causal=True).numpy(),
        revised=logits((at + revision_epochs).clamp_max(n - 1), at, causal=False).numpy(),
    )


def stream_all(
    network: MC2SleepNet,
    nights: list[Night],
    context_epochs: int,
    revision_epochs: int,
    stride: int = 1,
) -> Streamed:
    """`stream` over several nights, end to end; each starts without history."""
    streamed = [stream(network, night, context_epochs, revision_epochs, stride) for night in nights]
    return Streamed(
        truth=np.concatenate([one.truth for one in streamed]),
        live=np.concatenate([one.live for one in streamed]),
        revised=np.concatenate([one.revised for one in streamed]),
    )
