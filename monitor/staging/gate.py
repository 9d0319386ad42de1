"""The parity gate: a backend is used only if it stages real sleep as PyTorch does on the CPU.

The monitor runs it on a GPU that no gate has seen (`monitor.staging.approval`). `sleep-deploy` runs
it on every export and engine that it makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from monitor.staging.backend import Backend, n_open
from monitor.staging.torch_backend import TorchBackend
from monitor.types import F32, Bool

MIN_AGREEMENT = 0.995
"""Minimum share of predictions whose most probable stage is the reference's."""

MAX_DIFFERENCE = 0.02
"""Maximum difference of any probability from the reference's."""

FIGURES = ("n_epochs", "label_agreement", "largest_difference")


@dataclass(frozen=True, slots=True)
class Parity:
    """Differences between a backend's predictions and the reference's.

    - They cover both tracks of ``n_epochs`` scored epochs, every revision included.
    - ``label_agreement`` is the share of predictions with the same most probable stage.
    - ``largest_difference`` is of a probability; NaN if the backend returned NaN.
    """

    backend: str
    runs_on: str
    n_epochs: int
    label_agreement: float
    largest_difference: float

    @property
    def passed(self) -> bool:
        """True if the backend may be used. NaN does not pass."""
        return self.label_agreement >= MIN_AGREEMENT and self.largest_difference <= MAX_DIFFERENCE

    @property
    def figures(self) -> dict[str, float]:
        """The figures that a `Sidecar` stores."""
        named = asdict(self)
        return {name: named[name] for name in FIGURES}

    @classmethod
    def from_figures(
        cls, backend: str, runs_on: str, figures: Mapping[str, float]
    ) -> Parity | None:
        """Return the parity that was stored as ``figures``; None if one is missing or no number."""
        if not figures.keys() >= set(FIGURES):
            return None
        n_epochs, agreement, difference = (figures[name] for name in FIGURES)
        if not np.isfinite(n_epochs):
            return None
        return cls(backend, runs_on, int(n_epochs), agreement, difference)

    @property
    def in_words(self) -> str:
        """Figures and limits, as part of a sentence."""
        return (
            f"{self.label_agreement:.2%} of the labels agree (at least {MIN_AGREEMENT:.1%} must), "
            f"probabilities differ by up to {self.largest_difference:.2g} (at most "
            f"{MAX_DIFFERENCE:g})"
        )


class ParityGate:
    """Compares backends with PyTorch on the CPU, on the recording that ships with the monitor."""

    def __init__(self, weights: Path) -> None:
        """Load the reference. Raises `InputError` if the weights cannot be used."""
        self._reference = TorchBackend(weights)
        self.contract = self._reference.contract

    def parity(self, backend: Backend) -> Parity:
        """Stage the excerpt with ``backend`` and with the reference, and compare them."""
        return _compare(backend, self._expected, *self._excerpt)

    @cached_property
    def _excerpt(self) -> tuple[F32, Bool]:
        # Imported here: reading a recording loads libraries that a night on a headband never needs.
        from monitor.staging.excerpt import excerpt_epochs

        return excerpt_epochs(self.contract.gain)

    @cached_property
    def _expected(self) -> F32:
        return _stage_night(self._reference, *self._excerpt)


def measure_parity(backend: Backend, reference: Backend, epochs_uv: F32, scored: Bool) -> Parity:
    """Stage a night with both backends, each from its own embeddings, and compare all predictions.

    Parameters
    ----------
    epochs_uv : float32 (n, 3000), microvolts, consecutive epochs.
    scored : bool (n,); predictions of unscored epochs do not count.
    """
    return _compare(backend, _stage_night(reference, epochs_uv, scored), epochs_uv, scored)


def _compare(backend: Backend, expected: F32, epochs_uv: F32, scored: Bool) -> Parity:
    probabilities = _stage_night(backend, epochs_uv, scored)
    same = probabilities.argmax(axis=1) == expected.argmax(axis=1)
    return Parity(
        backend=backend.name,
        runs_on=backend.runs_on,
        n_epochs=int(scored.sum()),
        label_agreement=float(np.mean(same)),
        largest_difference=float(np.abs(probabilities - expected).max()),
    )


def _stage_night(backend: Backend, epochs_uv: F32, scored: Bool) -> F32:
    """Return the probabilities of all predictions of scored epochs, live and revised, (m, 5)."""
    embeddings = np.zeros((scored.size, backend.contract.embedding_dim), np.float32)
    embeddings[scored] = backend.encode(epochs_uv[scored])
    probabilities = []
    for window in _windows(scored.size, backend.contract.context_epochs):
        counts = scored[window]  # (w, L)
        live, revised = backend.stage(embeddings[window], counts)
        n_revised = n_open(backend.contract, window.shape[1])
        probabilities += [live[counts[:, -1]], revised[counts[:, -n_revised:]]]
    return np.concatenate(probabilities)


def _windows(n: int, context: int) -> Iterator[np.ndarray]:
    """Yield the epochs that the stager reads as each of ``n`` epochs ends, (w, L).

    The first windows grow with the night and come one by one. The full ones come in one array.
    """
    for length in range(1, min(n, context)):
        yield np.arange(length)[np.newaxis]
    length = min(n, context)
    yield np.arange(n - length + 1)[:, np.newaxis] + np.arange(length)
