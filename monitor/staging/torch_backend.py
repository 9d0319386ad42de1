"""The backend for PyTorch on the CPU in float32: the reference for every other backend."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from models.card import WeightsError
from models.contract import ModelContract
from monitor.staging.backend import BackendUnavailableError, checked_contract, n_open, unusable
from monitor.staging.slices import WINDOWS, Slices
from monitor.types import F32, Bool


class TorchBackend:
    """PyTorch on the CPU. One thread stages an epoch, because others share the machine."""

    name = "torch"
    trouble = ""

    def __init__(self, weights: Path) -> None:
        """Load ``weights`` (safetensors, with the card beside it).

        Raises
        ------
        InputError
            The weights are damaged, or need a signal that the monitor does not condition.
        BackendUnavailableError
            PyTorch or safetensors is not installed.
        """
        try:
            import safetensors  # noqa: F401
            import torch
        except ImportError as exc:
            raise BackendUnavailableError(
                f"{exc.name or 'PyTorch'} is not installed; run pip install '.[train]' in the "
                "monitor's source folder"
            ) from exc
        from models.weights import load

        # In the pool's threads too: OpenMP keeps this number separately for each thread.
        one_thread = partial(torch.set_num_threads, 1)
        one_thread()
        self._slices = Slices(one_thread)
        self._torch = torch
        self._contract = checked_contract(weights)
        try:
            self._network, _ = load(weights)
        except (WeightsError, OSError) as exc:
            raise unusable(weights, exc) from exc
        self.runs_on = f"PyTorch {torch.__version__} on the CPU"

    @property
    def contract(self) -> ModelContract:
        return self._contract

    def encode(self, epochs_uv: F32) -> F32:
        # One epoch at a time: a matrix library multiplies a single row by another routine than
        # several rows, and the routines round differently. This way an epoch's embedding is the
        # same, bit for bit, whatever other epochs are encoded with it.
        return self._slices.run(self._encode, epochs_uv, length=1)[0]

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        length = WINDOWS if scored.shape[1] > 1 else 1  # A window of one epoch is a single row too.
        live, revised = self._slices.run(self._stage, embeddings, scored, length=length)
        return live, revised

    def _encode(self, epochs_uv: F32) -> tuple[F32]:
        torch = self._torch
        with torch.inference_mode():
            return (self._network.encode(torch.from_numpy(epochs_uv)).numpy(),)

    def _stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        torch = self._torch
        newest = n_open(self._contract, embeddings.shape[1])
        with torch.inference_mode():
            live, revised = self._network.stage(
                torch.from_numpy(embeddings), torch.from_numpy(scored), newest
            )
            return live.numpy(), revised.numpy()
