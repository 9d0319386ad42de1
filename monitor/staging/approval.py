"""The approval of a GPU: the precision in which PyTorch may stage on it.

The parity gate decides it once, at the first start on a GPU (some seconds), and the answer is
stored in a `Sidecar`. Later starts read the answer. The gate runs again

- if the GPU, its driver, PyTorch or the weights change,
- if the stored answer cannot be read, or its figures contradict it,
- if the gate failed with an exception. This may be a passing failure, such as a GPU whose memory
  another program fills. So it refuses the GPU for this start only, and nothing is stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from monitor.errors import one_line
from monitor.staging.backend import Backend, BackendRefusedError
from monitor.staging.gate import Parity, ParityGate
from monitor.staging.gpu import Sidecar

HALF, FULL = "float16", "float32"
REFUSED = "none"
"""The precision in a sidecar if the GPU passed the gate in no precision."""

OpenIn = Callable[[str], Backend]
"""Opens the backend in a precision, `HALF` or `FULL`."""

_log = logging.getLogger(__name__)


def approved_precision(
    path: Path, here: dict[str, str], open_in: OpenIn, weights: Path
) -> tuple[str, str]:
    """Return the precision that is approved ``here``; run the gate if no valid answer is stored.

    Parameters
    ----------
    path : the sidecar. If it cannot be written, the log warns, and the answer counts until the end
        of this run.
    here : everything that decides how the GPU stages, for `Sidecar.made_for`.

    Returns
    -------
    The precision, and a remark if it is not half.

    Raises
    ------
    BackendRefusedError
        The GPU did not pass the gate, or the gate could not run on it.
    InputError
        The weights cannot be used.
    """
    approval = stored_approval(path, here)
    if approval is None:
        gate = ParityGate(weights)
        _log.info("cuda: no valid approval is stored: the parity gate runs once, for some seconds")
        try:
            precision, parity = judge(open_in, gate, lambda line: _log.info("cuda: %s", line))
        except Exception as exc:  # A driver may raise anything.
            raise BackendRefusedError(
                f"the parity gate could not run on it ({one_line(exc)}); "
                "it runs again at the next start"
            ) from exc
        approval = Sidecar(here, precision, parity.figures)
        _store(approval, path)
    if approval.precision == REFUSED:
        raise BackendRefusedError(
            f"the parity gate refused it: {_parity(approval).in_words}; the gate runs again when "
            "the GPU, its driver or PyTorch changes"
        )
    return approval.precision, "" if approval.precision == HALF else f"{HALF} did not pass the gate"


def stored_approval(path: Path, here: dict[str, str]) -> Sidecar | None:
    """Read the gate's answer in ``path``, a refusal too; None if there is none for ``here``.

    An answer whose figures contradict it is damaged, or made with other limits: it does not count.
    """
    sidecar = Sidecar.read(path)
    if sidecar is None or sidecar.difference(here):
        return None
    if sidecar.precision not in (HALF, FULL, REFUSED):
        return None
    parity = Parity.from_figures("cuda", sidecar.precision, sidecar.parity)
    refused = sidecar.precision == REFUSED
    return sidecar if parity is not None and parity.passed is not refused else None


def judge(open_in: OpenIn, gate: ParityGate, report: Callable[[str], None]) -> tuple[str, Parity]:
    """Run the gate: half precision first, then float32.

    An exception in half precision counts as not passed: a GPU may lack it. An exception in float32
    is raised.

    Returns
    -------
    The first precision that passes, or `REFUSED`; and the parity of the last one that was tried.
    """
    try:
        parity = gate.parity(open_in(HALF))
        if parity.passed:
            return HALF, parity
        reason = f"stages differently from PyTorch: {parity.in_words}"
    except Exception as exc:
        reason = f"failed: {one_line(exc)}"
    report(f"{HALF} {reason}")
    parity = gate.parity(open_in(FULL))
    return FULL if parity.passed else REFUSED, parity


def _store(approval: Sidecar, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        approval.write(path)
    except OSError as exc:
        _log.warning(
            "cuda: the gate's answer cannot be stored in %s (%s): the gate runs again at the next "
            "start; make the folder writable",
            path,
            exc.strerror or exc,
        )


def _parity(approval: Sidecar) -> Parity:
    parity = Parity.from_figures("cuda", approval.precision, approval.parity)
    assert parity is not None
    return parity
