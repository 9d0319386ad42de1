"""Measures `sleep-monitor score` on many nights: nights a minute, CPU, memory, and resumption.

    python -m tests.measuring.score_speed --out FOLDER
    python -m tests.measuring.score_speed --out FOLDER --yasa YASA_VENV/bin/python

The nights are the demo recording, repeated with noise of its own for each night; some are broken.
"""

from __future__ import annotations

import argparse
import csv
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from deploy.benchmark import tiled_excerpt
from tests.edf_files import Signal, write_edf

# Runs in another environment, without this project.
_YASA = """
import sys, mne, yasa
for path in sys.argv[1:]:
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    yasa.SleepStaging(raw, eeg_name="EEG Fpz-Cz").predict()
"""


@dataclass(frozen=True)
class Run:
    """A run of a program: its time, the CPU time of all processes, and the peak of their memory.

    ``memory_mb`` is the sum of the processes' proportional set sizes, which counts shared pages
    once. ``early_mb`` is the peak in the first third of the time, ``late_mb`` in the last.
    """

    status: int
    wall_s: float
    cpu_s: float
    memory_mb: float
    early_mb: float
    late_mb: float

    def line(self, name: str, n_nights: int) -> str:
        """Return a row of the printed table."""
        return (
            f"{name:24} {n_nights:6} {self.wall_s:8.1f} {60 * n_nights / self.wall_s:10.1f} "
            f"{self.cpu_s / max(1, n_nights):10.2f} {self.memory_mb:8.0f} {self.early_mb:8.0f} "
            f"{self.late_mb:8.0f}  {self.status}"
        )


def make_nights(folder: Path, n_nights: int, n_broken: int, hours: float, hz: int) -> None:
    """Write ``n_nights`` recordings, the last ``n_broken`` of which are broken, each otherwise."""
    folder.mkdir(parents=True)
    night_uv = tiled_excerpt(hours, hz)
    for n in range(n_nights - n_broken):
        rng = np.random.default_rng(n)
        turned = np.roll(night_uv, int(rng.integers(night_uv.size)))
        noisy = turned + rng.standard_normal(night_uv.size, np.float32)
        digital = np.round(noisy * 10).clip(-32768, 32767).astype(np.int64)
        signal = Signal("EEG Fpz-Cz", digital, hz, step=0.1)
        write_edf(folder / f"night{n:03d}.edf", [signal], record_s=1.0)
    whole = (folder / "night000.edf").read_bytes()
    broken = [
        b"",
        whole[:200],
        whole[:3000],
        b"0       " + b"?" * 5000,
        whole[:252] + b"0   " + whole[256:],
    ]
    for n in range(n_broken):
        (folder / f"broken{n}.edf").write_bytes(broken[n % len(broken)])


def run(command: list[str], *, kill_after_rows: tuple[Path, int] | None = None) -> Run:
    """Run a program and measure it; with ``kill_after_rows``, until a table has so many rows."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.monotonic()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory: list[float] = []
    while process.poll() is None:
        memory.append(_memory_mb(process))
        if kill_after_rows and len(_rows(kill_after_rows[0])) >= kill_after_rows[1]:
            process.kill()
        time.sleep(0.5)
    wall_s = time.monotonic() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    third = max(1, len(memory) // 3)
    return Run(
        int(process.returncode),
        wall_s,
        cpu_s,
        max(memory),
        max(memory[:third]),
        max(memory[-third:]),
    )


def _memory_mb(process: psutil.Popen) -> float:
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_full_info().pss
        except psutil.Error:  # it has ended
            continue
    return total / 1e6


def _rows(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def score_command(folder: Path, out: Path, jobs: int) -> list[str]:
    """Return the command that scores ``folder`` into ``out``."""
    options = ["--out", str(out), "--jobs", str(jobs)]
    return [sys.executable, "-m", "monitor.cli", "score", str(folder), *options]


def stages_of(out: Path) -> dict[str, bytes]:
    """Return the tables of epochs in ``out`` by name."""
    return {path.name: path.read_bytes() for path in out.glob("*-scored.csv")}


def main() -> None:
    """Make the nights, run everything, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder; it must not exist")
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--broken", type=int, default=5)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--hz", type=int, default=100)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--yasa", help="the Python of an environment with YASA")
    parser.add_argument("--yasa-nights", type=int, default=6)
    options = parser.parse_args()
    folder = options.out / "nights"
    make_nights(folder, options.nights, options.broken, options.hours, options.hz)
    n_good = options.nights - options.broken
    print(
        "program                  nights  time, s  nights/min  CPU s/night  MB  first  last  status"
    )
    for jobs in options.jobs:
        found = run(score_command(folder, options.out / f"jobs{jobs}", jobs))
        print(found.line(f"score --jobs {jobs}", n_good), flush=True)
    if options.yasa:
        some = [str(folder / f"night{n:03d}.edf") for n in range(options.yasa_nights)]
        print(run([options.yasa, "-c", _YASA, *some]).line("YASA", len(some)), flush=True)
    jobs, out = options.jobs[-1], options.out / "killed"
    command = score_command(folder, out, jobs)
    killed = run(command, kill_after_rows=(out / "summary.csv", options.nights // 2))
    n_kept = sum(row["status"] == "done" for row in _rows(out / "summary.csv"))
    print(killed.line(f"kill -9, --jobs {jobs}", n_kept), flush=True)
    print(run(command).line("the same command again", n_good - n_kept), flush=True)
    rows = _rows(out / "summary.csv")
    n_failed = sum(row["status"] == "failed" for row in rows)
    same = stages_of(out) == stages_of(options.out / f"jobs{options.jobs[0]}")
    print(f"{len(rows)} rows, {n_failed} failed; stages equal to the first run: {same}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
