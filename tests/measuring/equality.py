"""Measure how a live night differs from a replay of the same samples.

    python -m tests.measuring.equality excerpt --minutes 12 --out FOLDER
    python -m tests.measuring.equality night --hours 8 --speed 60 --out FOLDER

The samples go through a real LSL outlet into the real `sleep-monitor live lsl`, and as a file into
the real `sleep-monitor replay`. Both epoch grids begin with the first sample. The stages should be
the same, and the signals should differ by no more than a clock's noise makes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from edfio import Bdf, BdfSignal, Edf, EdfSignal, read_edf

from deploy.usage import usage
from tests.live.headband_signals import MadeUpNight
from tests.live.processes import (
    ROOT,
    HeadbandProgram,
    MonitorProgram,
    environment,
    wait_for,
    wait_until_idle,
)
from tests.measuring.comparison import Cost, Equality, compare, rms_of_delay
from tests.measuring.night_check import NightFile

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
RATE_HZ = 256.0
DERIVATION = "AF7-TP9"
DELAYS_US = (-20, -5, 5, 20)
RANGE_UV = 1024.0
"""A made-up night stays within; with 24 bits, one step is 0.12 nV."""


def excerpt(minutes: float, folder: Path, speed: float = 1.0) -> Equality:
    """Send the beginning of the shipped recording of real sleep, at ``speed``; compare."""
    recording = folder / "excerpt.edf"
    with as_file(files("monitor") / "demo" / "excerpt.edf") as whole:
        signal = read_edf(whole).signals[0]
    part = EdfSignal.from_digital(
        signal.digital[: round(minutes * 60 * signal.sampling_frequency)],
        signal.sampling_frequency,
        label=signal.label,
        physical_dimension=signal.physical_dimension,
        physical_range=signal.physical_range,
        digital_range=signal.digital_range,
    )
    Edf([part]).write(recording)
    headband = ("--edf", str(recording), "--speed", f"{speed:g}")
    title = f"{minutes:g} min of real sleep, {signal.sampling_frequency:g} Hz, speed {speed:g}"
    return _run_both(title, folder, recording, headband, ())


def night(hours: float, folder: Path, speed: float, seed: int = 1) -> Equality:
    """Send a made-up night of a headband with four channels, at ``speed``; compare."""
    recording = folder / "night.bdf"
    made = MadeUpNight(3600.0 * hours, CHANNELS, RATE_HZ, seed)
    _write_bdf(made, recording)
    headband = (
        *("--night", f"{3600.0 * hours:g}", "--rate", f"{RATE_HZ:g}"),
        *("--channels", ",".join(CHANNELS), "--seed", str(seed), "--speed", f"{speed:g}"),
    )
    title = f"{hours:g} h made up, {len(CHANNELS)} channels at {RATE_HZ:g} Hz, speed {speed:g}"
    return _run_both(title, folder, recording, headband, ("--channel", DERIVATION))


def _write_bdf(made: MadeUpNight, path: Path) -> None:
    """Write a night with 24 bits. With 16 bits the rounding would be the largest difference."""
    step_uv = 2.0 * RANGE_UV / 2**24
    digital = np.empty((len(made.channels), made.n_samples), np.int32)
    for start in range(0, made.n_samples, 1 << 18):
        part = made.read(start, min(start + (1 << 18), made.n_samples)).astype(np.float64)
        assert np.abs(part).max() < RANGE_UV
        digital[:, start : start + part.shape[1]] = np.rint(part / step_uv)
    signals = [
        BdfSignal.from_digital(
            row,
            made.rate_hz,
            label=name,
            physical_dimension="uV",
            physical_range=(-RANGE_UV, RANGE_UV - step_uv),
            digital_range=(-(2**23), 2**23 - 1),
        )
        for name, row in zip(made.channels, digital, strict=True)
    ]
    Bdf(signals).write(path)


def _run_both(
    title: str,
    folder: Path,
    recording: Path,
    headband_options: Sequence[str],
    replay_options: Sequence[str],
) -> Equality:
    env = environment(folder)
    start, cost = _run_live(folder, env, headband_options)
    _run_replay(folder, env, recording, replay_options)
    live = NightFile.read(folder / "live.sqlite")
    replayed = NightFile.read(folder / "replay.sqlite")
    noise = {us: rms_of_delay(recording, replayed, 1e-6 * us) for us in DELAYS_US}
    return compare(live, replayed, title, start["t0_utc"], noise, cost)


def _run_live(
    folder: Path, env: dict[str, str], headband_options: Sequence[str]
) -> tuple[dict[str, Any], Cost]:
    """Monitor a headband until it has sent everything. Return its "start" line, and the cost."""
    store = folder / "live.sqlite"
    peak_mb = cpu_s = 0.0
    began_s = time.monotonic()
    # Each run has its own source id, because LSL looks for a lost stream in all sessions.
    own = ("--source-id", f"equality-{os.getpid()}")
    with MonitorProgram(folder, env, store, "none", *own) as monitor:
        arguments = (*own, *headband_options, "--wait-consumer", "--until-killed")
        with HeadbandProgram(folder, env, *arguments) as headband:

            def ended() -> bool:
                nonlocal peak_mb, cpu_s
                if (now := usage(monitor.process.pid)) is not None:
                    peak_mb, cpu_s = max(peak_mb, now.rss_mb), now.cpu_s
                return bool(headband.lines("end"))

            wait_for(lambda: bool(headband.lines("start")), "a start", 90.0, monitor)
            (start,) = headband.lines("start")
            limit_s = start["n_samples"] / start["rate_hz"] / start["speed"] + 120.0
            wait_for(ended, "the end", limit_s, monitor)
            if start["speed"] > 1.0:
                wait_until_idle(store, 3.0, 300.0)
            else:
                time.sleep(2.0)
            ended()
            assert monitor.end() == 0, monitor.errors()
    return start, Cost(time.monotonic() - began_s, cpu_s, peak_mb)


def _run_replay(folder: Path, env: dict[str, str], recording: Path, options: Sequence[str]) -> None:
    store = folder / "replay.sqlite"
    command = ("replay", str(recording), "--grid", "start", "--store", str(store), *options)
    done = subprocess.run(
        [sys.executable, "-m", "monitor.cli", *command, "--no-redis", "--no-dashboard"],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (folder / "replay.out").write_text(done.stdout)
    (folder / "replay.err").write_text(done.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(prog="equality", description=__doc__)
    parser.add_argument("recording", choices=("excerpt", "night"))
    parser.add_argument("--minutes", type=float, default=12.0, help="length of the excerpt")
    parser.add_argument("--hours", type=float, default=8.0, help="length of the night")
    parser.add_argument("--speed", type=float, help="default: 1 for the excerpt, 60 for the night")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    folder = options.out / options.recording
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if options.recording == "excerpt":
        result = excerpt(options.minutes, folder, options.speed or 1.0)
    else:
        result = night(options.hours, folder, options.speed or 60.0)
    (folder / "equality.json").write_text(json.dumps(asdict(result), indent=2) + "\n")
    (folder / "equality.md").write_text(result.markdown())
    print(result.markdown())


if __name__ == "__main__":
    main()
