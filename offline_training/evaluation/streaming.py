"""Stage whole nights as the monitor would: one epoch at a time, with the context it would have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.mc2sleepnet import MC2SleepNet
from offline_training.arrays import F32, I64, Bool


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedNight:
    """A night whose n epochs have been encoded.

    - ``embeddings``: float32 (n, E), on the CPU. What stands at an unscored epoch is never read.
    - ``stage``: int64 (n,), -1 where the expert or the monitor scored none.
    - ``scored``: bool (n,), False where the monitor would leave the epoch unscored.
    """

    embeddings: Tensor
    stage: I64
    scored: Bool


@dataclass(frozen=True, slots=True, eq=False)
class Streamed:
    """Logits of a night, float32 (n, 5), before temperature, as they would have left the stager."""

    truth: I64
    live: F32
    revised: F32


@torch.inference_mode()
def stream(
    network: MC2SleepNet,
    night: EmbeddedNight,
    context_epochs: int,
    revision_epochs: int,
    stride: int = 1,
    batch: int = 256,
) -> Streamed:
    """Live logits of every ``stride``-th epoch from at most ``context_epochs`` epochs ending at
    it; revised logits of it once ``revision_epochs`` later epochs (or the night's end) are seen.

    The network is put in eval mode and runs where its parameters are.
    """
    network.eval()
    device = network.temperature.device
    n = len(night.stage)
    padding = context_epochs - 1
    embeddings = F.pad(night.embeddings.to(device), (0, 0, padding, 0))
    scored = F.pad(torch.from_numpy(night.scored).to(device), (padding, 0))

    def logits(newest: Tensor, wanted: Tensor, causal: bool) -> Tensor:
        """At epoch ``wanted``, from the window that ends at ``newest``; both (m,)."""
        found = []
        for end, at in zip(torch.split(newest, batch), torch.split(wanted, batch), strict=True):
            window = end.unsqueeze(1) + torch.arange(context_epochs, device=device)  # (b, L)
            view = network.staging_view(embeddings[window], scored[window], causal).prediction
            rows = torch.arange(len(at), device=device)
            found.append(view[rows, context_epochs - 1 - (end - at)].cpu())
        return torch.cat(found)

    at = torch.arange(0, n, stride, device=device)
    return Streamed(
        truth=night.stage[::stride],
        live=logits(at, at, causal=True).numpy(),
        revised=logits((at + revision_epochs).clamp_max(n - 1), at, causal=False).numpy(),
    )


def stream_all(
    network: MC2SleepNet,
    nights: Iterable[EmbeddedNight],
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


def probabilities(network: MC2SleepNet, streamed: Streamed) -> tuple[F32, F32]:
    """Calibrated live and revised probabilities, (n, 5) each."""
    live, revised = (
        (torch.from_numpy(logits) / temperature).softmax(dim=1).numpy()
        for logits, temperature in zip(
            (streamed.live, streamed.revised), network.temperature.cpu(), strict=True
        )
    )
    return live, revised
