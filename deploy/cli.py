"""The command line: `sleep-deploy export | build-engine | parity | benchmark`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

# These must be set before torch is imported, as in `monitor.cli`: with more threads than free
# cores, one matrix product can take seconds, and threads that spin take cores from other programs.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer
from rich.console import Console
from rich.table import Table

from models.card import default_weights, read_contract
from models.contract import Gain
from monitor.errors import InputError, MonitorError
from monitor.staging.chain import AUTO, BACKENDS

if TYPE_CHECKING:
    # At run time, functions import what takes long to import, so that --help is quick.
    from deploy.parity import Parity, ParityVerdict

app = typer.Typer(
    help="Bring the monitor to the hardware it runs on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
benchmark = typer.Typer(help="Measure the monitor on this machine.", no_args_is_help=True)
app.add_typer(benchmark, name="benchmark")

JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Also write the figures to this file.")
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Weights (.safetensors) instead of the default ones."),
]
GainOption = Annotated[Gain | None, typer.Option(help="Only the default weights for this gain.")]
ExportedOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Folder for the files. Default: where sleep-monitor looks for them."
    ),
]


@app.command()
def export(
    weights: WeightsOption = None, gain: GainOption = None, exported: ExportedOption = None
) -> None:
    """Export the network to ONNX, so that it runs without PyTorch. Kept only if it stages the same.

    Example: sleep-deploy export
    """
    from deploy.export import export_onnx

    console, folder = _console(), _exported(exported)
    for each in _weights(weights, gain):
        console.print(f"Exporting {each.name} to {folder}: about 20 s", soft_wrap=True)
        _print_parity(console, export_onnx(each, folder))
    console.print("sleep-monitor uses the export from its next start, unless it finds a GPU")


@app.command("build-engine")
def build_engine(
    weights: WeightsOption = None,
    gain: GainOption = None,
    exported: ExportedOption = None,
    force: Annotated[bool, typer.Option("--force", help="Build again what is up to date.")] = False,
) -> None:
    """Prepare an NVIDIA GPU: half precision, TensorRT engines. Kept only if they stage the same.

    Example: sleep-deploy build-engine
    """
    from deploy.engine import build_engines

    console, folder = _console(), _exported(exported)
    for each in _weights(weights, gain):
        console.print(f"Building for {each.name} in {folder}", soft_wrap=True)
        for parity in build_engines(each, folder, force, console.print):
            _print_parity(console, parity)


@app.command()
def parity(
    weights: WeightsOption = None,
    gain: GainOption = None,
    exported: ExportedOption = None,
    json_path: JsonOption = None,
) -> None:
    """Compare every backend with PyTorch on real sleep. Exit status 1 if one stages differently.

    Example: sleep-deploy parity --json parity.json
    """
    from deploy.parity import judge_backends

    _check_file("--json", json_path)
    console, folder = _console(), _exported(exported)
    figures, failed = [], False
    for each in _weights(weights, gain):
        verdicts = judge_backends(each, folder)
        console.print(_parity_table(each, verdicts))
        figures += [{"weights": each.name, **asdict(verdict)} for verdict in verdicts]
        failed |= any(verdict.failed for verdict in verdicts)
    _write(figures, json_path)
    if failed:
        raise MonitorError("a backend stages differently from PyTorch: see FAILED in the table")


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

    _check_file("--json", json_path)
    _check_backends([backend], (AUTO, *BACKENDS))
    _show(asdict(benchmark_night(hours, sfreq, backend)), json_path)


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

    _check_file("--json", json_path)
    _show(asdict(benchmark_latency(speed, epochs)), json_path)


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

    _check_file("--json", json_path)
    counts = _numbers("--sleepers", sleepers)
    results = [asdict(benchmark_live(count, minutes)) for count in counts]
    table = Table("figure", *(["value"] * len(results)))
    # The number of people first: it heads its column.
    for name in sorted(results[0], key=lambda name: name != "sleepers"):
        table.add_row(name, *(_text(result[name]) for result in results))
    Console().print(table)
    _write(results, json_path)


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
    from deploy.usage import Usage

    _check_file("--json", json_path)
    _check_file("--plot", plot)
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
            table.add_row(name, _text(figures[name]))
    console.print(table)
    _write(figures, json_path)


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

    _check_file("--json", json_path)
    counts = _numbers("--batches", batches)
    chosen = backend or BACKENDS
    _check_backends(chosen, BACKENDS)
    console = _console()
    result = benchmark_backends(
        chosen, _weights(weights, None)[0], _exported(exported), counts, console.print
    )
    for table in tables(result):
        console.print(table)
    _write(asdict(result), json_path)


def _check_backends(names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise InputError(f"--backend {name}: must be one of {', '.join(known)}")


def _console() -> Console:
    """Return a console without markup, because a path may contain square brackets."""
    return Console(markup=False, highlight=False)


def _weights(weights: Path | None, gain: Gain | None) -> list[Path]:
    """Return the weights of the options or the settings; if there are none, all default ones."""
    from monitor.config import read_settings

    if weights is not None and gain is not None:
        raise InputError("--weights and --gain: use only one of them, weights are for one gain")
    if gain is None and (weights := weights or read_settings().weights) is not None:
        return [weights]
    return [default_weights(each) for each in ([gain] if gain is not None else Gain)]


def _exported(exported: Path | None) -> Path:
    from monitor.config import default_exported_folder, read_settings

    return exported or read_settings().exported or default_exported_folder()


def _print_parity(console: Console, parity: Parity) -> None:
    console.print(
        f"  {parity.backend}: {parity.label_agreement:.2%} of the labels are PyTorch's, "
        f"probabilities differ by at most {parity.largest_difference:.1e}"
    )


def _parity_table(weights: Path, verdicts: list[ParityVerdict]) -> Table:
    from deploy.parity import MAX_DIFFERENCE, MIN_AGREEMENT

    contract = read_contract(weights)
    table = Table(
        "backend",
        "runs on, or why not",
        title=f"{contract.full_name} against PyTorch in float32",
        caption=f"To pass: {MIN_AGREEMENT:.1%} of the labels the same, no probability different by "
        f"more than {MAX_DIFFERENCE:g}",
    )
    for column in ("labels", "difference", ""):
        table.add_column(column, justify="right")
    for each in verdicts:
        verdict = "FAILED" if each.failed else "passed" if each.available else "not here"
        if (parity := each.parity) is None:
            table.add_row(each.backend, each.trouble, "-", "-", verdict)
        else:
            difference = f"{parity.largest_difference:.1e}"
            labels = f"{parity.label_agreement:.2%}"
            table.add_row(each.backend, parity.runs_on, labels, difference, verdict)
    return table


def _numbers(option: str, text: str) -> list[int]:
    try:
        numbers = [int(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise InputError(f"{option} {text}: must be whole numbers of at least 1, such as 1,4,16")
    return numbers


def _check_file(option: str, path: Path | None) -> None:
    """Check that ``path`` can be written, before a long measurement and not after it."""
    if path is None:
        return
    existed = path.exists()
    try:
        path.open("a").close()
        if not existed:
            path.unlink()
    except OSError as exc:
        raise InputError(
            f"cannot write {option} {path}: {exc.strerror}; name a file in a folder that exists"
        ) from exc


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
    if json_path is None:
        return
    try:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as exc:
        raise MonitorError(f"cannot write --json {json_path}: {exc.strerror}") from exc


def main() -> NoReturn:
    """Run the command line. Exit status: 0 done, 1 failed, 2 wrong usage or bad input."""
    try:
        app()
    except MonitorError as exc:
        print(f"sleep-deploy: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
    except ModuleNotFoundError as exc:
        if exc.name not in ("torch", "edfio"):
            raise
        print(f"sleep-deploy: this needs {exc.name}: pip install {exc.name}", file=sys.stderr)
        sys.exit(1)
    raise AssertionError("typer always exits")


if __name__ == "__main__":
    main()
