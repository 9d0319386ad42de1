"""Compare every backend with PyTorch on the CPU, by the monitor's parity gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from monitor.errors import one_line
from monitor.staging.backend import Backend, BackendRefusedError, BackendUnavailableError
from monitor.staging.chain import BACKENDS, open_backend
from monitor.staging.gate import Parity, ParityGate


@dataclass(frozen=True, slots=True)
class ParityVerdict:
    """A backend's parity, or in ``trouble`` the reason why it could not be measured.

    ``available`` False: this machine cannot run the backend. That is not a failure.
    """

    backend: str
    parity: Parity | None = None
    trouble: str = ""
    available: bool = True

    @property
    def failed(self) -> bool:
        """True if the backend raised an exception or did not pass."""
        return self.available and not (self.parity and self.parity.passed)


def judge_backends(
    weights: Path,
    exported: Path,
    open_one: Callable[[str, Path, Path], Backend] = open_backend,
) -> list[ParityVerdict]:
    """Compare every backend with PyTorch on the CPU, which is one of them.

    ``open_one`` opens a backend by name, as `open_backend` does. Raises `InputError` if the weights
    cannot be used.
    """
    gate = ParityGate(weights)
    verdicts = []
    for name in BACKENDS:
        try:
            parity = gate.parity(open_one(name, weights, exported))
            verdicts.append(ParityVerdict(name, parity))
        except BackendRefusedError as exc:  # The gate has judged it already, when it was opened.
            verdicts.append(ParityVerdict(name, trouble=str(exc)))
        except BackendUnavailableError as exc:
            verdicts.append(ParityVerdict(name, trouble=str(exc), available=False))
        except Exception as exc:  # A driver may raise anything: the other backends still count.
            verdicts.append(ParityVerdict(name, trouble=one_line(exc)))
    return verdicts
