"""The chain of backends: it opens the best one that works, and replaces one that fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from models.contract import ModelContract
from monitor.errors import InputError, MonitorError, one_line
from monitor.staging.backend import Backend, BackendUnavailableError, checked_contract
from monitor.types import F32, Bool

AUTO = "auto"
BACKENDS = ("tensorrt", "cuda", "onnx", "torch")
"""The fastest first. Of the two that run on a CPU, onnx is the default: it needs no PyTorch."""

_log = logging.getLogger(__name__)


def open_backend(name: str, weights: Path, exported: Path) -> Backend:
    """Open one of `BACKENDS`.

    Each backend's module is imported here, because it imports libraries that may be missing.

    Raises
    ------
    BackendUnavailableError
        This machine cannot run the backend.
    InputError
        The weights cannot be used.
    ValueError
        ``name`` is not one of `BACKENDS`.
    """
    match name:
        case "tensorrt":
            from monitor.staging.tensorrt_backend import open_tensorrt

            return open_tensorrt(weights, exported)
        case "cuda":
            from monitor.staging.cuda_backend import open_cuda

            return open_cuda(weights, exported)
        case "onnx":
            from monitor.staging.onnx_backend import OnnxBackend

            return OnnxBackend(weights)
        case "torch":
            from monitor.staging.torch_backend import TorchBackend

            return TorchBackend(weights)
    raise ValueError(f"name must be one of {', '.join(BACKENDS)}, got '{name}'")


class BackendChain:
    """A `Backend` that uses the best backend that still works.

    If a backend raises or returns NaN, the chain switches to the next one for the rest of the run
    and repeats the call, so that no epoch is missed. If none is left, the chain keeps the last one:
    its exception is raised, and its NaN is returned.
    """

    def __init__(
        self,
        weights: Path,
        exported: Path,
        requested: str = AUTO,
        open_one: Callable[[str, Path, Path], Backend] = open_backend,
    ) -> None:
        """Open a backend.

        Parameters
        ----------
        requested : `AUTO`, or one of `BACKENDS`: the one to start with.
        open_one : opens a backend by name, as `open_backend` does.

        Raises
        ------
        InputError
            The weights cannot be used; this machine cannot run the requested backend, or any.
        """
        self._contract = checked_contract(weights)
        self._open_one: Callable[[str], Backend] = lambda name: open_one(name, weights, exported)
        self._lock = threading.Lock()
        self.trouble = ""
        backend, skipped = self._first_of(BACKENDS if requested == AUTO else (requested,))
        if backend is None:
            raise InputError(f"the network cannot be run here: {skipped}")
        self._backend = backend
        reasons = f" (not {skipped})" if skipped else ""
        self.note = f"Staging with {backend.name}: {backend.runs_on}{reasons}"
        """The first backend, and why the better ones are not used, in one line for people."""

    @property
    def name(self) -> str:
        return self._backend.name

    @property
    def runs_on(self) -> str:
        return self._backend.runs_on

    @property
    def contract(self) -> ModelContract:
        return self._contract

    def encode(self, epochs_uv: F32) -> F32:
        return self._call(lambda backend: (backend.encode(epochs_uv),))[0]

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = self._call(lambda backend: backend.stage(embeddings, scored))
        return live, revised

    def _call(self, function: Callable[[Backend], tuple[F32, ...]]) -> tuple[F32, ...]:
        """Return ``function`` of the current backend; if that fails, of the next one."""
        while True:
            backend = self._backend
            try:
                results = function(backend)
            except Exception as exc:
                if failure := self._replace(backend, one_line(exc)):
                    raise MonitorError(
                        "an epoch could not be staged, and no other backend can take over: "
                        f"{failure}"
                    ) from exc
                continue
            if all(np.isfinite(each).all() for each in results):
                return results
            # NaN may come from an unusual signal instead of a broken backend. So if no other
            # backend is left to compare with, the NaN is the result and nothing is raised.
            if self._replace(backend, "it returned NaN or infinity"):
                return results

    def _replace(self, failed: Backend, reason: str) -> str:
        """Switch from ``failed`` to the next backend that works, and return "".

        If there is none, keep ``failed`` and return in words what failed.
        """
        with self._lock:
            if self._backend is not failed:
                return ""  # Another sleeper's thread has replaced it in the meantime.
            trouble = f"{failed.name}: {reason}"
            try:
                backend, skipped = self._first_of(BACKENDS[BACKENDS.index(failed.name) + 1 :])
            except InputError as exc:
                backend, skipped = None, str(exc)
            if backend is None:
                return f"{trouble}; {skipped}" if skipped else trouble
            self.trouble, self._backend = trouble, backend
            _log.warning("%s; %s stages from now on", trouble, backend.runs_on)
            return ""

    def _first_of(self, names: Sequence[str]) -> tuple[Backend | None, str]:
        """Open the first of ``names`` that works. Also return why those before it do not."""
        skipped: list[tuple[str, str]] = []  # name and reason
        for name in names:
            try:
                return self._open_one(name), _in_words(skipped)
            except BackendUnavailableError as exc:
                skipped.append((name, str(exc)))
            except InputError:
                raise  # The weights are wrong: no other backend could use them either.
            except Exception as exc:
                skipped.append((name, one_line(exc)))
        return None, _in_words(skipped)


def _in_words(skipped: Sequence[tuple[str, str]]) -> str:
    """Join names and reasons; neighbours with the same reason share it."""
    groups = groupby(skipped, itemgetter(1))
    return "; ".join(f"{', '.join(n for n, _ in names)}: {reason}" for reason, names in groups)
