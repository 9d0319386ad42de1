"""The commands of `sleep-monitor`, and its main function."""

from __future__ import annotations

import errno
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.cli.check import check_app
from monitor.cli.command_line import command_line
from monitor.cli.flags import (
    Board,
    Keep,
    LiveFlags,
    Mac,
    Playback,
    Port,
    RunFlags,
    Serial,
    ServerFlags,
    SourceId,
    Sources,
    StreamName,
    StreamType,
    Unit,
    takes,
)
from monitor.cli.nights import nights_app
from monitor.cli.report import report
from monitor.cli.rules import rules_app
from monitor.cli.score import score
from monitor.cli.sources import brainflow_table, lsl_table, refuse_options, settings_of
from monitor.cli.stopping import INTERRUPTED, let_interrupt, note_stop, restore_at_once, stop
from monitor.cli.web import WebCommand, WebGroup, check_web_packages, web
from monitor.errors import InputError, MonitorError
from monitor.text import clean

if TYPE_CHECKING:
    # Modules that take long to import are imported where they are used: --help needs none of them,
    # and until `main` runs, Ctrl-C is not handled.
    from monitor.config import ReplayOptions
    from monitor.sources.lsl import LslStream

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DEMO_SPEED = 300.0
"""On a terminal the demo's 84 minutes take 17 s: slow enough to watch."""

live_app = typer.Typer(invoke_without_command=True, cls=WebGroup)
app.add_typer(check_app, name="check")
app.add_typer(live_app, name="live")
app.add_typer(nights_app, name="nights")
app.add_typer(rules_app, name="rules")
app.command()(report)
app.command()(score)
app.command()(web)


def _print_version(wanted: bool) -> None:
    if wanted:
        from monitor.doctor.version import version_lines

        for line in version_lines():
            print(line)
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_version,
            help="Print the version, the backend and the default weights, and exit.",
        ),
    ] = False,
) -> None:
    """Sleep stages from live or recorded EEG, while you sleep. Not a medical device."""


@app.command()
def demo(keep: Keep = False) -> None:
    """Replay 84 minutes of real sleep EEG fast, with everything on.

    Example: sleep-monitor demo
    """
    from monitor.config import ReplayOptions
    from monitor.sources.demo_recording import demo_recording

    recording = demo_recording()
    speed = DEMO_SPEED if sys.stdout.isatty() else None
    _replay(ReplayOptions(recording=recording, speed=speed, keep=keep))


@app.command()
@takes(RunFlags)
def replay(
    flags: RunFlags,
    recording: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="EDF, BDF, text (Muse, OpenBCI, BrainFlow), XDF, BrainVision, EEGLAB, FIF, GDF.",
        ),
    ],
    channel: Annotated[
        str | None,
        typer.Option(help="Channel ('EEG Fpz-Cz') or derivation ('F3-M2'). Default: the best."),
    ] = None,
    speed: Annotated[str, typer.Option(help="1 for real time, 60, ... or max.")] = "max",
    hypnogram: Annotated[
        Path | None,
        typer.Option(
            help="EDF+ or XML with the expert's stages. Default: X-Hypnogram.edf beside X.edf, "
            "else those in the recording."
        ),
    ] = None,
    grid: Annotated[
        str,
        typer.Option(help="Where epochs start: auto (the expert's grid), start, or seconds."),
    ] = "auto",
    keep: Keep = False,
) -> None:
    """Stage a recorded night as if it came in live.

    Without --redis, events go to a server inside the monitor that ends with it. With --keep or
    --store, the same command continues a replay that was interrupted.

    Example: sleep-monitor replay night.edf --channel "EEG Fpz-Cz" --speed 60
    """
    options = settings_of(flags).replay(
        recording,
        channel=channel,
        hypnogram=hypnogram,
        grid=grid,
        speed=speed,
        store=flags.store,
        keep=keep,
        output=flags.output,
    )
    _replay(options)


@live_app.callback()
@takes(LiveFlags)
def live(
    context: typer.Context,
    flags: LiveFlags,
    source: Sources = None,
) -> None:
    """Stage a night live, from the given sources or for the sleepers of the configuration file.

    Ctrl-C ends the night; a second Ctrl-C ends the program at once. The same command continues a
    night that was cut off.

    Example: sleep-monitor live --source lsl:source_id=abc,sleeper=anna --source
    brainflow:board=muse_s,sleeper=ben
    """
    if context.invoked_subcommand is None:
        _live(flags, source or None)
        return
    refuse_options(context)


@live_app.command(cls=WebCommand)
@takes(LiveFlags)
def lsl(
    flags: LiveFlags,
    name: StreamName = None,
    type_: StreamType = None,
    source_id: SourceId = None,
    unit: Unit = None,
) -> None:
    """Stage a night from an LSL stream: the only EEG stream, or the one that the options name.

    Example: sleep-monitor live lsl --name Muse-1A2B --channel AF7-TP9 --channel AF8-TP10
    """
    _live(flags, [lsl_table(name, type_, source_id, unit)])


@live_app.command(cls=WebCommand)
@takes(LiveFlags)
def brainflow(
    flags: LiveFlags,
    board: Board,
    port: Port = None,
    mac: Mac = None,
    serial: Serial = None,
    file: Playback = None,
) -> None:
    """Stage a night from a headband or amplifier that BrainFlow knows.

    Example: sleep-monitor live brainflow --board muse_s
    """
    _live(flags, [brainflow_table(board, port, mac, serial, file)])


