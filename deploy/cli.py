"""The command line: `sleep-deploy benchmark`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

# Before torch is imported, as the monitor itself does.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer
from rich.console import Console
from rich.table import Table

from monitor.errors import InputError, MonitorError

app = typer.Typer(
    help="Bring the monitor to the hardware it runs on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
benchmark = typer.Typer(help="Measure the monitor on this machine.", no_args_is_help=True)
app.add_typer(benchmark, name="benchmark")

JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")]


@benchmark.command()
def night(
    hours: Annotated[float, typer.Option(min=0.01, help="Length of the night.")] = 8.0,
    sfreq: Annotated[int, typer.Option(metavar="HZ", min=80, help="Its sampling rate.")] = 100,
    json_path: JsonOption = None,
) -> None:
    """Time a whole night at --speed max: seconds, peak memory, staging per epoch.

    Example: sleep-deploy benchmark night --hours 8 --sfreq 256
    """
    from deploy.benchmark import benchmark_night

    _check_file("--json", json_path)
    _show(asdict(benchmark_night(hours, sfreq)), json_path)


@benchmark.command()
def latency(
    speed: Annotated[float, typer.Option(min=0.1, help="Recorded seconds per second.")] = 1.0,
    epochs: Annotated[int, typer.Option(min=1, help="How many epochs to time.")] = 60,
    json_path: JsonOption = None,
) -> None:
    """Time an epoch's way from its last sample to another app. At --speed 1 an epoch takes 30 s.

    Example: sleep-deploy benchmark latency --speed 1 --epochs 60
    """
    from deploy.benchmark import benchmark_latency

    _check_file("--json", json_path)
    _show(asdict(benchmark_latency(speed, epochs)), json_path)


@benchmark.command()
def live(
    sleepers: Annotated[
        str, typer.Option(metavar="N,N,...", help="How many people at once; each is measured.")
    ] = "1,4,16,64",
    minutes: Annotated[float, typer.Option(min=0.6, help="How long each is measured.")] = 5.0,
    json_path: JsonOption = None,
) -> None:
    """Monitor several people live over LSL: how late a stage is, CPU, memory, handles, threads.

    Example: sleep-deploy benchmark live --sleepers 1,4,16,64 --minutes 5
    """
    from deploy.live_benchmark import benchmark_live

    _check_file("--json", json_path)
    try:
        counts = [int(text) for text in sleepers.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise InputError(f"--sleepers {sleepers}: write numbers from 1 on, such as 1,4,16")
    results = [asdict(benchmark_live(count, minutes)) for count in counts]
    table = Table("figure", *(["value"] * len(results)))
    for name in results[0]:
        table.add_row(name, *(_text(result[name]) for result in results))
    Console().print(table)
    _write(results, json_path)


@benchmark.command()
def soak(
    minutes: Annotated[float, typer.Option(min=0.6, help="How long.")] = 60.0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw memory, handles and threads to this PNG file.")
    ] = None,
    json_path: JsonOption = None,
) -> None:
    """Monitor one person live for long: does memory grow, are handles or threads left behind?

    Example: sleep-deploy benchmark soak --minutes 60 --plot soak.png
    """
    from deploy.live_benchmark import Usage, benchmark_soak, draw_soak

    _check_file("--json", json_path)
    _check_file("--plot", plot)
    console = Console()

    def tell(usage: Usage) -> None:
        console.print(
            f"{usage.rss_mb:.1f} MB, {usage.handles} handles, {usage.threads} threads, "
            f"{usage.cpu_s:.1f} s of CPU"
        )

    result = benchmark_soak(minutes, tell)
    if plot is not None:
        draw_soak(result, plot)
    figures = asdict(result)
    table = Table("figure", "value")
    for name in figures:
        if name != "by_minute":
            table.add_row(name, _text(figures[name]))
    console.print(table)
    _write(figures, json_path)


def _check_file(option: str, path: Path | None) -> None:
    """Before anything is measured."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise InputError(f"cannot write {option} {path}: name a file in a folder that exists")


def _show(figures: dict[str, Any], json_path: Path | None) -> None:
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, _text(value))
    Console().print(table)
    _write(figures, json_path)


def _text(value: object) -> str:
    if value is None:
        return "not measured"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _write(figures: object, json_path: Path | None) -> None:
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def main() -> NoReturn:
    """Run the command line. Exit status: 0 done, 1 failed, 2 wrong usage or bad input."""
    try:
        app()
    except MonitorError as exc:
        print(f"sleep-deploy: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
    raise AssertionError("typer always exits")


if __name__ == "__main__":
    main()
