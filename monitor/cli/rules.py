"""`sleep-monitor rules`: tries rules on recorded nights, without acting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from monitor.cli.stopping import let_interrupt
from monitor.errors import InputError

rules_app = typer.Typer(no_args_is_help=True)


@rules_app.callback()
def rules() -> None:
    """Work with the rules that act on sleep."""


@rules_app.command("try")
def try_(
    rules: Annotated[
        Path, typer.Argument(metavar="RULES", help="The TOML file with the [[rule]] tables.")
    ],
    nights: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NIGHT...",
            help="last, the date of an evening (2026-11-26), a sleeper, a file, all, or a "
            "recording, which is staged first. Default: last.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE.html", help="Where the page with the pictures goes."),
    ] = Path("rules.html"),
) -> None:
    """Show when each rule would have fired in recorded nights: a table, and a page of pictures.

    Nothing is done. So you tune rules before a night.

    Example: sleep-monitor rules try rules.toml last 2026-11-26
    """
    from contextlib import ExitStack

    from monitor.config import default_nights_folder, read_settings
    from monitor.report.making import check_place, night_files, write_private
    from monitor.rules.try_page import try_page
    from monitor.rules.try_words import print_tried
    from monitor.rules.trying import try_rules
    from monitor.sources.formats import may_be_recording

    let_interrupt()
    chosen = read_settings(rules).rule
    if not chosen:
        raise InputError(f"{rules} has no rule: begin one with a line [[rule]]")
    check_place(out, ".html")
    console, tried = Console(), []
    with ExitStack() as stack:
        paths: list[Path] = []
        for name in nights or ["last"]:
            if may_be_recording(Path(name)):
                from monitor.clock import SystemClock
                from monitor.replay import staged_recording

                paths.append(stack.enter_context(staged_recording(Path(name), SystemClock())))
            else:
                paths += night_files([name], default_nights_folder())
        for path in paths:
            tried.append(try_rules(chosen, path))
            print_tried(console, tried[-1])
    write_private(out, try_page(tried))
    print(out)
