"""The progress of a run: a line for each recording, and on a terminal a bar with the time left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_log = logging.getLogger(__name__)

Shown = Callable[[str, int], None]
"""Shows the line of a recording that is done, and how many have failed so far."""


@contextmanager
def progress(console: Console, n_recordings: int) -> Iterator[Shown]:
    """Yield a function that shows the progress on ``console``, or in the log if it is no terminal.

    ``n_recordings`` are to be done.
    """
    if not console.is_terminal:
        numbers = iter(range(1, n_recordings + 1))
        yield lambda line, n_failed: _log.info("[%d/%d] %s", next(numbers), n_recordings, line)
        return
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bar:
        whole = bar.add_task("", total=n_recordings, failed=0)

        def show(line: str, n_failed: int) -> None:
            bar.console.print(Text(line), soft_wrap=True)
            bar.update(whole, advance=1, failed=n_failed)

        yield show
