"""Progress lines for work that takes minutes or hours."""

from __future__ import annotations

import time
from collections.abc import Callable

import typer

Report = Callable[[int, int, str], None]
"""Function that shows progress: it gets the step, the number of steps and a line of figures."""


def progress(task: str, done: int = 0) -> Report:
    """Return a `Report` that prints step, figures and minutes left on stderr.

    ``done`` is the number of steps that an earlier run finished. They took no time in this run,
    so the minutes left are computed without them.
    """
    start_s = time.monotonic()

    def report(step: int, steps: int, line: str) -> None:
        left_s = (time.monotonic() - start_s) * (steps - step) / max(1, step - done)
        typer.echo(f"{task} {step}/{steps}  {line}  {left_s / 60:.1f} min left", err=True)

    return report