@app.command()
def streams(
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long to look for streams.")
    ] = 2.0,
) -> None:
    """List the LSL streams that can be seen now, and the command that monitors each.

    Example: sleep-monitor streams --wait 5
    """
    from monitor.sources.lsl import list_streams

    let_interrupt()
    console, found = Console(), list_streams(wait)
    if not found:
        raise MonitorError(
            f"no LSL stream was seen in {wait:g} s: is the headband's app streaming, and is it in "
            "this network? A firewall, a VPN or a guest network may hold it back: run "
            "sleep-monitor doctor"
        )
    table = Table("name", "type", "source id", "host", "channels", "rate", "unit", box=SIMPLE_HEAD)
    for each in found:
        texts = (each.name, each.type, each.source_id, each.host, _channels(each.channels))
        table.add_row(*map(Text, (*texts, each.rate_text, each.unit or "unknown")))
    console.print(table)
    for each in found:
        if each.problem:
            console.print(Text(f"LSL stream {each} cannot be monitored: {each.problem}"))
        elif each.is_eeg:
            console.print(Text(_live_command(each)), soft_wrap=True)


@app.command()
@takes(ServerFlags)
def watch(
    flags: ServerFlags,
    json: Annotated[bool, typer.Option("--json", help="One CloudEvents JSON text a line.")] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0.0, help="Give up if no server answers within this time."
        ),
    ] = None,
) -> None:
    """Follow a monitor's events as another app would: the events so far, then the new ones.

    Example: sleep-monitor watch --redis redis://127.0.0.1:16379
    """
    from monitor.clock import SystemClock
    from monitor.sinks import watch as watching

    url = _server(flags)
    let_interrupt()
    watching.watch(
        Console(), Console(stderr=True), SystemClock(), url=url, as_json=json, wait_limit_s=wait
    )


@app.command()
@takes(ServerFlags)
def mark(
    flags: ServerFlags,
    kind: Annotated[str, typer.Argument(metavar="lights-off|lights-on|note")],
    text: Annotated[str | None, typer.Argument(help="The text of a note.")] = None,
    sleeper: Annotated[
        str | None, typer.Option(metavar="NAME", help="The sleeper. Default: every sleeper.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When it was: 23:10 (the last one), '2026-11-27 23:10', or ISO 8601 with a zone. "
            "Default: now.",
        ),
    ] = None,
) -> None:
    """Mark this moment, or an earlier one, in a night that is being monitored.

    Example: sleep-monitor mark lights-off --at 23:10
    """
    from monitor.clock import SystemClock
    from monitor.sinks.mark_sender import make_mark, send_mark

    clock = SystemClock()
    made = make_mark(kind, text, at, clock)
    url = _server(flags)
    let_interrupt()
    send_mark(Console(), url, made, sleeper, clock)


@app.command()
@takes(ServerFlags)
def doctor(flags: ServerFlags) -> None:
    """Check that this machine is ready for a night, and advise on what is not.

    Exit status 1 if there is a problem; a warning is not a problem.

    Example: sleep-monitor doctor --redis redis://192.168.1.5
    """
    from monitor.doctor import examine

    let_interrupt()
    if not examine(Console(), flags.config, flags.redis):
        raise typer.Exit(1)


def _channels(names: Sequence[str], shown: int = 6) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return " ".join(names[:shown]) + more


def _live_command(stream: LslStream) -> str:
    """Return the command that monitors ``stream``, for a shell."""
    option, value = (
        ("--source-id", stream.source_id) if stream.source_id else ("--name", stream.name)
    )
    # A value that begins with a dash would be read as the next option.
    given = [f"{option}={value}"] if value.startswith("-") else [option, value]
    return shlex.join(["sleep-monitor", "live", "lsl", *given])


def _server(flags: ServerFlags) -> str:
    """Return the URL of the server that holds a running monitor's events."""
    from monitor.sinks.redis_server import DEFAULT_URL

    settings = settings_of(flags)
    if settings.no_redis:
        raise InputError(
            "the configuration says to publish no events (redis = 'none'): name a server with "
            "--redis URL"
        )
    return settings.redis_url or DEFAULT_URL


def _live(flags: LiveFlags, sleepers: list[Any] | None) -> None:
    options = settings_of(flags, sleeper=sleepers).live(
        flags.channel or (), flags.store, flags.output, flags.new_night, flags.web
    )
    if options.web is not None:
        check_web_packages()
    from monitor.clock import SystemClock
    from monitor.live import run_live
    from monitor.sinks.dashboard import restore_terminals

    restore_at_once(restore_terminals)
    # Without `let_interrupt`, Ctrl-C only sets `stop`, so that the night ends in order.
    run_live(replace(options, command=command_line()), Console(), SystemClock(), stop)


def _replay(options: ReplayOptions) -> None:
    try:
        from monitor.clock import SystemClock
        from monitor.replay import run_replay
        from monitor.sinks.dashboard import restore_terminals

        restore_at_once(restore_terminals)
        let_interrupt()
        run_replay(replace(options, command=command_line()), Console(), SystemClock(), stop)
    except KeyboardInterrupt:
        night = (
            "what was staged is stored, and the same command continues"
            if options.is_kept
            else "its night is not kept. A replay with --keep continues after an interruption"
        )
        with suppress(OSError):  # the terminal itself may be gone
            print(f"sleep-monitor: interrupted; {night}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


def main() -> NoReturn:
    """Run the command line. Exit status: 0 done, 1 failed, 2 wrong usage or bad input."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    logging.captureWarnings(True)
    note_stop()
    try:
        app()
    except MonitorError as exc:
        print(f"sleep-monitor: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
    except OSError as exc:
        # Every look at a path can fail so. Elsewhere an OSError is a bug.
        if exc.errno != errno.ENAMETOOLONG:
            raise
        name = clean(os.fsdecode(exc.filename or ""), 60)
        print(f"sleep-monitor: the name of a file is too long: {name}", file=sys.stderr)
        sys.exit(2)
    raise AssertionError("typer always exits")
