"""The best backend that works here; and when it fails in mid-night, the next one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from models.contract import ModelContract
from monitor.errors import InputError, MonitorError
from monitor.staging.backend import Backend, BackendUnavailableError, checked_contract
from monitor.types import F32, Bool

AUTO = "auto"
BACKENDS = ("tensorrt", "cuda", "onnx", "torch")
"""The fastest first. Of the two for the CPU, onnx starts sooner and takes less memory."""

_log = logging.getLogger(__name__)


def open_backend(name: str, weights: Path, exported: Path) -> Backend:
    """One of `BACKENDS`. Raises `BackendUnavailableError` if it cannot be had on this machine,
    `InputError` if the weights cannot be used."""
    match name:
        case "tensorrt":
            from monitor.staging.tensorrt_backend import TensorRtBackend

            return TensorRtBackend(weights, exported)
        case "cuda":
            from monitor.staging.cuda_backend import CudaBackend

            return CudaBackend(weights, exported)
        case "onnx":
            from monitor.staging.onnx_backend import OnnxBackend

            return OnnxBackend(weights, exported)
        case "torch":
            from monitor.staging.torch_backend import TorchBackend

            return TorchBackend(weights)
    raise ValueError(f"name must be one of {', '.join(BACKENDS)}, got '{name}'")


class BackendChain:
    """A `Backend` that is always the best of those that still work.

    One that raises, or answers with what is no number, is replaced by the next for the rest of the
    run, and that is asked again: no epoch is missed. The last one is kept, whatever it does.
    """

    def __init__(
        self,
        weights: Path,
        exported: Path,
        asked: str = AUTO,
        open_one: Callable[[str, Path, Path], Backend] = open_backend,
    ) -> None:
        """``asked``: `AUTO`, or the one of `BACKENDS` to begin with.

        Raises `InputError` if the weights cannot be used, if the backend that is asked for cannot
        be had, or none.
        """
        self._contract = checked_contract(weights)
        self._open_one: Callable[[str], Backend] = lambda name: open_one(name, weights, exported)
        self._lock = threading.Lock()
        self.trouble = ""
        wanted = BACKENDS if asked == AUTO else (asked,)
        backend, skipped = self._first_of(wanted)
        if backend is None:
            raise InputError(f"the network cannot be run here: {skipped}")
        self._backend = backend
        why = f" (not {skipped})" if skipped else ""
        self.note = f"Staging with {backend.name}: {backend.runs_on}{why}"
        """Which backend it began with, and why none before it, in one line for people."""

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
        return self._ask(lambda backend: (backend.encode(epochs_uv),))[0]

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = self._ask(lambda backend: backend.stage(embeddings, scored))
        return live, revised

    def _ask(self, question: Callable[[Backend], tuple[F32, ...]]) -> tuple[F32, ...]:
        while True:
            backend = self._backend
            try:
                answers = question(backend)
            except Exception as exc:
                if why := self._replace(backend, _sentence(exc)):
                    raise MonitorError(
                        f"an epoch could not be staged, and nothing else can: {why}"
                    ) from exc
                continue
            # Where there is no other, a strange signal may be the reason: then it is the answer.
            if all(np.isfinite(each).all() for each in answers) or self._replace(
                backend, "it answered with what is no number"
            ):
                return answers

    def _replace(self, failed: Backend, reason: str) -> str:
        """Empty once it is replaced; else what failed, and why nothing can take its place."""
        with self._lock:
            if self._backend is not failed:
                return ""  # another sleeper's epoch has had it replaced
            trouble = f"{failed.name}: {reason}"
            try:
                later = BACKENDS[BACKENDS.index(failed.name) + 1 :]
                backend, skipped = self._first_of(later)
            except InputError as exc:
                backend, skipped = None, str(exc)
            if backend is None:
                return f"{trouble}; {skipped}" if skipped else trouble
            self.trouble, self._backend = trouble, backend
            _log.warning("%s; from here on %s stages", trouble, backend.runs_on)
            return ""

    def _first_of(self, names: Sequence[str]) -> tuple[Backend | None, str]:
        """The first of ``names`` that can be had, and why those before it cannot, in words."""
        skipped: list[tuple[str, str]] = []  # name and reason
        for name in names:
            try:
                return self._open_one(name), _in_words(skipped)
            except BackendUnavailableError as exc:
                skipped.append((name, str(exc)))
            except InputError:
                raise  # the weights: no backend can mend them
            except Exception as exc:
                skipped.append((name, _sentence(exc)))
        return None, _in_words(skipped)


def _in_words(skipped: Sequence[tuple[str, str]]) -> str:
    alike = groupby(skipped, itemgetter(1))
    return "; ".join(f"{', '.join(n for n, _ in names)}: {reason}" for reason, names in alike)


def _sentence(exc: Exception) -> str:
    text = " ".join(str(exc).split())
    return text if isinstance(exc, MonitorError) else f"{type(exc).__name__}: {text}"
