"""Export weights beside them, so that the monitor can use them without PyTorch."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import typer

from models.export import ExportError, write_graphs
from models.graphs import graph_files
from monitor.errors import InputError, MonitorError
from monitor.staging.gate import Parity, ParityGate
from monitor.staging.onnx_backend import OnnxBackend


def export_onnx(weights: Path, write: Callable[[Path, Path], None] = write_graphs) -> Parity:
    """Write the graphs of ``weights`` and their checksums beside them.

    The files are kept only if they stage the excerpt as PyTorch does. This takes about 20 s.

    Parameters
    ----------
    write : writes the graphs of its first argument beside its second, as `write_graphs` does.

    Raises
    ------
    InputError
        The weights cannot be used, or their folder cannot be written to.
    MonitorError
        A package is missing, the export failed, or the exported network stages differently.
    """
    gate = ParityGate(weights)
    try:
        # In the same folder, so that a file moves to its place without being copied.
        with tempfile.TemporaryDirectory(prefix=".export-", dir=weights.parent) as folder:
            trial = Path(folder) / weights.name
            shutil.copy(weights.with_suffix(".json"), trial.with_suffix(".json"))
            write(weights, trial)
            parity = gate.parity(OnnxBackend(trial))
            if not parity.passed:
                raise MonitorError(
                    f"the exported network stages differently from PyTorch: {parity.in_words}; "
                    "nothing was exported"
                )
            # The checksums move last. After a crash in between they refuse graphs of another
            # export, and accept equal ones.
            for made, place in zip(graph_files(trial), graph_files(weights), strict=True):
                made.replace(place)
    except ExportError as exc:
        raise MonitorError(str(exc)) from exc
    except OSError as exc:
        raise InputError(
            f"cannot write to {weights.parent}: {exc.strerror or exc}; copy the weights and their "
            "card into a folder of your own, and name them with --weights"
        ) from exc
    return parity


def export_beside(weights: Path) -> None:
    """Export weights that were just trained. A failure is a warning in one line.

    The weights are good without their export, and may have taken days to train.
    """
    try:
        export_onnx(weights)
    except MonitorError as exc:
        typer.echo(
            f"warning: {weights} has no export, and only PyTorch can run it: {exc}; then run "
            f"sleep-deploy export --weights {shlex.quote(str(weights))}",
            err=True,
        )
