"""The command line: `sleep-monitor demo | replay | watch`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import as_file, files
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

# Before torch is imported: with several OpenMP threads that spin on a busy core, one inference
# takes seconds instead of milliseconds.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer
from rich.console import Console

from models.contract import Gain
from monitor.config import ReplayOptions
from monitor.errors import MonitorError

app = typer.Typer(
    help="Sleep stages from live or recorded EEG, while you sleep. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DEMO_SPEED = "300"
"""On a terminal the demo's 84 minutes pass in 17 s, slow enough to watch."""

INTERRUPTED = 130
"""Exit status of a program ended by Ctrl-C, as shells have it."""

_STOP_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
_stop = threading.Event()

RedisOption = Annotated[
    str | None,
    typer.Option("--redis", metavar="URL", help="Event server: redis://... or rediss://... (TLS)."),
]


@app.command()
def demo() -> None:
    """Replay 84 minutes of real sleep EEG fast, with everything on.

    Example: sleep-monitor demo
    """
    excerpt = files("monitor") / "demo" / "excerpt.edf"
    logging.getLogger(__name__).info("The demo's night is kept only while it runs.")
    with as_file(excerpt) as recording, tempfile.TemporaryDirectory() as folder:
        _replay(
            ReplayOptions(
                recording=recording,
                speed=DEMO_SPEED if sys.stdout.isatty() else "max",
                store=Path(folder) / "demo.sqlite",
            ),
            interrupted="the demo's night is gone",
        )


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(metavar="FILE", help="EDF, EDF+ or BDF recording.")],
    channel: Annotated[
        str | None,
        typer.Option(help="Channel ('EEG Fpz-Cz') or derivation ('F3-M2'). Default: the best."),
    ] = None,
    speed: Annotated[str, typer.Option(help="1 for real time, 60, ... or max.")] = "max",
    gain: Annotated[
        Gain, typer.Option(help="unknown: stages that do not depend on the amplitude.")
    ] = Gain.KNOWN,
    hypnogram: Annotated[
        Path | None,
        typer.Option(help="EDF+ with the expert's stages. Default: those in the recording."),
    ] = None,
    grid: Annotated[
        str,
        typer.Option(help="Where epochs start: auto (the expert's grid), start, or seconds."),
    ] = "auto",
    redis: RedisOption = None,
    no_redis: Annotated[bool, typer.Option("--no-redis", help="Publish no events.")] = False,
    store: Annotated[
        Path | None,
        typer.Option(help="The night's SQLite file. Default: one in the user's data folder."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write one row an epoch to this CSV file.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Other weights (.safetensors, its card beside it).")
    ] = None,
    no_dashboard: Annotated[
        bool, typer.Option("--no-dashboard", help="Plain log lines instead of the dashboard.")
    ] = False,
) -> None:
    """Stage a recorded night as if it came in live.

    Without --redis, events go to a server inside the monitor that ends with it. A replay that
    was interrupted continues when the same command is given again.

    Example: sleep-monitor replay night.edf --channel "EEG Fpz-Cz" --speed 60
    """
    if redis is not None and no_redis:
        raise typer.BadParameter("give --redis or --no-redis, not both")
    _replay(
        ReplayOptions(
            recording=recording,
            channel=channel,
            hypnogram=hypnogram,
            grid=grid,
            speed=speed,
            gain=gain,
            weights=weights,
            redis=redis,
            no_redis=no_redis,
            store=store,
            output=output,
            dashboard=not no_dashboard,
        ),
        interrupted="what was staged is stored, and the same command continues",
    )


@app.command()
def watch(
    redis: RedisOption = None,
    json: Annotated[bool, typer.Option("--json", help="One CloudEvents JSON text a line.")] = False,
    wait: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.0, help="Give up when no server is there so long."),
    ] = None,
) -> None:
    """Follow a monitor's events as another app would: those so far, then as they come.

    Example: sleep-monitor watch --redis redis://127.0.0.1:16379
    """
    from monitor.sinks import watch as watching
    from monitor.sinks.redis_server import DEFAULT_URL

    _let_interrupt()
    watching.watch(
        Console(), Console(stderr=True), url=redis or DEFAULT_URL, as_json=json, wait_limit_s=wait
    )


def _replay(options: ReplayOptions, interrupted: str) -> None:
    try:
        # Imported here: torch takes seconds, and --help needs none of it.
        from monitor.app import run_replay
        from monitor.clock import SystemClock

        _let_interrupt()
        run_replay(options, Console(), SystemClock(), _stop)
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be what went
            print(f"sleep-monitor: interrupted; {interrupted}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


def main() -> NoReturn:
    """Run the command line. Exit status: 0 done, 1 failed, 2 wrong usage or bad input."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    logging.captureWarnings(True)
    # An exception in the middle of an import leaves some libraries in a state they cannot report
    # themselves from: until a command lets it interrupt, Ctrl-C is only noted.
    _on_stop_signals(lambda *_: _stop.set())
    try:
        app()
    except MonitorError as exc:
        print(f"sleep-monitor: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
    raise AssertionError("typer always exits")


def _let_interrupt() -> None:
    """From here on Ctrl-C, a service manager's SIGTERM and a closed terminal end the command."""
    _on_stop_signals(_interrupt)
    if _stop.is_set():
        raise KeyboardInterrupt


def _on_stop_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in _STOP_SIGNALS:
        # What was ignored from the start stays so: nohup, or a job in the background.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    # A second one does not disturb the tear-down, which takes a few seconds at most.
    if _stop.is_set():
        return
    # Noted as well as raised: an exception raised inside a destructor is lost.
    _stop.set()
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
