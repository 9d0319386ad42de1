"""Recordings of a real headband, sent with their own times through the real live monitor.

    python -m tests.live.muse FOLDER --out FOLDER [--speed 10]

FOLDER holds gzipped CSV files of muselsl: people awake at a task, so W or unscored is right. The
stamps are those of then, on a clock that is not this machine's.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pylsl

from models.contract import Stage
from monitor.sources.sample_clock import SampleClock
from monitor.types import ChannelState, Contact, Quality, SampleLedger, Track
from tests.live.equality import Night
from tests.live.processes import (
    HeadbandProgram,
    MonitorProgram,
    environment,
    wait_for,
    wait_until_idle,
)
from tests.live.signals import RecordedMuse


@dataclass(frozen=True, slots=True)
class Heard:
    """What the monitor made of one recording. ``channels`` tells of each epoch whose electrodes
    are not all good which are not, and why; ``said`` are the log's lines about signal, electrodes
    and derivation."""

    name: str
    seconds: float
    rate_hz: float
    true_rate_hz: float
    sent: int
    ledger: SampleLedger
    channels: list[str]
    verdicts: list[str]
    derivations: list[str]
    live: list[str]
    revised: list[str]
    said: list[str]


def hear(path: Path, folder: Path, speed: float) -> Heard:
    """Send one recording, and read what the monitor stored and said."""
    what = RecordedMuse(path)
    env, store = environment(folder), folder / "night.sqlite"
    # An id of its own: LSL looks for a stream that is gone in all sessions.
    own = ("--source-id", f"muse-{os.getpid()}")
    with MonitorProgram(folder, env, store, "none", *own) as monitor:
        step_s = _first_stamp_s(path) - pylsl.local_clock()
        arguments = (
            *own,
            *("--muse", str(path), "--speed", f"{speed:g}", "--faults", f"step={step_s!r}"),
            *("--wait-consumer", "--until-killed"),
        )
        with HeadbandProgram(folder, env, *arguments) as headband:
            wait_for(lambda: bool(headband.told("end")), "the end", 120.0 + 300.0 / speed, monitor)
            wait_until_idle(store, 2.0, 60.0)
            assert monitor.end() == 0, monitor.said()
        (end,) = headband.told("end")
    night = Night.read(store)
    stamps_s = what.times_s(0, what.n_samples)
    clock = SampleClock(what.rate_hz)
    clock.smooth(stamps_s)
    period_s = float(np.polyfit(np.arange(stamps_s.size), stamps_s, 1)[0])
    lines = monitor.out.read_text(encoding="utf-8").splitlines()
    about = re.compile(r"^\S+ (signal|derivation|waiting for a|(TP9|AF7|AF8|TP10) )")
    return Heard(
        name=path.name.removesuffix(".csv.gz"),
        seconds=float(stamps_s[-1]),
        rate_hz=clock.rate_hz,
        true_rate_hz=1.0 / period_s,
        sent=end["sent"],
        ledger=sum((epoch.ledger for epoch in night.epochs), SampleLedger()),
        channels=[
            _electrodes(night.session.channels, epoch.channel_quality) for epoch in night.epochs
        ],
        verdicts=[
            " ".join(str(verdict or "ok") for verdict in epoch.verdicts) for epoch in night.epochs
        ],
        derivations=[epoch.derivation.name for epoch in night.epochs],
        live=[str(each.stage or each.reason) for each in night.predictions[Track.LIVE]],
        revised=[str(each.stage or each.reason) for each in night.predictions[Track.REVISED]],
        said=[line for line in lines if about.match(line)],
    )


def _first_stamp_s(path: Path) -> float:
    with gzip.open(path, "rt", encoding="utf-8") as text:
        text.readline()
        return float(text.readline().partition(",")[0])


def _electrodes(names: Sequence[str], qualities: Iterable[Quality]) -> str:
    states = [ChannelState.of(*each) for each in zip(names, qualities, strict=True)]
    bad = [each for each in states if each.contact is not Contact.GOOD]
    return ", ".join(f"{each.name} {each.contact} ({each.reason})" for each in bad)


HEAD = (
    "| recording | s | rate found (of the stamps), Hz | arrived of sent; twice, late, put in order "
    "| filled + lost of expected | epochs: live | revised | derivation | electrodes not good |\n"
    + "|---" * 9
    + "|"
)


def markdown(heard: Heard) -> str:
    """One line of the table."""
    one = heard.ledger
    columns = (
        heard.name.replace("_session1_data", ""),
        f"{heard.seconds:.0f}",
        f"{heard.rate_hz:.3f} ({heard.true_rate_hz:.3f})",
        f"{one.arrived} of {heard.sent}; {one.duplicate}, {one.late}, {one.reordered}",
        f"{one.filled} + {one.lost} of {one.expected}",
        _counted(heard.live),
        _counted(heard.revised),
        _runs(heard.derivations),
        _runs([each or "none" for each in heard.channels]),
    )
    return "| " + " | ".join(columns) + " |"


def totals(all_heard: Sequence[Heard]) -> dict[str, object]:
    """Of all recordings together."""
    live = Counter(stage for heard in all_heard for stage in heard.live)
    revised = Counter(stage for heard in all_heard for stage in heard.revised)
    stages = [str(stage) for stage in Stage]
    scored = sum(live[stage] for stage in stages)
    return {
        "recordings": len(all_heard),
        "minutes": round(sum(heard.seconds for heard in all_heard) / 60.0, 1),
        "epochs": live.total(),
        "live": dict(live),
        "revised": dict(revised),
        "live_w_of_scored": round(live["W"] / scored, 3) if scored else None,
        "live_w_or_unscored_of_all": round(1.0 - (scored - live["W"]) / live.total(), 3),
        "revised_w_or_unscored_of_all": round(
            1.0 - sum(revised[stage] for stage in stages if stage != "W") / revised.total(), 3
        ),
        "derivations": dict(Counter(each for heard in all_heard for each in heard.derivations)),
        "ledger": asdict(sum((heard.ledger for heard in all_heard), SampleLedger())),
    }


def _counted(stages: Sequence[str]) -> str:
    return ", ".join(f"{n} {stage}" for stage, n in Counter(stages).most_common())


def _runs(texts: Sequence[str]) -> str:
    return "; ".join(f"{len(list(run))} x {text}" for text, run in groupby(texts))


def main() -> None:
    parser = argparse.ArgumentParser(prog="muse", description=__doc__)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--speed", type=float, default=10.0)
    parser.add_argument("--only", default="", help="recordings whose name holds this")
    options = parser.parse_args()
    all_heard: list[Heard] = []
    print(HEAD, flush=True)
    for path in sorted(options.recordings.glob("*.csv.gz")):
        if options.only not in path.name:
            continue
        folder = options.out / path.name.removesuffix(".csv.gz")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        all_heard.append(hear(path, folder, options.speed))
        print(markdown(all_heard[-1]), flush=True)
    total = totals(all_heard)
    told = {"totals": total, "recordings": [asdict(heard) for heard in all_heard]}
    (options.out / "muse.json").write_text(json.dumps(told, indent=2) + "\n")
    (options.out / "muse.md").write_text("\n".join([HEAD, *map(markdown, all_heard)]) + "\n")
    print(json.dumps(total, indent=2))


if __name__ == "__main__":
    main()
