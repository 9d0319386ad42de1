"""Run every fault through the real monitor, and put the results in one table.

    python -m tests.measuring.fault_table --out FOLDER [--only NAME ...]

The headband runs in one process, `sleep-monitor live lsl` in another, and a server receives the
events. Most nights are compressed: the stamps run ahead of the clock, so 40 minutes take one. What
the monitor decides by the wall clock is measured at speed 1.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitor.errors import MonitorError
from monitor.sinks.redis_server import RedisServer
from tests.live.faults import parse
from tests.live.headband_signals import MadeUpNight
from tests.live.processes import (
    HeadbandProgram,
    MonitorProgram,
    environment,
    wait_for,
    wait_until_idle,
)
from tests.measuring.fault_cases import CHANNELS, RATE_HZ, FaultCase, NightPrograms, fault_cases
from tests.measuring.fault_rows import HEAD, FaultRow, markdown, write
from tests.measuring.night_check import check_night, samples_of_epochs
from tests.measuring.sent import SentSamples, absences

DISK_MB = 24


def run_case(case: FaultCase, out: Path, seed: int = 1) -> FaultRow:
    """Run one night in a new folder of ``out``, and check what it stored."""
    folder = out / "".join(c if c.isalnum() else "-" for c in case.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "redis").mkdir()
    # The server keeps its data, as one that runs for longer than a night does.
    options = ("--appendonly", "yes", "--dir", str(folder / "redis"))
    with RedisServer(0, options) as server, _disk(folder, case.small_disk) as disk:
        store = disk / "night.sqlite"
        night = _run_night(case, folder, server, store, seed)
        return _row(case, night, seed)


def _run_night(
    case: FaultCase, folder: Path, server: RedisServer, store: Path, seed: int
) -> NightPrograms:
    """Start the programs, let the accident happen, and end the night in order."""
    env = environment(folder)
    arguments = (
        *("--night", f"{60 * case.minutes:g}", "--rate", f"{RATE_HZ:g}"),
        *("--channels", ",".join(CHANNELS), "--seed", str(seed), "--speed", f"{case.speed:g}"),
        *("--faults", case.faults, "--until-killed"),
    )
    with MonitorProgram(folder, env, store, server.url) as monitor:
        headband = HeadbandProgram(folder, env, *arguments, "--wait-consumer")
        night = NightPrograms(folder, env, server, store, monitor, headband, arguments, [])
        try:
            wait_for(lambda: bool(headband.lines("start")), "a start", 90.0, monitor)
            if case.accident is not None:
                case.accident(night)
            limit_s = 60.0 * case.minutes / case.speed + 60.0
            wait_for(lambda: bool(headband.lines("end")), "the end", limit_s, monitor)
            if case.speed > 1.0:
                wait_until_idle(store, 3.0, 120.0)
            else:
                time.sleep(2.0)
            status = monitor.end()
        finally:
            # An accident may have replaced the first headband by another one.
            night.headband.kill()
    if status:
        night.notes.append(f"exit status {status}")
    return night


def _row(case: FaultCase, night: NightPrograms, seed: int) -> FaultRow:
    starts = night.headband.lines("start")
    truth = MadeUpNight(60 * case.minutes, CHANNELS, RATE_HZ, seed)
    ppm = sum(fault.value for fault in parse(case.faults) if fault.kind == "drift")
    t0_utc_s = starts[0]["t0_utc"]
    stored = check_night(night.store, night.server.url, truth, t0_utc_s, ppm)
    first, stop = samples_of_epochs(stored, truth, t0_utc_s, ppm)
    away = absences(starts, night.headband.lines("progress"))
    sent = SentSamples.count(truth, case.faults, seed, first, stop, away)
    injected = case.faults or ("nothing" if case.accident is None else "as named")
    return FaultRow(case.name, injected, sent, stored, night.notes)


@contextmanager
def _disk(folder: Path, small: bool) -> Iterator[Path]:
    """Make a folder for the store; if ``small``, on a disk of its own of `DISK_MB`.

    Raises MonitorError if this user may not mount a disk.
    """
    disk = folder / "disk"
    disk.mkdir()
    if not small:
        yield disk
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        raise MonitorError("a small disk needs the right to mount one: run this case as root")
    try:
        yield disk
    finally:
        for name in disk.glob("night.sqlite*"):
            shutil.copy(name, folder)
        subprocess.run(["umount", "-l", str(disk)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="fault_table", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", action="append", help="run cases whose name begins like this")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[FaultRow] = []
    print(HEAD, flush=True)
    for case in fault_cases():
        if options.only and not any(case.name.startswith(name) for name in options.only):
            continue
        try:
            rows.append(run_case(case, options.out))
        except (AssertionError, MonitorError) as exc:
            print(f"| {case.name} | FAILED: {' '.join(str(exc).split())} |", flush=True)
            continue
        print(markdown(rows[-1]), flush=True)
        write(rows, options.out)


if __name__ == "__main__":
    main()
