"""How long work tells its user how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable

import typer

Report = Callable[[int, int, str], None]
"""Called with the step, the number of steps and a line on how it goes."""


def progress(what: str, done: int = 0) -> Report:
    """Lines on stderr: how far, how well, and when it will be done; ``done`` steps were before."""
    start_s = time.monotonic()

    def report(step: int, steps: int, line: str) -> None:
        left_s = (time.monotonic() - start_s) * (steps - step) / max(1, step - done)
        typer.echo(f"{what} {step}/{steps}  {line}  {left_s / 60:.1f} min left", err=True)

    return report
