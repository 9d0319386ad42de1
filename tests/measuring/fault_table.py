"""Every fault, through the real monitor, in one table.

    python -m tests.live.fault_table --out FOLDER [--only NAME ...]

A headband in a process of its own, `sleep-monitor live lsl` in another, a server for the events.
Most nights are compressed: the stamps run ahead, 40 minutes take one. What the monitor tells by the
clock on the wall runs at speed 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from monitor.errors import MonitorError
from monitor.sinks.redis_server import RedisServer
from tests.live import nights
from tests.live.faults import parse
from tests.live.processes import (
    HeadbandProgram,
    MonitorProgram,
    environment,
    epochs_stored,
    wait_for,
    wait_until_idle,
)
from tests.live.signals import MadeUpNight

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
RATE_HZ = 256.0
COMPRESSED = 40.0
AWAY_S = 20.0
"""How long server and disk are away: at `COMPRESSED` speed, more than 10 min of the night."""

DISK_MB = 24


@dataclass(slots=True)
class Scene:
    """A night going on: what a case may do things to."""

    folder: Path
    env: dict[str, str]
    server: RedisServer
    store: Path
    monitor: MonitorProgram
    headband: HeadbandProgram
    headband_arguments: tuple[str, ...]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Case:
    """One row: faults on the way, or something done to the programs (``act``)."""

    name: str
    faults: str = ""
    minutes: float = 40.0
    speed: float = COMPRESSED
    act: Callable[[Scene], None] | None = None
    small_disk: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What one case came to."""

    case: str
    injected: str
    sent: nights.Sent
    left: nights.Left
    notes: list[str]


def cases() -> list[Case]:
    return [
        Case("nothing"),
        Case("loss 5 %", "loss=0.05"),
        Case("gap 1 s", "gap=1@605"),
        Case("gap 60 s", "gap=60@605"),
        Case("gap 20 min", "gap=1200@605"),
        Case("gap 60 s, real time", "gap=60@35", minutes=3.2, speed=1.0),
        Case("duplicates 5 %", "duplicate=0.05"),
        Case("reordering 5 %", "reorder=0.05"),
        Case("drift +200 ppm", "drift=200", minutes=60.0),
        Case("drift -200 ppm", "drift=-200", minutes=60.0),
        Case("jitter 10 ms rms", "jitter=0.01"),
        Case("clock step +2.5 s", "step=2.5@35", minutes=2.7, speed=1.0),
        Case("clock step -2.5 s", "step=-2.5@35", minutes=2.7, speed=1.0),
        Case("clock step +1 h", "step=3600@35", minutes=2.7, speed=1.0),
        Case("NaN, half of 10 min", "nan=0.5@605/600"),
        Case("NaN, all of 2 min", "nan=1@605/120"),
        Case("one channel flat", "flat=AF7@605/900"),
        Case("one channel railed", "railed=AF7@605/900"),
        Case("every channel flat", ";".join(f"flat={name}@605/600" for name in CHANNELS)),
        Case("hum 50 Hz, all channels", "hum50=80@605/600"),
        Case("hum 60 Hz, all channels", "hum60=80@605/600"),
        Case("hum 50 Hz, one channel", "hum50=AF7:800@605/900"),
        Case("hum 50 Hz, beyond the limit", "hum50=3000@605/600"),
        Case("loss, jitter, drift, reordering", "loss=0.05;reorder=0.02;drift=200;jitter=0.01"),
        Case("outlet killed and started again, 20 times", act=kill_outlet, minutes=60.0),
        Case("event server stopped for 10 min", act=stop_server),
        Case("event server hangs for 10 min", act=hang_server),
        Case("store's disk full for 10 min", act=fill_disk, small_disk=True),
    ]


def kill_outlet(scene: Scene, times: int = 20) -> None:
    """kill -9, wait, start it in the same time line. It sends once it is heard: what was due in
    between counts as not sent."""
    wait_for(lambda: epochs_stored(scene.store) > 0, "the night", 60.0, scene.monitor)
    (start,) = scene.headband.told("start")
    again = (*scene.headband_arguments, "--t0", repr(start["t0"]), "--wait-consumer")
    for _ in range(times):
        time.sleep(2.5)
        scene.headband.kill()
        time.sleep(0.7)
        scene.headband = HeadbandProgram(scene.folder, scene.env, *again)
    scene.notes.append(f"{times} kills")


def stop_server(scene: Scene) -> None:
    time.sleep(10.0)
    scene.server.stop()
    time.sleep(AWAY_S)
    scene.server.start()


def hang_server(scene: Scene) -> None:
    """It takes connections and never answers."""
    time.sleep(10.0)
    pid = str(scene.server.pid)
    subprocess.run(["kill", "-STOP", pid], check=True)
    time.sleep(AWAY_S)
    subprocess.run(["kill", "-CONT", pid], check=True)


def fill_disk(scene: Scene) -> None:
    time.sleep(10.0)
    ballast = scene.store.with_name("ballast")
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    full = epochs_stored(scene.store)
    time.sleep(AWAY_S)
    kept = epochs_stored(scene.store)
    ballast.unlink()
    time.sleep(8.0)
    scene.notes.append(
        f"{full} epochs stored when full, {kept} after {AWAY_S:g} s, "
        f"{epochs_stored(scene.store)} 8 s after there was room"
    )


