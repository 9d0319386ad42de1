"""The command line: `sleep-monitor demo | replay | live | streams | watch | mark | doctor`."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.resources import as_file, files
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

# Before torch is imported: with several OpenMP threads that spin on a busy core, one inference
# takes seconds instead of milliseconds.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.contract import Gain
from monitor.errors import InputError, MonitorError

if TYPE_CHECKING:
    # Imported where it is used, like all that takes long: --help needs none of it, and until
    # `main` runs, Ctrl-C is not caught.
    from monitor.config import ReplayOptions, Settings

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

live_app = typer.Typer(invoke_without_command=True)
app.add_typer(live_app, name="live")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file. Default: the user's, if any."),
]
RedisOption = Annotated[
    str | None,
    typer.Option("--redis", metavar="URL", help="Event server: redis://... or rediss://... (TLS)."),
]
NoRedisOption = Annotated[bool, typer.Option("--no-redis", help="Publish no events.")]
GainOption = Annotated[
    Gain | None,
    typer.Option(help="unknown: stages that do not depend on the amplitude. Default: known."),
]
WeightsOption = Annotated[
    Path | None, typer.Option(help="Other weights (.safetensors, its card beside it).")
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What runs the network: tensorrt, cuda, onnx, torch. Default: auto, the first of "
        "these that works.",
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(help="The night's SQLite file. Default: one in the user's data folder."),
]
OutputOption = Annotated[Path | None, typer.Option(help="Write one row an epoch to this CSV file.")]
DashboardOption = Annotated[
    bool | None,
    typer.Option(
        "--dashboard/--no-dashboard",
        help="The dashboard, or plain log lines instead. Default: the dashboard.",
    ),
]
ChannelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--channel",
        help="Channel (AF7) or derivation (AF7-TP9) to stage. Repeated: the best first; the "
        "others are used while its electrodes are off. Default: by the device.",
    ),
]
WaitOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", help="Give up when no source is there so long. Default: wait for ever."
    ),
]
NewNightOption = Annotated[
    bool, typer.Option("--new-night", help="Begin a night, even if one could be continued.")
]


@app.command()
def demo() -> None:
    """Replay 84 minutes of real sleep EEG fast, with everything on.

    Example: sleep-monitor demo
    """
    from monitor.config import ReplayOptions

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
    context: typer.Context,
    recording: Annotated[Path, typer.Argument(metavar="FILE", help="EDF, EDF+ or BDF recording.")],
    channel: Annotated[
        str | None,
        typer.Option(help="Channel ('EEG Fpz-Cz') or derivation ('F3-M2'). Default: the best."),
    ] = None,
    speed: Annotated[str, typer.Option(help="1 for real time, 60, ... or max.")] = "max",
    gain: GainOption = None,
    hypnogram: Annotated[
        Path | None,
        typer.Option(help="EDF+ with the expert's stages. Default: those in the recording."),
    ] = None,
    grid: Annotated[
        str,
        typer.Option(help="Where epochs start: auto (the expert's grid), start, or seconds."),
    ] = "auto",
    redis: RedisOption = None,
    no_redis: NoRedisOption = False,
    store: StoreOption = None,
    output: OutputOption = None,
    weights: WeightsOption = None,
    backend: BackendOption = None,
    dashboard: DashboardOption = None,
    config: ConfigOption = None,
) -> None:
    """Stage a recorded night as if it came in live.

    Without --redis, events go to a server inside the monitor that ends with it. A replay that
    was interrupted continues when the same command is given again.

    Example: sleep-monitor replay night.edf --channel "EEG Fpz-Cz" --speed 60
    """
    from monitor.config import ReplayOptions

    settings = _settings(context)
    _replay(
        ReplayOptions(
            recording=recording,
            channel=channel,
            hypnogram=hypnogram,
            grid=grid,
            speed=speed,
            gain=settings.gain,
            weights=settings.weights,
            backend=settings.backend,
            exported=settings.exported,
            redis=settings.redis_url,
            no_redis=settings.no_redis,
            store=store,
            output=output,
            dashboard=settings.dashboard,
        ),
        interrupted="what was staged is stored, and the same command continues",
    )


@live_app.callback()
def live(
    context: typer.Context,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:KEY=VALUE,...",
            help="A sleeper's source, as lsl:source_id=abc,sleeper=anna. Repeat it for others.",
        ),
    ] = None,
    channel: ChannelsOption = None,
    gain: GainOption = None,
    weights: WeightsOption = None,
    backend: BackendOption = None,
    redis: RedisOption = None,
    no_redis: NoRedisOption = False,
    store: StoreOption = None,
    output: OutputOption = None,
    wait: WaitOption = None,
    new_night: NewNightOption = False,
    dashboard: DashboardOption = None,
    config: ConfigOption = None,
) -> None:
    """Stage a night live: of the sources given, or of the sleepers in the configuration file.

    Ctrl-C ends the night. One that was cut off continues when the same command is given again.

    Example: sleep-monitor live --source lsl:source_id=abc,sleeper=anna --source
    brainflow:board=muse_s,sleeper=ben
    """
    if context.invoked_subcommand is None:
        _live(context, source or None)
        return
    sources = [context.get_parameter_source(name) for name in context.params]
    if any(source is not None and source.name == "COMMANDLINE" for source in sources):
        raise typer.BadParameter(f"give options after `{context.invoked_subcommand}`, not before")


@live_app.command()
def lsl(
    context: typer.Context,
    name: Annotated[str | None, typer.Option(help="The stream's name.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Its type, such as EEG.")] = None,
    source_id: Annotated[str | None, typer.Option(help="Its id, which outlives a restart.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="uV, mV or V, if the stream does not say or says it wrong.")
    ] = None,
    channel: ChannelsOption = None,
    gain: GainOption = None,
    weights: WeightsOption = None,
    backend: BackendOption = None,
    redis: RedisOption = None,
    no_redis: NoRedisOption = False,
    store: StoreOption = None,
    output: OutputOption = None,
    wait: WaitOption = None,
    new_night: NewNightOption = False,
    dashboard: DashboardOption = None,
    config: ConfigOption = None,
) -> None:
    """Stage a night from an LSL stream: the only EEG stream, or the one that is told.

    Example: sleep-monitor live lsl --name Muse-1A2B --channel AF7-TP9 --channel AF8-TP10
    """
    keys = {"name": name, "type": type_, "source_id": source_id, "unit": unit}
    _live(context, [_table("lsl", keys)])


@live_app.command()
def brainflow(
    context: typer.Context,
    board: Annotated[str, typer.Option(help="muse_s, cyton, synthetic, ...: BrainFlow's names.")],
    port: Annotated[str | None, typer.Option(help="Serial port of its dongle.")] = None,
    mac: Annotated[str | None, typer.Option(help="Bluetooth address.")] = None,
    serial: Annotated[str | None, typer.Option(help="Serial number or Bluetooth name.")] = None,
    file: Annotated[Path | None, typer.Option(help="Recording, for the playback board.")] = None,
    channel: ChannelsOption = None,
    gain: GainOption = None,
    weights: WeightsOption = None,
    backend: BackendOption = None,
    redis: RedisOption = None,
    no_redis: NoRedisOption = False,
    store: StoreOption = None,
    output: OutputOption = None,
    wait: WaitOption = None,
    new_night: NewNightOption = False,
    dashboard: DashboardOption = None,
    config: ConfigOption = None,
) -> None:
    """Stage a night from a headband or amplifier that BrainFlow knows.

    Example: sleep-monitor live brainflow --board muse_s
    """
    keys = {"board": board, "port": port, "mac": mac, "serial": serial, "file": file}
    _live(context, [_table("brainflow", keys)])


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

    _let_interrupt()
    console, found = Console(), list_streams(wait)
    if not found:
        raise MonitorError(
            f"no LSL stream was seen in {wait:g} s: is the headband's app streaming, and is it in "
            "this network? A firewall, a VPN or a guest network may hold it back: run "
            "sleep-monitor doctor"
        )
    table = Table("name", "type", "source id", "host", "channels", "rate", "unit", box=SIMPLE_HEAD)
    for each in found:
        rate = f"{each.sfreq_hz:g} Hz" if each.sfreq_hz else "irregular"
        texts = (each.name, each.type, each.source_id, each.host, _channels(each.channels), rate)
        table.add_row(*map(Text, texts), Text(each.unit or "unknown"))
    console.print(table)
    for each in found:
        if each.is_eeg:
            told = ["--source-id", each.source_id] if each.source_id else ["--name", each.name]
            command = shlex.join(["sleep-monitor", "live", "lsl", *told])
            console.print(Text(command), soft_wrap=True)


@app.command()
def watch(
    context: typer.Context,
    redis: RedisOption = None,
    json: Annotated[bool, typer.Option("--json", help="One CloudEvents JSON text a line.")] = False,
    wait: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.0, help="Give up when no server is there so long."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Follow a monitor's events as another app would: those so far, then as they come.

    Example: sleep-monitor watch --redis redis://127.0.0.1:16379
    """
    from monitor.sinks import watch as watching

    url = _server(context)
    _let_interrupt()
    watching.watch(Console(), Console(stderr=True), url=url, as_json=json, wait_limit_s=wait)


