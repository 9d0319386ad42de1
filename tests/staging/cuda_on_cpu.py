"""The CUDA backend on the CPU, with errors if wanted."""

from __future__ import annotations

import numpy as np
import torch

from models.card import default_weights
from models.contract import Gain, ModelContract
from monitor.staging.device_backend import DeviceBackend
from monitor.staging.network_parts import load_parts
from monitor.types import F32, Bool
from tests.nights import backend

WEIGHTS = default_weights(Gain.KNOWN)


class CudaOnCpu:
    """The CUDA backend on the CPU. ``errors`` are added to its live probabilities, by precision."""

    name = "cuda"
    trouble = ""

    def __init__(self, precision: str, errors: dict[str, float]) -> None:
        self.runs_on = precision
        self._error = errors.get(precision, 0.0)
        # Half precision is slow on a CPU, and not needed for results that are wrong anyway.
        dtype = torch.float32 if precision in errors else getattr(torch, precision)
        parts = load_parts(WEIGHTS, torch.device("cpu"), dtype)
        self._backend = DeviceBackend("cuda", precision, parts)

    @property
    def contract(self) -> ModelContract:
        return self._backend.contract

    def encode(self, epochs_uv: F32) -> F32:
        return self._backend.encode(epochs_uv)

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = self._backend.stage(embeddings, scored)
        return live + np.float32(self._error), revised


class RecordedGpu:
    """A GPU that records in which precisions it was opened.

    ``results`` gives by precision the error of the live probabilities, or the exception that is
    raised instead. PyTorch on the CPU stages in its place, because that is quick.
    """

    def __init__(self, **results: float | Exception) -> None:
        self._results = results
        self.opened: list[str] = []

    def open_in(self, precision: str) -> WrongBackend:
        self.opened.append(precision)
        result = self._results.get(precision, 0.0)
        if isinstance(result, Exception):
            raise result
        return WrongBackend(result)


class WrongBackend:
    """PyTorch on the CPU, called "cuda". ``error`` is added to its live probabilities."""

    name = "cuda"
    runs_on = "the CPU"
    trouble = ""

    def __init__(self, error: float) -> None:
        self._error = np.float32(error)

    @property
    def contract(self) -> ModelContract:
        return backend().contract

    def encode(self, epochs_uv: F32) -> F32:
        return backend().encode(epochs_uv)

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = backend().stage(embeddings, scored)
        return live + self._error, revised
