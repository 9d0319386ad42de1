"""`sleep-monitor nights`: what is done with the files of stored nights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.stopping import let_interrupt
from monitor.errors import InputError
from monitor.text import clean

nights_app = typer.Typer(no_args_is_help=True, help="Work with the files of stored nights.")


@nights_app.callback()
def nights() -> None:
    """Work with the files of stored nights."""


@nights_app.command()
def export(
    night: Annotated[
        str, typer.Argument(metavar="NIGHT", help="last, a date (2026-11-26), a sleeper or a file.")
    ],
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
