"""`sleep-monitor nights`: the list of stored nights, and what can be done with them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from monitor.cli.stopping import let_interrupt
from monitor.errors import InputError
from monitor.text import clean

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
    night: Night,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMAT,...",
            help="edf, hypnogram-edf, csv, yasa, visbrain, luna-annot, luna-eannot, nsrr-xml, "
            "profusion-xml, bids, json, or all.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the files of --to.")] = Path(),
    track: Annotated[
        str, typer.Option(help="The stages to export: revised, or live, as they were at once.")
    ] = "revised",
    overwrite: Annotated[bool, typer.Option(help="Replace files that exist.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write one row per epoch to this CSV file.")
    ] = None,
) -> None:
    """Write a night for other programs: its EEG, its stages, its statistics.

    A night that goes on is exported as it is now. Epochs that are damaged in the file are left out
    and named, and the exit status is 1. EXPORTS.md says which program reads which format.

    Example: sleep-monitor nights export last --to edf,csv --out folder
    """
    from monitor.config import default_nights_folder
    from monitor.exports.export import ExportOptions, export_night
    from monitor.exports.table import export_epochs
    from monitor.night.catalogue import named_night
    from monitor.types import Track

    let_interrupt()
    if bool(to) == (output is not None):
        raise InputError("say what to write: --to FORMAT (such as edf, or all), or --output FILE")
    if track not in tuple(Track):
        raise InputError(f"--track must be revised or live, got '{clean(track)}'")
    file = named_night(night, default_nights_folder())
    if output is not None:
        export_epochs(file, output)
    elif to:
        export_night(file, ExportOptions(to, out, Track(track), overwrite))
