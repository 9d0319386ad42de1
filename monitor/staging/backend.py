"""Where the network runs. Every backend answers the same two questions."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch

from models.contract import EPOCH_S, SFREQ_HZ, ModelContract
from models.weights import WeightsError, load
from monitor.conditioning.conditioner import HIGHPASS_HZ, LOWPASS_HZ
from monitor.errors import InputError
from monitor.types import F32, Bool


class Backend(Protocol):
    """A staging network, ready to run. The same input gives the same answer, bit for bit."""

    @property
    def contract(self) -> ModelContract: ...

    def encode(self, epochs_uv: F32) -> F32:
        """Epochs float32 (n, 3000) in microvolts -> embeddings float32 (n, embedding_dim)."""
        ...

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        """Embeddings (n, L, embedding_dim), newest epoch last, and which of them count (n, L).

        Returns probabilities of the newest epoch from the past alone, (n, 5), and of every epoch
        given all L, (n, L, 5).
        """
        ...


class TorchBackend:
    """PyTorch on the CPU, one thread: a night needs no more, and others share the machine."""

    def __init__(self, weights: Path) -> None:
        """Load ``weights`` (safetensors, its card beside it). Raises `InputError` if they are
        damaged or want a signal that the conditioning does not make."""
        torch.set_num_threads(1)
        try:
            self._network, self._contract = load(weights)
        except (WeightsError, OSError) as exc:
            raise InputError(f"cannot use the weights {weights}: {exc}") from exc
        _check_signal(self._contract, weights)

    @property
    def contract(self) -> ModelContract:
        return self._contract

    def encode(self, epochs_uv: F32) -> F32:
        with torch.inference_mode():
            embeddings: F32 = self._network.encode(torch.from_numpy(epochs_uv)).numpy()
            return embeddings

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        with torch.inference_mode():
            live, revised = self._network.stage(
                torch.from_numpy(embeddings), torch.from_numpy(scored)
            )
            return live.numpy(), revised.numpy()


def _check_signal(contract: ModelContract, weights: Path) -> None:
    wanted = (contract.sfreq_hz, contract.epoch_s, contract.highpass_hz, contract.lowpass_hz)
    made = (SFREQ_HZ, EPOCH_S, HIGHPASS_HZ, LOWPASS_HZ)
    if wanted != made:
        raise InputError(
            f"the weights {weights} want (rate Hz, epoch s, high-pass Hz, low-pass Hz) = {wanted}, "
            f"but the monitor conditions signals to {made}; use weights trained for this version"
        )