@app.command()
def mark(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="lights-off|lights-on|note")],
    text: Annotated[str | None, typer.Argument(help="What a note says.")] = None,
    sleeper: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose night. Default: everyone's.")
    ] = None,
    redis: RedisOption = None,
    config: ConfigOption = None,
) -> None:
    """Mark this moment in a night that is being monitored.

    Example: sleep-monitor mark note "phone rang"
    """
    from monitor.types import MarkKind

    try:
        asked = MarkKind(kind.replace("-", "_"))
    except ValueError:
        raise InputError(f"a mark is lights-off, lights-on or note, got '{kind}'") from None
    if (asked is MarkKind.NOTE) != bool(text and text.strip()):
        raise InputError(
            'a note has a text, lights have none: sleep-monitor mark note "phone rang"'
        )
    from monitor.clock import SystemClock
    from monitor.sinks.marks import send_mark

    url = _server(context)
    _let_interrupt()
    send_mark(Console(), url, asked, text, sleeper, SystemClock())


@app.command()
def doctor(redis: RedisOption = None, config: ConfigOption = None) -> None:
    """Check what a night needs on this machine, and say what to do about what is wrong.

    Exit status 1 if there is a problem; a warning is none.

    Example: sleep-monitor doctor --redis redis://192.168.1.5
    """
    from monitor.doctor import examine

    _let_interrupt()
    if not examine(Console(), config, redis):
        raise typer.Exit(1)


