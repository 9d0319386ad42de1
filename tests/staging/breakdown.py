"""A backend that fails after some calls, and a chain of given backends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.card import default_weights
from models.contract import Gain, ModelContract
from monitor.staging.backend import Backend, BackendUnavailableError
from monitor.staging.chain import BackendChain
from monitor.types import F32, Bool
from tests.nights import backend


class FailingBackend:
    """A backend whose hardware fails in every call after the first ``good`` calls."""

    runs_on = "a card that overheats"
    trouble = ""

    def __init__(
        self,
        name: str,
        good: int,
        wrong: float | None = None,
        before_failure: Callable[[], object] = lambda: None,
    ) -> None:
        """Create it.

        ``wrong``: a failing call returns this value everywhere; None: it raises. A failing call
        calls ``before_failure`` first.
        """
        self.name = name
        self._before_failure = before_failure
        self._left = good
        self._wrong = wrong

    @property
    def contract(self) -> ModelContract:
        return backend().contract

    def encode(self, epochs_uv: F32) -> F32:
        return self._result(backend().encode(epochs_uv))

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = backend().stage(embeddings, scored)
        return self._result(live), revised

    def _result(self, correct: F32) -> F32:
        self._left -= 1
        if self._left >= 0:
            return correct
        self._before_failure()
        if self._wrong is not None:
            return np.full_like(correct, self._wrong)
        raise RuntimeError("CUDA error: unspecified\n  launch failure")


def chain(requested: str = "auto", **installed: Backend) -> BackendChain:
    """Open a chain on a machine on which only the backends ``installed`` work."""

    def open_one(name: str, weights: Path, exported: Path) -> Backend:
        if name not in installed:
            raise BackendUnavailableError("it is not installed")
        return installed[name]

    return BackendChain(default_weights(Gain.KNOWN), Path("none"), requested, open_one)
