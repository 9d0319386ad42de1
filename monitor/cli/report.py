"""`sleep-monitor report`: the page of a night, or of several."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.stopping import let_interrupt


def report(
    nights: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NIGHT...",
            help="last, the date of an evening (2026-11-26), a sleeper, a file, or all. Several "
            "make a page of their trend. Default: last.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR", help="Where the page goes. Default: beside the night's file."
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", help="Write the night's picture to this file, too."),
    ] = None,
    hypnogram: Annotated[
        Path | None,
        typer.Option(
            help="EDF+ or XML with an expert's stages. Default: those of the recording, if a "
            "replay's is found again beside the night's file or in the current folder."
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="All nights from this evening on.",
        ),
    ] = None,
) -> None:
    """Write a page of a night in plain words and pictures, to read, print or show.

    It works during the night, and for a damaged file. The page needs no network.

    Example: sleep-monitor report 2026-11-26
    """
    from monitor.clock import SystemClock
    from monitor.config import default_nights_folder
    from monitor.report import make_report

    let_interrupt()
    if since is not None and nights:
        raise typer.BadParameter("--since chooses the nights: name none")
    written = make_report(
        nights or (["last"] if since is None else ["all"]),
        default_nights_folder(),
        SystemClock(),
        out=out,
        hypnogram=hypnogram,
        picture=picture,
        since=None if since is None else since.date(),
    )
    for path in written:
        print(path)
