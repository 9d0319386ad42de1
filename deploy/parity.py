"""Does a backend stage as the reference does? The gate of everything that is made to be faster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.benchmark import excerpt_path
from models.contract import Gain
from monitor.conditioning.bridging import bridged
from monitor.staging.backend import Backend, BackendUnavailableError, n_open
from monitor.staging.chain import BACKENDS, open_backend
from monitor.staging.torch_backend import TorchBackend
from monitor.types import F32, Bool
from offline_training.data.scored import ScoredNight

MIN_AGREEMENT = 0.995
"""The least share of answers whose most probable stage is the reference's."""

MAX_DIFFERENCE = 0.02
"""The most that any probability may be off."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How a backend's answers differ from the reference's, over both tracks of ``n_epochs`` scored
    epochs, every revision included. Differences are NaN where an answer is."""

    backend: str
    runs_on: str
    n_epochs: int
    label_agreement: float
    largest_difference: float

    @property
    def passed(self) -> bool:
        return self.label_agreement >= MIN_AGREEMENT and self.largest_difference <= MAX_DIFFERENCE


@dataclass(frozen=True, slots=True)
class Verdict:
    """A backend's parity, or ``trouble``: why there is none. It is no failure to be unavailable."""

    backend: str
    parity: Parity | None = None
    trouble: str = ""
    available: bool = True

    @property
    def failed(self) -> bool:
        return self.available and not (self.parity and self.parity.passed)


def judge_backends(weights: Path, exported: Path) -> list[Verdict]:
    """Every backend on the excerpt, against PyTorch on the CPU, itself included.

    Raises `InputError` if the weights cannot be used.
    """
    reference = TorchBackend(weights)
    epochs_uv, scored = excerpt_epochs(reference.contract.gain)
    verdicts = []
    for name in BACKENDS:
        try:
            backend = open_backend(name, weights, exported)
            parity = measure_parity(backend, reference, epochs_uv, scored)
            verdicts.append(Verdict(name, parity))
        except BackendUnavailableError as exc:
            verdicts.append(Verdict(name, trouble=str(exc), available=False))
        except Exception as exc:  # whatever a driver may raise: the others are still measured
            verdicts.append(Verdict(name, trouble=f"{type(exc).__name__}: {exc}"))
    return verdicts


def excerpt_epochs(gain: Gain) -> tuple[F32, Bool]:
    """The real sleep that ships with the monitor, as a replay conditions it: what the network is
    fed, float32 (n, 3000) in microvolts, and which of the epochs are scored, (n,)."""
    epochs = list(ScoredNight.open(excerpt_path()).epochs(gain))
    scored = np.array([epoch.quality.reason is None for epoch in epochs])
    nothing = np.zeros_like(epochs[0].staged_uv)
    return np.stack(
        [bridged(e.staged_uv) if s else nothing for e, s in zip(epochs, scored, strict=True)]
    ), scored


def measure_parity(backend: Backend, reference: Backend, epochs_uv: F32, scored: Bool) -> Parity:
    """Stage a night with both, each from its own embeddings, and compare all that is said.

    Parameters
    ----------
    epochs_uv : float32 (n, 3000), microvolts, one after the other.
    scored : bool (n,); the answers on the others do not count.
    """
    answers = _answers(backend, epochs_uv, scored)
    expected = _answers(reference, epochs_uv, scored)
    return Parity(
        backend=backend.name,
        runs_on=backend.runs_on,
        n_epochs=int(scored.sum()),
        label_agreement=float(np.mean(answers.argmax(axis=1) == expected.argmax(axis=1))),
        largest_difference=float(np.abs(answers - expected).max()),
    )


def _answers(backend: Backend, epochs_uv: F32, scored: Bool) -> F32:
    """All that is said of the scored epochs, (m, 5): each window's live and revised answers."""
    embeddings = np.zeros((scored.size, backend.contract.embedding_dim), np.float32)
    embeddings[scored] = backend.encode(epochs_uv[scored])
    answers = []
    for window in _windows(scored.size, backend.contract.context_epochs):
        counts = scored[window]  # (w, L)
        live, revised = backend.stage(embeddings[window], counts)
        n_revised = n_open(backend.contract, window.shape[1])
        answers += [live[counts[:, -1]], revised[counts[:, -n_revised:]]]
    return np.concatenate(answers)


def _windows(n: int, context: int) -> Iterator[np.ndarray]:
    """The epochs that the stager looks at as each of ``n`` epochs ends, (w, L): those of the
    night's beginning one by one, as each is longer than the one before, then all at once."""
    for length in range(1, min(n, context)):
        yield np.arange(length)[np.newaxis]
    length = min(n, context)
    yield np.arange(n - length + 1)[:, np.newaxis] + np.arange(length)
