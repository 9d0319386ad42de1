"""Kill the monitor many times, and check that the night is as if it had never been killed.

    python -m tests.measuring.kills --kills 100 --out FOLDER             # live, over LSL
    python -m tests.measuring.kills --kills 100 --out FOLDER --replay    # a recording

A killed live night loses the signal of the time in which nobody listened (it counts as missing) and
at most the unfinished epoch. A killed replay loses nothing: it equals a replay that ran through.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.card import default_weights
from models.contract import EPOCH_S, SFREQ_HZ, Gain
from monitor.clock import ManualClock
from monitor.night.store import NightStore
from monitor.sinks.redis_server import RedisServer
from monitor.staging.onnx_backend import OnnxBackend
from monitor.staging.stager import Stager
from monitor.types import StagePrediction, Track
from tests.live.headband_signals import MadeUpNight
from tests.live.processes import (
    HeadbandProgram,
    MonitorProgram,
    Program,
    environment,
    epochs_stored,
    query,
    wait_for,
)
from tests.measuring.night_check import check_night, stream_ids
from tests.nights import EXCERPT

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
RATE_HZ = 256.0
SPEED = 8.0
"""The night runs ahead of the wall clock. At this speed 100 kills, about 25 min, stay within the
four hours in which a night is continued (`monitor.night.stored.RESUME_WITHIN`)."""

KILL_AFTER_S = (2.0, 10.0)
"""Each kill comes at a random time between these, after the night went on."""

REPLAY_SPEED = 25.0
REPLAY_KILL_AFTER_S = (0.0, 2.5)
"""An epoch takes 1.2 s at this speed: some kills come within the first epoch, some after two."""


@dataclass(slots=True)
class KillReport:
    """The result of a night with kills. ``wrong`` names each broken rule."""

    kills: int
    n_epochs: int = 0
    epochs_lost: int = 0
    epochs_duplicated: int = 0
    epochs_scored: int = 0
    events: int = 0
    samples: dict[str, int] = field(default_factory=dict)
    away_s: float | None = None
    """Seconds of the night from each kill until the night went on, in all."""
    lost_s: float | None = None
    grid_error_last: float | None = None
    grid_error_worst: float | None = None
    start_s: float | None = None
    """Longest time from a start of the program until the night went on."""
    live_differing: int | None = None
    revised_differing: int | None = None
    wrong: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        rows = "".join(f"| {name} | {value} |\n" for name, value in asdict(self).items())
        return f"| figure | value |\n|---|---|\n{rows}"


def kill_live(kills: int, out: Path, seed: int) -> KillReport:
    """Kill a live night ``kills`` times, at random moments, then end it in order."""
    folder = _new(out / "live")
    env, store = environment(folder), folder / "night.sqlite"
    report = KillReport(kills)
    night_s = (kills + 2) * SPEED * (KILL_AFTER_S[1] + 20.0)
    arguments = (
        *("--night", f"{night_s:g}", "--rate", f"{RATE_HZ:g}", "--channels", ",".join(CHANNELS)),
        *("--seed", str(seed), "--speed", f"{SPEED:g}", "--wait-consumer"),
    )
    with RedisServer(0) as server, HeadbandProgram(folder, env, *arguments) as headband:
        _run_and_kill(report, folder, env, store, server.url, random.Random(seed))
        (start,) = headband.lines("start")
        truth = MadeUpNight(night_s, CHANNELS, RATE_HZ, seed)
        stored = check_night(store, server.url, truth, start["t0_utc"])
    report.wrong += stored.wrong
    report.samples, report.n_epochs = stored.ledger, stored.n_epochs
    report.lost_s = stored.ledger["lost"] / SFREQ_HZ
    report.grid_error_last, report.grid_error_worst = stored.lag_last, stored.lag_worst
    assert report.away_s is not None
    if report.lost_s > report.away_s + EPOCH_S * kills:
        report.wrong.append("more is missing than the time away and an epoch for each kill")
    _count(report, store)
    _compare_to_unbroken(report, store)
    return report


def _run_and_kill(
    report: KillReport,
    folder: Path,
    env: dict[str, str],
    store: Path,
    redis: str,
    chance: random.Random,
) -> None:
    """Start the monitor and kill it, again and again; the last one ends in order.

    Sets ``start_s`` and ``away_s`` of the report.
    """
    slowest_s = away_s = 0.0
    killed_s: float | None = None
    for number in range(report.kills + 1):
        known, began_s = epochs_stored(store), time.monotonic()
        with MonitorProgram(folder, env, store, redis) as monitor:
            wait_for(
                lambda known=known: epochs_stored(store) > known,  # type: ignore[misc]
                "the night to go on",
                60.0,
                monitor,
            )
            going_s = time.monotonic()
            slowest_s = max(slowest_s, going_s - began_s)
            away_s += 0.0 if killed_s is None else SPEED * (going_s - killed_s)
            time.sleep(chance.uniform(*KILL_AFTER_S))
            assert monitor.running, f"the monitor ended by itself:\n{monitor.errors()}"
            if number < report.kills:
                killed_s = time.monotonic()
                monitor.kill()
                _print(f"kill {number + 1}: {epochs_stored(store)} epochs")
            elif (status := monitor.end()) != 0:
                report.wrong.append(f"exit status {status} in the end")
    report.start_s, report.away_s = slowest_s, away_s


def kill_replay(kills: int, out: Path, seed: int) -> KillReport:
    """Kill a replay ``kills`` times, let it end, and compare it to one that nobody killed."""
    folder = _new(out / "replay")
    env, store, unbroken = environment(folder), folder / "killed.sqlite", folder / "whole.sqlite"
    chance = random.Random(seed)
    report = KillReport(kills)
    with RedisServer(0) as server, RedisServer(0) as other:
        done = 0
        while done < kills:
            # At full speed the replay would end before it can be killed often.
            with _replay(folder, env, store, server.url, f"{REPLAY_SPEED:g}") as replay:
                wait_for(lambda: _nights_begun(replay) > done, "a night", 60.0, replay)  # noqa: B023
                time.sleep(chance.uniform(*REPLAY_KILL_AFTER_S))
                if not replay.running:
                    report.wrong.append(f"over after {done} kills:\n{replay.errors()}")
                    break
                replay.kill()
            done += 1
            _print(f"kill {done}: {epochs_stored(store)} epochs")
        for path, url in ((store, server.url), (unbroken, other.url)):
            with _replay(folder, env, path, url, "max") as replay:
                if (status := replay.process.wait(300)) != 0:
                    report.wrong.append(f"exit status {status}: {replay.errors()}")
        report.kills = done
        streams = stream_ids(server.url), stream_ids(other.url)
        if streams[0] != streams[1]:
            report.wrong.append("the streams differ")
    _count(report, store)
    report.wrong += _differences(store, unbroken)
    _compare_to_unbroken(report, store)
    return report


def _replay(folder: Path, env: dict[str, str], store: Path, redis: str, speed: str) -> Program:
    options = ("--store", str(store), "--redis", redis, "--speed", speed, "--no-dashboard")
    return Program("replay", "monitor.cli", ("replay", str(EXCERPT), *options), folder, env)


def _nights_begun(replay: Program) -> int:
    """Return how often a replay has logged that its night begins or continues."""
    log = replay.errors()
    return log.count("The night is stored in") + log.count(": continuing")


def _new(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _count(report: KillReport, path: Path) -> None:
    indices = [row[0] for row in query(path, "SELECT epoch_index FROM epoch ORDER BY epoch_index")]
    report.n_epochs = len(indices)
    report.epochs_lost = max(indices, default=-1) + 1 - len(set(indices))
    report.epochs_duplicated = len(indices) - len(set(indices))
    ((report.epochs_scored,),) = query(path, "SELECT count(*) FROM epoch WHERE reason IS NULL")
    ((report.events,),) = query(path, "SELECT count(*) FROM event")


def _compare_to_unbroken(report: KillReport, path: Path) -> None:
    """Stage the stored epochs again, in one run: both tracks must come out bit for bit.

    The monitor stages with onnx here, as on every machine without a GPU.
    """
    with closing(NightStore.open(path)) as store:
        stager = Stager(OnnxBackend(default_weights(Gain.KNOWN)), ManualClock())
        staged = [each for epoch in store.epochs() for each in stager.push([epoch])[0]]
        staged += stager.finish()
        for track, name in ((Track.LIVE, "live"), (Track.REVISED, "revised")):
            again = {each.epoch_index: each for each in staged if each.track is track}
            stored = {each.epoch_index: each for each in store.predictions(track)}
            differing = sum(
                _without_latency(stored.get(n)) != _without_latency(again.get(n))
                for n in stored.keys() | again.keys()
            )
            setattr(report, f"{name}_differing", differing)
            if differing:
                report.wrong.append(f"{differing} {name} stages differ from an unbroken stager's")


def _without_latency(prediction: StagePrediction | None) -> object:
    """Return all of a prediction but its latency, which differs from run to run."""
    if prediction is None:
        return None
    return {**asdict(prediction), "latency_s": None}


def _differences(a: Path, b: Path) -> list[str]:
    """Return the differences of two nights' files, except times of the machine's clock."""
    tables = {
        "session": "id, source, derivation, channels, start_s, start_utc, sfreq_hz, gain, model",
        "epoch": "*",
        "prediction": "epoch_index, track, revision, final, stage, reason, "
        "p_w, p_n1, p_n2, p_n3, p_r, confidence, model",
        "event": "sequence, id, type, source, time, data",
        "mark": "*",
    }
    different = []
    with closing(sqlite3.connect(a)) as one, closing(sqlite3.connect(b)) as two:
        for table, columns in tables.items():
            select = f"SELECT {columns} FROM {table} ORDER BY 1, 2, 3"
            rows: tuple[list[Any], list[Any]] = (
                one.execute(select).fetchall(),
                two.execute(select).fetchall(),
            )
            if rows[0] != rows[1]:
                n = sum(x != y for x, y in zip(*rows, strict=False))
                different.append(f"{table}: {len(rows[0])} and {len(rows[1])} rows, {n} differ")
    return different


def _print(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(prog="kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", action="store_true", help="kill a replay, not a live night")
    options = parser.parse_args()
    run, name = (kill_replay, "replay") if options.replay else (kill_live, "live")
    report = run(options.kills, options.out, options.seed)
    (options.out / f"kills-{name}.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
    (options.out / f"kills-{name}.md").write_text(report.markdown())
    print(report.markdown())
    raise SystemExit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
