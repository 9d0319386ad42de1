"""The commands of `sleep-deploy benchmark`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.options import (
    ExportedOption,
    JsonOption,
    WeightsOption,
    cell_text,
    check_backends,
    check_writable,
    plain_console,
    print_figures,
    selected_folder,
    selected_weights,
    whole_numbers,
    write_json,
)
from monitor.staging.chain import AUTO, BACKENDS

benchmark = typer.Typer(help="Measure the monitor on this machine.", no_args_is_help=True)


@benchmark.command()
def night(
    hours: Annotated[float, typer.Option(min=0.01, help="Length of the night.")] = 8.0,
    sfreq: Annotated[int, typer.Option(metavar="HZ", min=80, help="Its sampling rate.")] = 100,
    backend: Annotated[
        str, typer.Option(metavar="NAME", help="Backend, as in sleep-monitor --backend.")
    ] = "auto",
    json_path: JsonOption = None,
) -> None:
    """Time a whole night at --speed max: seconds, peak memory, staging of an epoch.

    Example: sleep-deploy benchmark night --hours 8 --sfreq 256
    """
    from deploy.benchmark import benchmark_night

    check_writable("--json", json_path)
    check_backends([backend], (AUTO, *BACKENDS))
    print_figures(asdict(benchmark_night(hours, sfreq, backend)), json_path)


@benchmark.command()
def latency(
    speed: Annotated[float, typer.Option(min=0.1, help="Recorded seconds per second.")] = 1.0,
    epochs: Annotated[int, typer.Option(min=1, help="How many epochs to time.")] = 60,
    json_path: JsonOption = None,
) -> None:
    """Time an epoch's delay from its last sample to another app. --speed 1 takes 30 s an epoch.

    Example: sleep-deploy benchmark latency --speed 1 --epochs 60
    """
    from deploy.benchmark import benchmark_latency

    check_writable("--json", json_path)
    print_figures(asdict(benchmark_latency(speed, epochs)), json_path)


@benchmark.command()
def live(
    sleepers: Annotated[
        str, typer.Option(metavar="N,N,...", help="Numbers of people; each number is measured.")
    ] = "1,4,16,64",
    minutes: Annotated[float, typer.Option(min=0.6, help="Duration of each measurement.")] = 5.0,
    json_path: JsonOption = None,
) -> None:
    """Monitor several people live over LSL: delay of a stage, CPU, memory, handles, threads.

    Example: sleep-deploy benchmark live --sleepers 1,4,16,64 --minutes 5
    """
    from deploy.live_benchmark import benchmark_live

    check_writable("--json", json_path)
    counts = whole_numbers("--sleepers", sleepers)
    results = [asdict(benchmark_live(count, minutes)) for count in counts]
    table = Table("figure", *(["value"] * len(results)))
    # The number of people first: it heads its column.
    for name in sorted(results[0], key=lambda name: name != "sleepers"):
        table.add_row(name, *(cell_text(result[name]) for result in results))
    Console().print(table)
    write_json(results, json_path)


@benchmark.command()
def soak(
    minutes: Annotated[float, typer.Option(min=0.6, help="Duration of the measurement.")] = 60.0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw memory, handles and threads to this PNG file.")
    ] = None,
    json_path: JsonOption = None,
) -> None:
    """Monitor one person live for a long time, to see if memory, handles or threads grow.

    Example: sleep-deploy benchmark soak --minutes 60 --plot soak.png
    """
    from deploy.live_benchmark import benchmark_soak, draw_soak

    if plot is not None:
        import matplotlib  # noqa: F401  # If it is missing, stop now and not after the soak.
    from deploy.usage import Usage

    check_writable("--json", json_path)
    check_writable("--plot", plot)
    console = Console()

    def report(usage: Usage) -> None:
        console.print(
            f"{usage.rss_mb:.1f} MB, {usage.handles} handles, {usage.threads} threads, "
            f"{usage.cpu_s:.1f} s of CPU"
        )

    result = benchmark_soak(minutes, report)
    if plot is not None:
        draw_soak(result, plot)
    figures = asdict(result)
    table = Table("figure", "value")
    for name in figures:
        if name != "by_minute":
            table.add_row(name, cell_text(figures[name]))
    console.print(table)
    write_json(figures, json_path)


@benchmark.command()
def backends(
    backend: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this one; can be repeated.")
    ] = None,
    batches: Annotated[
        str, typer.Option(metavar="N,N,...", help="Batch sizes in epochs; each size is measured.")
    ] = "1,4,16,64",
    weights: WeightsOption = None,
    exported: ExportedOption = None,
    json_path: JsonOption = None,
) -> None:
    """Time every backend on this machine, and compare it with the machine's best rates.

    Example: sleep-deploy benchmark backends --backend onnx --backend torch --batches 1,16
    """
    from deploy.backend_benchmark import benchmark_backends
    from deploy.backend_tables import tables

    check_writable("--json", json_path)
    counts = whole_numbers("--batches", batches)
    chosen = backend or BACKENDS
    check_backends(chosen, BACKENDS)
    console = plain_console()
    result = benchmark_backends(
        chosen, selected_weights(weights, None)[0], selected_folder(exported), counts, console.print
    )
    for table in tables(result):
        console.print(table)
    write_json(asdict(result), json_path)
