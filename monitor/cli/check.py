"""`sleep-monitor check`: how a headband sits, before the night."""

from __future__ import annotations

import sys
from typing import Any

import typer
from rich.console import Console

from monitor.cli.flags import (
    Board,
    CheckFlags,
    Mac,
    Playback,
    Port,
    Serial,
    SourceId,
    Sources,
    StreamName,
    StreamType,
    Unit,
    takes,
)
from monitor.cli.sources import brainflow_table, lsl_table, refuse_options, settings_of
from monitor.cli.stopping import INTERRUPTED, stop
from monitor.errors import InputError

check_app = typer.Typer(invoke_without_command=True)


@check_app.callback()
@takes(CheckFlags)
def check(context: typer.Context, flags: CheckFlags, source: Sources = None) -> None:
    """Wear the headband for a minute, and learn if it is ready for the night. Nothing is kept.

    Every electrode is judged in words, as a night judges it. Exit status 0 if the headband can be
    staged, 1 if not. Without a source, the sleepers of the configuration file are checked.

    Example: sleep-monitor check brainflow --board muse_s
    """
    if context.invoked_subcommand is None:
        _check(flags, source or None)
        return
    refuse_options(context)


@check_app.command()
@takes(CheckFlags)
def lsl(
    flags: CheckFlags,
    name: StreamName = None,
    type_: StreamType = None,
    source_id: SourceId = None,
    unit: Unit = None,
) -> None:
    """Check an LSL stream: the only EEG stream, or the one that the options name.

    Example: sleep-monitor check lsl --name Muse-1A2B
    """
    _check(flags, [lsl_table(name, type_, source_id, unit)])


@check_app.command()
@takes(CheckFlags)
def brainflow(
    flags: CheckFlags,
    board: Board,
    port: Port = None,
    mac: Mac = None,
    serial: Serial = None,
    file: Playback = None,
) -> None:
    """Check a headband or amplifier that BrainFlow knows.

    Example: sleep-monitor check brainflow --board muse_s
    """
    _check(flags, [brainflow_table(board, port, mac, serial, file)])


def _check(flags: CheckFlags, sleepers: list[Any] | None) -> None:
    settings = settings_of(flags, sleeper=sleepers)
    if not settings.sleeper:
        raise InputError(
            "no source is given: name it (sleep-monitor check lsl, or check brainflow --board "
            "muse_s), or put [[sleeper]] tables in the configuration file"
        )
    options = settings.live(flags.channel or ())
    from monitor.clock import SystemClock
    from monitor.live import run_check

    # Without `let_interrupt`, Ctrl-C only sets `stop`, so that the sources are closed in order.
    is_ready = run_check(options, Console(), SystemClock(), stop, flags.seconds)
    if stop.is_set():
        print("sleep-monitor: interrupted; there is no verdict", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    if not is_ready:
        raise typer.Exit(1)
