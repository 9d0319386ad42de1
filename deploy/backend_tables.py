"""Tables of the backends' benchmark for people, at most 80 columns wide."""

from __future__ import annotations

from rich.table import Table

from deploy.backend_benchmark import BackendsBenchmark
from deploy.backend_process import Spread
from deploy.ceilings import Ceilings

BUSY_LOAD = 0.5
"""A load average above this means that other programs use a part of the machine."""


def tables(result: BackendsBenchmark) -> list[Table]:
    """Return tables of: backends, machine, start and memory, one epoch, many, several sleepers."""
    return [
        _backends(result),
        _best(result.ceilings),
        _start(result),
        _one_epoch(result),
        _throughput(result),
        _sharing(result),
    ]


def _backends(result: BackendsBenchmark) -> Table:
    table = Table("backend", title=f"{result.model} on {result.machine}")
    # fold: a path is a long word, which would be cut off.
    table.add_column("runs on, or why not measured", overflow="fold")
    for each in result.backends:
        table.add_row(each.backend, each.figures.runs_on if each.figures else each.unavailable)
    if result.load is not None and result.load > BUSY_LOAD:
        table.caption = (
            f"The machine was busy before (load {result.load:.1f}): end other programs and repeat"
        )
    return table


def _best(ceilings: Ceilings) -> Table:
    kinds = list((ceilings.gpu or ceilings.one_thread).matmul_gflops)
    table = _table(
        "The machine at best", "on", *(f"{kind} GFLOP/s" for kind in kinds), "memory GB/s"
    )
    parts = [ceilings.one_thread, ceilings.all_threads, ceilings.gpu]
    for part in parts:
        if part is not None:
            rates = (_number(part.matmul_gflops.get(kind)) for kind in kinds)
            table.add_row(part.on, *rates, _number(part.memory_gb_s))
    work = ceilings.work
    operations, plain = work.encode + work.stage, work.encode + work.plain_stage
    table.caption = (
        f"An epoch needs {1e-6 * operations:.0f} million operations (eager: {1e-6 * plain:.0f} "
        f"million) and {1e-3 * work.epoch_bytes:.0f} kB in and out; a batch reads "
        f"{1e-3 * work.weight_bytes:.0f} kB of weights"
    )
    return table


def _start(result: BackendsBenchmark) -> Table:
    table = _table(
        "From the start of the process to its first staged epoch",
        "backend",
        "all s",
        "loading s",
        "first epoch ms",
        "memory MB",
        "peak MB",
        "torch imported",
    )
    for each in result.backends:
        if (figures := each.figures) is not None:
            numbers = (
                figures.startup_s,
                figures.load_s,
                figures.first_epoch_ms,
                figures.memory_mb,
                figures.peak_mb,
            )
            torch = "yes" if figures.torch_imported else "no"
            table.add_row(each.backend, *map(_number, numbers), torch)
    return table


def _one_epoch(result: BackendsBenchmark) -> Table:
    table = _table(
        "One epoch of one sleeper: median (p99) ms",
        "backend",
        "encode",
        "stage",
        "both",
        "first",
        "x floor",
    )
    for each in result.backends:
        if (figures := each.figures) is not None:
            spreads = map(_spread, (figures.encode, figures.stage, figures.epoch))
            numbers = map(_number, (figures.first_full_ms, each.times_floor))
            table.add_row(each.backend, *spreads, *numbers)
    table.caption = "x floor: time over the operations' own time at the machine's best rate"
    return table


def _throughput(result: BackendsBenchmark) -> Table:
    table = _table("Throughput", "backend", "batch", "epochs/s", "GFLOP/s", "cores busy", "x floor")
    for each in result.backends:
        if (figures := each.figures) is not None:
            rows = zip(figures.throughput, each.gflops, each.batch_times_floor, strict=True)
            for many, gflops, times_floor in rows:
                numbers = (many.epochs_per_s, gflops, many.cores, times_floor)
                table.add_row(each.backend, str(many.batch), *map(_number, numbers))
            table.add_section()
    return table


def _sharing(result: BackendsBenchmark) -> Table:
    table = _table(
        "Several sleepers: epochs/s",
        "backend",
        "sleepers",
        "one after another",
        "a thread each",
        "one batch",
    )
    for each in result.backends:
        if (figures := each.figures) is not None:
            several = figures.sharing
            numbers = (
                1e3 / figures.epoch.median_ms,
                several.threads_epochs_per_s,
                several.batch_epochs_per_s,
            )
            table.add_row(each.backend, str(several.sleepers), *map(_number, numbers))
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(first, title=title)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _spread(spread: Spread) -> str:
    return f"{_number(spread.median_ms)} ({_number(spread.p99_ms)})"


def _number(value: float | None) -> str:
    """Format with at least three significant figures, so that columns can be compared."""
    if value is None:
        return "-"
    decimals = sum(value < limit for limit in (1, 10, 100))
    return f"{value:,.{decimals}f}"