def run_case(case: Case, out: Path, seed: int = 1) -> Row:
    """Run one night and read what it left."""
    folder = out / "".join(c if c.isalnum() else "-" for c in case.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    env = environment(folder)
    (folder / "redis").mkdir()
    # A server that keeps its data, as one that is there for longer than a night does.
    options = ("--appendonly", "yes", "--dir", str(folder / "redis"))
    with RedisServer(0, options) as server, _disk(folder, case.small_disk) as disk:
        store = disk / "night.sqlite"
        arguments = (
            *("--night", f"{60 * case.minutes:g}", "--rate", f"{RATE_HZ:g}"),
            *("--channels", ",".join(CHANNELS), "--seed", str(seed), "--speed", f"{case.speed:g}"),
            *("--faults", case.faults, "--until-killed"),
        )
        with MonitorProgram(folder, env, store, server.url) as monitor:
            headband = HeadbandProgram(folder, env, *arguments, "--wait-consumer")
            scene = Scene(folder, env, server, store, monitor, headband, arguments, [])
            try:
                wait_for(lambda: bool(headband.told("start")), "a start", 90.0, monitor)
                if case.act is not None:
                    case.act(scene)
                seconds = 60.0 * case.minutes / case.speed + 60.0
                wait_for(lambda: bool(headband.told("end")), "the end", seconds, monitor)
                if case.speed > 1.0:
                    wait_until_idle(store, 3.0, 120.0)
                else:
                    time.sleep(2.0)
                status = monitor.end()
            finally:
                scene.headband.kill()
        if status:
            scene.notes.append(f"exit status {status}")
        starts = headband.told("start")
        what = MadeUpNight(60 * case.minutes, CHANNELS, RATE_HZ, seed)
        ppm = sum(fault.value for fault in parse(case.faults) if fault.kind == "drift")
        t0_utc_s = starts[0]["t0_utc"]
        left = nights.look(store, server.url, what, t0_utc_s, ppm)
        first, stop = nights.window(left, what, t0_utc_s, ppm)
        away = nights.between(starts, headband.told("progress"))
        sent = nights.Sent.of(what, case.faults, seed, first, stop, away)
    injected = case.faults or ("nothing" if case.act is None else "as named")
    return Row(case.name, injected, sent, left, scene.notes)


@contextmanager
def _disk(folder: Path, small: bool) -> Iterator[Path]:
    """A folder for the store; if ``small``, on a disk of its own."""
    disk = folder / "disk"
    disk.mkdir()
    if not small:
        yield disk
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        raise MonitorError("a small disk needs the right to mount one (root)")
    try:
        yield disk
    finally:
        for name in disk.glob("night.sqlite*"):
            shutil.copy(name, folder)
        subprocess.run(["umount", "-l", str(disk)], check=True)


HEAD = (
    "| fault | injected | what the monitor did | received + filled + lost = expected, at 100 Hz "
    "| of the device's: arrived, late, twice, not finite, put in order | sent, by the injector "
    "| epochs (unscored) | grid error at the end; largest, in samples | wrong |\n"
    + "|---" * 9
    + "|"
)


def markdown(row: Row) -> str:
    """One line of the table."""
    left, sent, ledger = row.left, row.sent, row.left.ledger
    said = ", ".join(f"{what} x{n}" if n > 1 else what for what, n in left.said.items())
    unscored = ", ".join(f"{n} {reason}" for reason, n in left.unscored.items()) or "0"
    lag = (
        "not known"
        if left.lag_last is None or left.lag_worst is None
        else f"{left.lag_last:+.3f}; {left.lag_worst:+.3f} of {left.lags_known} epochs"
    )
    truth = f"{sent.sent} of {sent.measured}" + "".join(
        f", {text}"
        for number, text in (
            (sent.twice, f"{sent.twice} twice"),
            (sent.overtaken, f"{sent.overtaken} overtaken"),
            (sent.not_finite, f"{sent.not_finite} not finite"),
            (sent.short_gaps_s, f"short gaps {sent.short_gaps_s:.2f} s"),
            (sent.long_gaps_s, f"long gaps {sent.long_gaps_s:.2f} s"),
        )
        if number
    )
    columns = (
        row.case,
        row.injected.replace("|", "/"),
        "; ".join([said or "nothing", *row.notes]),
        f"{ledger['received']} + {ledger['filled']} + {ledger['lost']} = {ledger['expected']}",
        ", ".join(str(ledger[k]) for k in ("arrived", "late", "duplicate", "invalid", "reordered")),
        truth,
        f"{left.n_epochs} ({unscored})",
        lag,
        "; ".join(left.wrong) or "nothing",
    )
    return "| " + " | ".join(columns) + " |"


def write(rows: Sequence[Row], out: Path) -> None:
    """The table, as Markdown and as JSON."""
    text = "\n".join([HEAD, *map(markdown, rows)]) + "\n"
    (out / "faults.md").write_text(text, encoding="utf-8")
    (out / "faults.json").write_text(
        json.dumps([asdict(row) for row in rows], indent=2, default=str), encoding="utf-8"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="fault_table", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", action="append", help="cases whose name begins like this")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    print(HEAD, flush=True)
    for case in cases():
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
