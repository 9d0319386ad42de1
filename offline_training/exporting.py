"""Export new weights beside them, so that the monitor can use them without PyTorch."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from monitor.errors import MonitorError
from monitor.staging.gated_export import export_onnx


def export_beside(weights: Path) -> None:
    """Write the ONNX graphs of ``weights`` beside them. A failure is a warning in one line.

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
