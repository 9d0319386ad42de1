"""`sleep-monitor score`: stages files and folders of recordings."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from monitor.cli.command_line import command_line
from monitor.cli.flags import NetworkFlags, takes
from monitor.cli.sources import settings_of
from monitor.cli.stopping import INTERRUPTED, restore_at_once, stop
from monitor.errors import InputError
from monitor.text import clean

HYPNOGRAMS = ("auto", "none")

_SHOW_CURSOR = b"\r\x1b[K\x1b[?25h"
"""Clears the line of the progress bar, and shows the cursor that it hides."""


@takes(NetworkFlags)
def score(
    flags: NetworkFlags,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Recordings, or folders with them.")
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Search the folders in folders, too.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Processes that work at once. Default: the cores."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMAT,...",
            help="What to write for each recording: the formats of `nights export`, or all. "
            "Default: csv, the table of epochs.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for all files. Default: beside each recording."),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(help="Channel ('EEG Fpz-Cz') or derivation ('F3-M2'). Default: the best."),
    ] = None,
    hypnograms: Annotated[
        str,
        typer.Option(
            metavar="auto|none",
            help="auto: compare with the expert's stages beside a recording or in it. none: do "
            "not; the epochs then begin with the first sample.",
        ),
    ] = "auto",
) -> None:
    """Stage recordings as fast as the cores allow, without a server or a store.

    The stages are those of `replay`. For X.edf it writes X-scored.csv; for several, also
    summary.csv, a row for each. The same command does what is left or changed. SCORE.md has all.

    Example: sleep-monitor score night.edf
    """
    from monitor.clock import SystemClock
    from monitor.scoring.folder import run_scoring
    from monitor.scoring.options import DEFAULT_FORMATS, ScoreOptions

    if hypnograms not in HYPNOGRAMS:
        raise InputError(f"--hypnograms must be auto or none, got '{clean(hypnograms)}'")
    each = settings_of(flags).replay(paths[0], channel=channel)
    options = ScoreOptions(
        tuple(paths),
        replace(each, expert=hypnograms == "auto", no_redis=True, command=command_line()),
        recursive=recursive,
        jobs=jobs,
        formats=tuple(
            name.strip().lower() for text in to or DEFAULT_FORMATS for name in text.split(",")
        ),
        out=out,
    )
    try:
        restore_at_once(_show_cursor)
        # Without `let_interrupt`, Ctrl-C only sets `stop`, so that what is done is kept in order.
        run_scoring(options, Console(), Console(stderr=True), SystemClock(), stop)
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal itself may be gone
            print(
                "sleep-monitor: interrupted; what is done is kept, and the same command goes on",
                file=sys.stderr,
            )
        raise typer.Exit(INTERRUPTED) from None


def _show_cursor() -> None:
    with suppress(OSError, ValueError):  # the terminal itself may be gone
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)
