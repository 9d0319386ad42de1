"""The protocol of a backend, and what all backends share. ADDING.md shows how to add one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from models.card import WeightsError, read_contract
from models.contract import EPOCH_S, HIGHPASS_HZ, LOWPASS_HZ, SFREQ_HZ, ModelContract
from monitor.errors import InputError
from monitor.types import F32, Bool


class BackendUnavailableError(InputError):
    """This machine cannot run a backend. The message gives the reason and the remedy."""


class BackendRefusedError(BackendUnavailableError):
    """The parity gate refuses a backend: it stages differently here, or the gate cannot run."""


class Backend(Protocol):
    """A staging network that is loaded and ready, for any number of epochs and sleepers at once.

    - The same input gives the same output, bit for bit.
    - Several threads may call it at the same time.
    - ``encode`` and ``stage`` raise any exception if the hardware or a library fails.
    """

    @property
    def name(self) -> str:
        """Name of the backend in `--backend`."""
        ...

    @property
    def runs_on(self) -> str:
        """Library, precision and hardware that run the network, in words for people."""
        ...

    @property
    def trouble(self) -> str:
        """The failure of the backend that this one replaced, in one line; empty if none failed."""
        ...

    @property
    def contract(self) -> ModelContract:
        """The contract of the network."""
        ...

    def encode(self, epochs_uv: F32) -> F32:
        """Encode epochs float32 (n, 3000) in microvolts: float32 (n, embedding_dim)."""
        ...

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        """Stage n windows of L consecutive epochs.

        Parameters
        ----------
        embeddings : float32 (n, L, embedding_dim), the newest epoch last; L is at most
            ``contract.context_epochs``.
        scored : bool (n, L), False for an epoch whose embedding must be ignored.

        Returns
        -------
        live : float32 (n, 5), probabilities of the newest epoch, given itself and the past.
        revised : float32 (n, `n_open`, 5), probabilities of the epochs that are not final yet,
            given all L; the newest last.
        """
        ...


def n_open(contract: ModelContract, n_epochs: int) -> int:
    """Count the epochs among the newest ``n_epochs`` that are not final, the newest included."""
    return min(n_epochs, contract.revision_epochs + 1)


def checked_contract(weights: Path) -> ModelContract:
    """Read the contract of ``weights``.

    Raises
    ------
    InputError
        The card cannot be read, or the network needs a signal that the monitor does not condition.
    """
    try:
        contract = read_contract(weights)
    except WeightsError as exc:
        raise unusable(weights, exc) from exc
    needed = (contract.sfreq_hz, contract.epoch_s, contract.highpass_hz, contract.lowpass_hz)
    made = (SFREQ_HZ, EPOCH_S, HIGHPASS_HZ, LOWPASS_HZ)
    if needed != made:
        raise InputError(
            f"the weights {weights} need (rate Hz, epoch s, high-pass Hz, low-pass Hz) = {needed}, "
            f"but the monitor conditions signals to {made}; use weights trained for this version"
        )
    return contract


def unusable(weights: Path, exc: Exception) -> InputError:
    """Return the error that reports weights that cannot be loaded."""
    return InputError(f"cannot use the weights {weights}: {exc}")


def network_folder(exported: Path, contract: ModelContract) -> Path:
    """Return the folder in ``exported`` for files that were made from exactly these weights."""
    return exported / f"{contract.full_name}-{contract.weights_sha256[:8]}"
