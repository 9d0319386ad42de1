"""The command line: `sleep-deploy export | build-engine | parity | benchmark`."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

# These must be set before torch is imported, as in `monitor.cli`: with more threads than free
# cores, one matrix product can take seconds, and threads that spin take cores from other programs.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer
from rich.console import Console
from rich.table import Table

from deploy.benchmark_commands import benchmark
from deploy.options import (
    ExportedOption,
    GainOption,
    JsonOption,
    WeightsOption,
    check_writable,
    plain_console,
    selected_folder,
    selected_weights,
    write_json,
)
from models.card import read_contract
from monitor.errors import MonitorError

if TYPE_CHECKING:
    # At run time, functions import what takes long to import, so that --help is quick.
    from deploy.parity import ParityVerdict
    from monitor.staging.gate import Parity

EXTRAS = {"torch": "train", "safetensors": "train", "matplotlib": "train", "edfio": "dev"}
"""Packages that a small installation lacks, and the extra that brings each."""

app = typer.Typer(
    help="Bring the monitor to the hardware it runs on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(benchmark, name="benchmark")


@app.command()
def export(weights: WeightsOption = None, gain: GainOption = None) -> None:
    """Export weights to ONNX beside them, to stage without PyTorch. Kept only if it stages alike.

    Without options it makes the graphs that ship, of both default weights.

    Example: sleep-deploy export --weights mine.safetensors
    """
    from offline_training.exporting import export_onnx

    console = plain_console()
    for each in selected_weights(weights, gain):
        console.print(f"Exporting {each.name} to {each.parent}: about 20 s", soft_wrap=True)
        _print_parity(console, export_onnx(each))
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

    console, folder = plain_console(), selected_folder(exported)
    for each in selected_weights(weights, gain):
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

    check_writable("--json", json_path)
    console, folder = plain_console(), selected_folder(exported)
    figures, failed = [], False
    for each in selected_weights(weights, gain):
        verdicts = judge_backends(each, folder)
        console.print(_parity_table(each, verdicts))
        figures += [{"weights": each.name, **asdict(verdict)} for verdict in verdicts]
        failed |= any(verdict.failed for verdict in verdicts)
    write_json(figures, json_path)
    if failed:
        raise MonitorError("a backend stages differently from PyTorch: see FAILED in the table")


def _print_parity(console: Console, parity: Parity) -> None:
    console.print(
        f"  {parity.backend}: {parity.label_agreement:.2%} of the labels are PyTorch's, "
        f"probabilities differ by at most {parity.largest_difference:.1e}"
    )


def _parity_table(weights: Path, verdicts: list[ParityVerdict]) -> Table:
    from monitor.staging.gate import MAX_DIFFERENCE, MIN_AGREEMENT

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


def main() -> NoReturn:
    """Run the command line. Exit status: 0 done, 1 failed, 2 wrong usage or bad input."""
    try:
        app()
    except MonitorError as exc:
        print(f"sleep-deploy: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
    except ModuleNotFoundError as exc:
        if exc.name not in EXTRAS:
            raise
        print(
            f"sleep-deploy: this command needs {exc.name}: run pip install '.[{EXTRAS[exc.name]}]' "
            "in the monitor's source folder",
            file=sys.stderr,
        )
        sys.exit(1)
    raise AssertionError("typer always exits")


if __name__ == "__main__":
    main()
