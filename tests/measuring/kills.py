"""Kill the monitor again and again; see that the night is the one it would have been.

    python -m tests.live.kills --kills 100 --out FOLDER             # live, over LSL
    python -m tests.live.kills --kills 100 --out FOLDER --replay    # a recording

A killed live night loses what was measured while nobody listened, as missing, and at most the
unfinished epoch; a killed replay loses nothing: it is equal to one that was left alone.
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
from models.contract import EPOCH_S, Gain
from monitor.clock import ManualClock
from monitor.night.store import NightStore
from monitor.sinks.redis_server import RedisServer
from monitor.staging.stager import Stager
from monitor.staging.torch_backend import TorchBackend
from monitor.types import StagePrediction, Track
from tests.live import nights
from tests.live.processes import (
    HeadbandProgram,
    MonitorProgram,
    Program,
    environment,
    epochs_stored,
    query,
    wait_for,
)
from tests.live.signals import MadeUpNight
from tests.nights import EXCERPT

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
RATE_HZ = 256.0
SPEED = 30.0
KILL_AFTER_S = (2.0, 10.0)
"""After the night went on: drawn between these."""

REPLAY_SPEED = 25.0
REPLAY_KILL_AFTER_S = (0.0, 2.5)
"""An epoch takes 1.2 s then: some kills come within the first, some after two."""


@dataclass(slots=True)
class Report:
    """What came of a night with kills."""

    kills: int
    n_epochs: int = 0
    epochs_lost: int = 0
    epochs_duplicated: int = 0
    epochs_scored: int = 0
    events: int = 0
    samples: dict[str, int] = field(default_factory=dict)
    away_s: float | None = None
    """Seconds of the night from each kill to the night's going on."""
    lost_s: float | None = None
    grid_error_last: float | None = None
    grid_error_worst: float | None = None
    start_s: float | None = None
    """Longest time from a start of the program to the night going on."""
    live_differing: int | None = None
    revised_differing: int | None = None
    wrong: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        rows = "".join(f"| {name} | {value} |\n" for name, value in asdict(self).items())
        return f"| figure | value |\n|---|---|\n{rows}"


def kill_live(kills: int, out: Path, seed: int) -> Report:
    """Kill a live night ``kills`` times, at random moments, then end it in order."""
    folder = _new(out / "live")
    env, store = environment(folder), folder / "night.sqlite"
    chance = random.Random(seed)
    report = Report(kills)
    night_s = (kills + 2) * SPEED * (KILL_AFTER_S[1] + 20.0)
    arguments = (
        *("--night", f"{night_s:g}", "--rate", f"{RATE_HZ:g}", "--channels", ",".join(CHANNELS)),
        *("--seed", str(seed), "--speed", f"{SPEED:g}", "--wait-consumer"),
    )
    slowest_s = away_s = 0.0
    killed_s: float | None = None
    with RedisServer(0) as server, HeadbandProgram(folder, env, *arguments) as headband:
        for number in range(kills + 1):
            known, began_s = epochs_stored(store), time.monotonic()
            with MonitorProgram(folder, env, store, server.url) as monitor:
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
                assert monitor.running, f"it ended by itself:\n{monitor.said()}"
                if number < kills:
                    killed_s = time.monotonic()
                    monitor.kill()
                    _tell(f"kill {number + 1}: {epochs_stored(store)} epochs")
                elif (status := monitor.end()) != 0:
                    report.wrong.append(f"exit status {status} in the end")
        (start,) = headband.told("start")
        what = MadeUpNight(night_s, CHANNELS, RATE_HZ, seed)
        left = nights.look(store, server.url, what, start["t0_utc"])
    report.wrong += left.wrong
    report.samples, report.n_epochs = left.ledger, left.n_epochs
    report.lost_s = left.ledger["lost"] / 100.0
    report.grid_error_last, report.grid_error_worst = left.lag_last, left.lag_worst
    report.start_s, report.away_s = slowest_s, away_s
    if report.lost_s > away_s + EPOCH_S * kills:
        report.wrong.append("more is missing than the time away and an epoch for each kill")
    _count(report, store)
    _compare_to_unbroken(report, store)
    return report


def kill_replay(kills: int, out: Path, seed: int) -> Report:
    """Kill a replay ``kills`` times, let it end, and compare it to one that nobody killed."""
    folder = _new(out / "replay")
    env, store, unbroken = environment(folder), folder / "killed.sqlite", folder / "whole.sqlite"
    chance = random.Random(seed)
    report = Report(kills)
    with RedisServer(0) as server, RedisServer(0) as other:
        done = 0
        while done < kills:
            # Paced while it is killed, or it would be over too soon.
            with _replay(folder, env, store, server.url, f"{REPLAY_SPEED:g}") as replay:
                wait_for(lambda: _nights_begun(replay) > done, "a night", 60.0, replay)  # noqa: B023
                time.sleep(chance.uniform(*REPLAY_KILL_AFTER_S))
                if not replay.running:
                    report.wrong.append(f"over after {done} kills:\n{replay.said()}")
                    break
                replay.kill()
            done += 1
            _tell(f"kill {done}: {epochs_stored(store)} epochs")
        for path, url in ((store, server.url), (unbroken, other.url)):
            with _replay(folder, env, path, url, "max") as replay:
                if (status := replay.process.wait(300)) != 0:
                    report.wrong.append(f"exit status {status}: {replay.said()}")
        report.kills = done
        streams = nights.stream_ids(server.url), nights.stream_ids(other.url)
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
    """How often a replay has said that its night begins or goes on."""
    said = replay.said()
    return said.count("The night is stored in") + said.count(": continuing")


def _new(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _count(report: Report, path: Path) -> None:
    indices = [row[0] for row in query(path, "SELECT epoch_index FROM epoch ORDER BY epoch_index")]
    report.n_epochs = len(indices)
    report.epochs_lost = max(indices, default=-1) + 1 - len(set(indices))
    report.epochs_duplicated = len(indices) - len(set(indices))
    ((report.epochs_scored,),) = query(path, "SELECT count(*) FROM epoch WHERE reason IS NULL")
    ((report.events,),) = query(path, "SELECT count(*) FROM event")


def _compare_to_unbroken(report: Report, path: Path) -> None:
    """Stage what is stored again, in one go: both tracks must come out bit for bit."""
    store = NightStore.open(path)
    try:
        stager = Stager(TorchBackend(default_weights(Gain.KNOWN)), ManualClock())
        told = [each for epoch in store.epochs() for each in stager.push([epoch])[0]]
        told += stager.finish()
        again = {track: {e.epoch_index: e for e in told if e.track is track} for track in Track}
        for track, name in ((Track.LIVE, "live"), (Track.REVISED, "revised")):
            stored = {each.epoch_index: each for each in store.predictions(track)}
            both = stored.keys() | again[track].keys()
            differing = sum(_opinion(stored.get(n)) != _opinion(again[track].get(n)) for n in both)
            setattr(report, f"{name}_differing", differing)
            if differing:
                report.wrong.append(f"{differing} {name} stages differ from an unbroken stager's")
    finally:
        store.close()


def _opinion(prediction: StagePrediction | None) -> object:
    """All of a prediction but how long it took."""
    if prediction is None:
        return None
    return {**asdict(prediction), "latency_s": None}


def _differences(a: Path, b: Path) -> list[str]:
    """What differs between two nights' files, but times of the machine's clock."""
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


def _tell(text: str) -> None:
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
