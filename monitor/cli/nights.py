"""`sleep-monitor nights`: the list of stored nights, and what can be done with them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from monitor.cli.stopping import let_interrupt
from monitor.errors import InputError

nights_app = typer.Typer(invoke_without_command=True)

Night = Annotated[
    str,
    typer.Argument(
        metavar="NIGHT", help="last, the date of its evening (2026-11-26), a sleeper, or a file."
    ),
]


@nights_app.callback()
def nights(context: typer.Context) -> None:
    """List the stored nights, or work with them.

    Example: sleep-monitor nights
    """
    if context.invoked_subcommand is None:
        from monitor.config import default_nights_folder
        from monitor.sinks.stored_nights import list_nights

        let_interrupt()
        list_nights(Console(), default_nights_folder())


@nights_app.command()
def show(night: Night = "last") -> None:
    """Show a night as it was shown at its end, with its marks.

    Example: sleep-monitor nights show 2026-11-26
    """
    from monitor.clock import SystemClock
    from monitor.config import default_nights_folder
    from monitor.sinks.stored_nights import show_night

    let_interrupt()
    show_night(Console(), default_nights_folder(), night, SystemClock().utc())


@nights_app.command()
def delete(
    nights: Annotated[
        list[str],
        typer.Argument(
            metavar="NIGHT...",
            help="last, the date of an evening (2026-11-26), a sleeper, or a file.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete nights for ever. It says which files go, and asks.

    Example: sleep-monitor nights delete 2026-11-26
    """
    from monitor.config import default_nights_folder
    from monitor.sinks.stored_nights import delete_nights

    def confirmed(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise InputError("nothing was deleted: there is no terminal to ask; give --yes")
        return typer.confirm(question)

    let_interrupt()
    delete_nights(Console(), default_nights_folder(), nights, confirmed)


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
