"""Backends that break down, and the chain they are part of."""

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


class BreaksDown:
    """A backend whose hardware fails after ``good`` questions; then every time."""

    runs_on = "a card that overheats"
    trouble = ""

    def __init__(
        self,
        name: str,
        good: int,
        wrong: float | None = None,
        after: Callable[[], object] = lambda: None,
    ) -> None:
        """``wrong``: it answers so instead of raising. ``after``: what it waits for before."""
        self.name = name
        self._after = after
        self._left = good
        self._wrong = wrong

    @property
    def contract(self) -> ModelContract:
        return backend().contract

    def encode(self, epochs_uv: F32) -> F32:
        return self._answer(backend().encode(epochs_uv))

    def stage(self, embeddings: F32, scored: Bool) -> tuple[F32, F32]:
        live, revised = backend().stage(embeddings, scored)
        return self._answer(live), revised

    def _answer(self, right: F32) -> F32:
        self._left -= 1
        if self._left >= 0:
            return right
        self._after()
        if self._wrong is not None:
            return np.full_like(right, self._wrong)
        raise RuntimeError("CUDA error: unspecified\n  launch failure")


def chain(asked: str = "auto", **there: Backend) -> BackendChain:
    """A chain on a machine that has these backends."""

    def open_one(name: str, weights: Path, exported: Path) -> Backend:
        if name not in there:
            raise BackendUnavailableError("it is not installed")
        return there[name]

    return BackendChain(default_weights(Gain.KNOWN), Path("none"), asked, open_one)
