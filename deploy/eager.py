"""The plain network, as a backend: what those that were made faster are compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.weights import load
from monitor.types import F32, Bool


class Eager:
    """One thread, no slices, every revision of the context, PyTorch's own defaults otherwise."""

    name = "eager"
    trouble = ""

    def __init__(self, weights: Path, device: str) -> None:
        torch.set_num_threads(1)
        self._device = device
        network, self.contract = load(weights)
        self._network = network.to(device)
        self.runs_on = f"PyTorch {torch.__version__}, the plain network, on {device}"

    def encode(self, epochs_uv: F32) -> F32:
        answer: F32 = self._network.encode(self._tensor(epochs_uv)).cpu().numpy()
        return answer

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = self._network.stage(self._tensor(embeddings), self._tensor(scored))
        return live.cpu().numpy(), revised.cpu().numpy()

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device)
