"""Where the network runs. Every backend answers the same two questions."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from models.card import WeightsError, read_contract
from models.contract import EPOCH_S, HIGHPASS_HZ, LOWPASS_HZ, SFREQ_HZ, ModelContract
from monitor.errors import InputError
from monitor.types import F32, Bool


class BackendUnavailableError(InputError):
    """A backend cannot be had on this machine. The message says why, and what to do."""


class Backend(Protocol):
    """A staging network, ready to run, for any number of epochs and sleepers at once.

    The same question gives the same answer, bit for bit. Several threads may ask at a time.
    """

    @property
    def name(self) -> str:
        """As `--backend` calls it."""
        ...

    @property
    def runs_on(self) -> str:
        """In words for people: what runs the network, on what."""
        ...

    @property
    def trouble(self) -> str:
        """What failed, if this one took its place; else empty."""
        ...

    @property
    def contract(self) -> ModelContract: ...

    def encode(self, epochs_uv: F32) -> F32:
        """Epochs float32 (n, 3000) in microvolts -> embeddings float32 (n, embedding_dim)."""
        ...

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        """Embeddings (n, L, embedding_dim), newest epoch last, and which of them count (n, L).

        Returns probabilities of the newest epoch from the past alone, (n, 5), and of the epochs
        whose revised stage is still open given all L, (n, `n_open`, 5), the newest last.
        """
        ...


def n_open(contract: ModelContract, n_epochs: int) -> int:
    """How many of the newest ``n_epochs`` are not final yet, the newest included."""
    return min(n_epochs, contract.revision_epochs + 1)


def checked_contract(weights: Path) -> ModelContract:
    """The contract of ``weights``. Raises `InputError` if they cannot be used, or want a signal
    that the conditioning does not make."""
    try:
        contract = read_contract(weights)
    except WeightsError as exc:
        raise unusable(weights, exc) from exc
    wanted = (contract.sfreq_hz, contract.epoch_s, contract.highpass_hz, contract.lowpass_hz)
    made = (SFREQ_HZ, EPOCH_S, HIGHPASS_HZ, LOWPASS_HZ)
    if wanted != made:
        raise InputError(
            f"the weights {weights} want (rate Hz, epoch s, high-pass Hz, low-pass Hz) = {wanted}, "
            f"but the monitor conditions signals to {made}; use weights trained for this version"
        )
    return contract


def unusable(weights: Path, exc: Exception) -> InputError:
    return InputError(f"cannot use the weights {weights}: {exc}")


def exported_folder(contract: ModelContract, exported: Path) -> Path:
    """Where in ``exported`` lies what was made of these very weights for this machine."""
    return exported / f"{contract.full_name}-{contract.weights_sha256[:8]}"
