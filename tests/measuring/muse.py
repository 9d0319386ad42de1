"""Send recordings of a real headband, with their own stamps, through the real live monitor.

    python -m tests.measuring.muse FOLDER --out FOLDER [--speed 10]

FOLDER holds gzipped CSV files of muselsl. The people in them are awake, so W or unscored is right.
The stamps come from the clock of the computer that recorded them, not from this machine's.
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
from tests.live.headband_signals import RecordedMuse
from tests.live.processes import (
    HeadbandProgram,
    MonitorProgram,
    environment,
    wait_for,
    wait_until_idle,
)
from tests.measuring.night_check import NightFile

LOGGED = re.compile(r"^\S+ (signal|derivation|waiting for a|(TP9|AF7|AF8|TP10) )")
"""Log lines about the signal, the electrodes and the derivation."""


@dataclass(frozen=True, slots=True)
class MuseResult:
    """The monitor's result for one recording.

    - ``rate_hz``: the rate that the monitor's clock found; ``true_rate_hz``: that of the stamps.
    - ``channels``: for each epoch, the electrodes that are not good and why.
    - ``verdicts``, ``derivations``, ``live``, ``revised``: one text for each epoch.
    - ``log``: the lines that match `LOGGED`.
    """

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
    log: list[str]


def monitor_recording(path: Path, folder: Path, speed: float) -> MuseResult:
    """Send one recording, and read what the monitor stored and logged."""
    recording = RecordedMuse(path)
    env, store = environment(folder), folder / "night.sqlite"
    # Each run has its own source id, because LSL looks for a lost stream in all sessions.
    own = ("--source-id", f"muse-{os.getpid()}")
    with MonitorProgram(folder, env, store, "none", *own) as monitor:
        step_s = _first_stamp_s(path) - pylsl.local_clock()
        arguments = (
            *own,
            *("--muse", str(path), "--speed", f"{speed:g}", "--faults", f"step={step_s!r}"),
            *("--wait-consumer", "--until-killed"),
        )
        with HeadbandProgram(folder, env, *arguments) as headband:
            limit_s = 120.0 + 300.0 / speed
            wait_for(lambda: bool(headband.lines("end")), "the end", limit_s, monitor)
            wait_until_idle(store, 2.0, 60.0)
            assert monitor.end() == 0, monitor.errors()
        (end,) = headband.lines("end")
    stamps_s = recording.times_s(0, recording.n_samples)
    clock = SampleClock(recording.rate_hz)
    clock.smooth(stamps_s)
    period_s = float(np.polyfit(np.arange(stamps_s.size), stamps_s, 1)[0])
    log = monitor.out.read_text(encoding="utf-8").splitlines()
    night = NightFile.read(store)
    names = night.session.channels
    return MuseResult(
        name=path.name.removesuffix(".csv.gz"),
        seconds=float(stamps_s[-1]),
        rate_hz=clock.rate_hz,
        true_rate_hz=1.0 / period_s,
        sent=end["sent"],
        ledger=sum((epoch.ledger for epoch in night.epochs), SampleLedger()),
        channels=[_bad_electrodes(names, epoch.channel_quality) for epoch in night.epochs],
        verdicts=[
            " ".join(str(verdict or "ok") for verdict in epoch.verdicts) for epoch in night.epochs
        ],
        derivations=[epoch.derivation.name for epoch in night.epochs],
        live=[str(each.stage or each.reason) for each in night.predictions[Track.LIVE]],
        revised=[str(each.stage or each.reason) for each in night.predictions[Track.REVISED]],
        log=[line for line in log if LOGGED.match(line)],
    )


def _first_stamp_s(path: Path) -> float:
    with gzip.open(path, "rt", encoding="utf-8") as text:
        text.readline()
        return float(text.readline().partition(",")[0])


def _bad_electrodes(names: Sequence[str], qualities: Iterable[Quality]) -> str:
    states = [ChannelState.of(*each) for each in zip(names, qualities, strict=True)]
    bad = [each for each in states if each.contact is not Contact.GOOD]
    return ", ".join(f"{each.name} {each.contact} ({each.reason})" for each in bad)


HEAD = (
    "| recording | s | rate found (of the stamps), Hz | arrived of sent; twice, late, put in order "
    "| filled + lost of expected | epochs: live | revised | derivation | electrodes not good |\n"
    + "|---" * 9
    + "|"
)


def markdown(result: MuseResult) -> str:
    """Return one line of the table."""
    ledger = result.ledger
    columns = (
        result.name.replace("_session1_data", ""),
        f"{result.seconds:.0f}",
        f"{result.rate_hz:.3f} ({result.true_rate_hz:.3f})",
        f"{ledger.arrived} of {result.sent}; {ledger.duplicate}, {ledger.late}, {ledger.reordered}",
        f"{ledger.filled} + {ledger.lost} of {ledger.expected}",
        _counted(result.live),
        _counted(result.revised),
        _runs(result.derivations),
        _runs([each or "none" for each in result.channels]),
    )
    return "| " + " | ".join(columns) + " |"


def totals(results: Sequence[MuseResult]) -> dict[str, object]:
    """Return the figures of all recordings together."""
    live = Counter(stage for result in results for stage in result.live)
    revised = Counter(stage for result in results for stage in result.revised)
    stages = [str(stage) for stage in Stage]
    scored = sum(live[stage] for stage in stages)
    return {
        "recordings": len(results),
        "minutes": round(sum(result.seconds for result in results) / 60.0, 1),
        "epochs": live.total(),
        "live": dict(live),
        "revised": dict(revised),
        "live_w_of_scored": round(live["W"] / scored, 3) if scored else None,
        "live_w_or_unscored_of_all": round(1.0 - (scored - live["W"]) / live.total(), 3),
        "revised_w_or_unscored_of_all": round(
            1.0 - sum(revised[stage] for stage in stages if stage != "W") / revised.total(), 3
        ),
        "derivations": dict(Counter(each for result in results for each in result.derivations)),
        "ledger": asdict(sum((result.ledger for result in results), SampleLedger())),
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
    parser.add_argument("--only", default="", help="recordings whose name contains this")
    options = parser.parse_args()
    results: list[MuseResult] = []
    print(HEAD, flush=True)
    for path in sorted(options.recordings.glob("*.csv.gz")):
        if options.only not in path.name:
            continue
        folder = options.out / path.name.removesuffix(".csv.gz")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        results.append(monitor_recording(path, folder, options.speed))
        print(markdown(results[-1]), flush=True)
    total = totals(results)
    written = {"totals": total, "recordings": [asdict(result) for result in results]}
    (options.out / "muse.json").write_text(json.dumps(written, indent=2) + "\n")
    (options.out / "muse.md").write_text("\n".join([HEAD, *map(markdown, results)]) + "\n")
    print(json.dumps(total, indent=2))


if __name__ == "__main__":
    main()
