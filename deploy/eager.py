"""The plain network as a backend: the baseline for the backends that were made faster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.weights import load
from monitor.types import F32, Bool


class EagerBackend:
    """The network in one thread, without slices, with PyTorch's defaults for the rest.

    ``revised`` is (n, L, 5): unlike other backends, it revises the epochs that are final too.
    """

    name = "eager"
    trouble = ""

    def __init__(self, weights: Path, device: str) -> None:
        """Load ``weights`` onto ``device``, "cpu" or "cuda"."""
        torch.set_num_threads(1)
        self._device = device
        network, self.contract = load(weights)
        self._network = network.to(device)
        self.runs_on = f"PyTorch {torch.__version__}, the plain network, on {device}"

    def encode(self, epochs_uv: F32) -> F32:
        embeddings: F32 = self._network.encode(self._tensor(epochs_uv)).cpu().numpy()
        return embeddings

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = self._network.stage(self._tensor(embeddings), self._tensor(scored))
        return live.cpu().numpy(), revised.cpu().numpy()

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device)
