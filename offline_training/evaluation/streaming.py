"""Stage whole nights in batches, with the context that the monitor has at each epoch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.calibration import calibrated
from models.mc2sleepnet import MC2SleepNet
from offline_training.arrays import F32, I64, Bool


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedNight:
    """A night whose n epochs have been encoded.

    - ``embeddings``: float32 (n, E), on the CPU. The row of an unscored epoch is never read.
    - ``stage``: int64 (n,), index into `STAGES`; -1 if the expert or the monitor scored none.
    - ``scored``: bool (n,), False if the monitor would leave the epoch unscored.
    """

    embeddings: Tensor
    stage: I64
    scored: Bool


@dataclass(frozen=True, slots=True, eq=False)
class Streamed:
    """Logits of n epochs, before they are divided by the temperature.

    - ``live`` and ``revised``: float32 (n, 5), as the monitor's stager computes them.
    - ``truth``: int64 (n,), the stage of the same epochs, -1 if unscored.
    """

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
    """Compute the live and revised logits of every ``stride``-th epoch.

    The live logits see at most ``context_epochs`` epochs, the last of which is the epoch itself.
    The revised ones also see ``revision_epochs`` later epochs, or as many as the night has.

    Side effect: the network is put in eval mode. It runs on the device of its parameters.
    """
    network.eval()
    device = network.temperature.device
    n = len(night.stage)
    padding = context_epochs - 1
    embeddings = F.pad(night.embeddings.to(device), (0, 0, padding, 0))
    scored = F.pad(torch.from_numpy(night.scored).to(device), (padding, 0))

    def logits(newest: Tensor, wanted: Tensor, causal: bool) -> Tensor:
        """Return the logits (m, 5) of epochs ``wanted``, from the windows ending at ``newest``.

        ``newest`` and ``wanted`` are (m,). ``embeddings`` is padded by ``context_epochs - 1``, so
        the window that ends at epoch e begins at row e.
        """
        batches = []
        for end, at in zip(torch.split(newest, batch), torch.split(wanted, batch), strict=True):
            window = end.unsqueeze(1) + torch.arange(context_epochs, device=device)  # (b, L)
            view = network.staging_view(embeddings[window], scored[window], causal).prediction
            rows = torch.arange(len(at), device=device)
            batches.append(view[rows, context_epochs - 1 - (end - at)].cpu())
        return torch.cat(batches)

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
    """Apply `stream` to several nights and join the results; each night starts without history."""
    streamed = [stream(network, night, context_epochs, revision_epochs, stride) for night in nights]
    return Streamed(
        truth=np.concatenate([one.truth for one in streamed]),
        live=np.concatenate([one.live for one in streamed]),
        revised=np.concatenate([one.revised for one in streamed]),
    )


def probabilities(network: MC2SleepNet, streamed: Streamed) -> tuple[F32, F32]:
    """Return the calibrated live and revised probabilities, float32 (n, 5) each."""
    logits = (torch.from_numpy(streamed.live), torch.from_numpy(streamed.revised))
    live, revised = calibrated(*logits, network.temperature.detach().cpu())
    return live.numpy(), revised.numpy()