def _channels(names: Sequence[str], shown: int = 6) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return " ".join(names[:shown]) + more


def _settings(context: typer.Context, **more: Any) -> Settings:
    """The settings of a command, from its options and wherever else they may come from."""
    from monitor.config import NO_REDIS, read_settings

    given = context.params
    redis = given.get("redis")
    if given.get("no_redis"):
        if redis is not None:
            raise typer.BadParameter("give --redis or --no-redis, not both")
        redis = NO_REDIS
    same = {key: given.get(key) for key in ("gain", "weights", "backend", "dashboard")}
    return read_settings(given["config"], redis=redis, **same, **more)


def _server(context: typer.Context) -> str:
    """Where a running monitor's events are."""
    from monitor.sinks.redis_server import DEFAULT_URL

    settings = _settings(context)
    if settings.no_redis:
        raise InputError(
            "the configuration says to publish no events (redis = 'none'): name a server with "
            "--redis URL"
        )
    return settings.redis_url or DEFAULT_URL


def _table(kind: str, keys: dict[str, Any]) -> dict[str, Any]:
    """What `[[sleeper]]` would say."""
    return {"source": kind} | {key: value for key, value in keys.items() if value is not None}


def _live(context: typer.Context, sleepers: list[Any] | None) -> None:
    given = context.params
    options = _settings(context, wait=given["wait"], sleeper=sleepers).live(
        given["channel"] or (), given["store"], given["output"], given["new_night"]
    )
    from monitor.clock import SystemClock
    from monitor.live import run_live

    # Ctrl-C stays only noted, as `main` has it: that is how a night ends, in order, and a second
    # one does not disturb it.
    run_live(options, Console(), SystemClock(), _stop)


def _replay(options: ReplayOptions, interrupted: str) -> None:
    try:
        from monitor.clock import SystemClock
        from monitor.replay import run_replay

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
