"""`sleep-monitor nights`: what is done with the files of stored nights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.stopping import let_interrupt

nights_app = typer.Typer(no_args_is_help=True, help="Work with the files of stored nights.")


@nights_app.callback()
def nights() -> None:
    """Work with the files of stored nights."""


@nights_app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The night's file.")],
    output: Annotated[Path, typer.Option(help="Write one row per epoch to this CSV file.")],
) -> None:
    """Write a night's stages to a CSV file, as --output of replay does.

    Epochs that are damaged in the file are left out and named, and the exit status is 1.

    Example: sleep-monitor nights export night.sqlite --output epochs.csv
    """
    from monitor.sinks.export import export_epochs

    let_interrupt()
    export_epochs(file, output)
