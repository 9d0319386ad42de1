"""A headband: a real LSL outlet in a process of its own, with faults on request.

    python -m tests.live.headband --source-id night-1 --night 3600 --speed 60 --wait-consumer

Sample n is stamped with its true time, t0 + n / rate on the LSL clock, and leaves when it is due:
at --speed 60 the stamps run ahead of the clock. Given the same --t0, a headband that is started
again goes on where the night is by then; what was due while it was away is gone, as with a real
one. It prints JSON lines: what it is ("start"), and how far it got ("progress", "end").

Where LSL can be seen is up to LSLAPICFG: see `tests.live.lsl`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pylsl

from tests.live.faults import UNIT, Block, Injector, parse
from tests.live.signals import MadeUpNight, Recorded, RecordedMuse, Signal

TICK_S = 0.02
PROGRESS_S = 0.25
SETTLE_S = 3.0
"""From somebody listening to the first sample: so that it is not old when it is read."""

BUFFERED_S = 1800
"""How much a consumer may lag behind before samples are lost."""


def main() -> None:
    options = _options().parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Headband(_signal(options), options).run(stop)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headband", description=__doc__)
    add = parser.add_argument
    add("--source-id", required=True)
    add("--name", default="Headband")
    add("--rate", type=float, default=256.0, help="Hz, for a made-up night")
    add("--channels", default="TP9,AF7,AF8,TP10", help="for a made-up night")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--edf", type=Path, help="one channel of a recording")
    what.add_argument("--muse", type=Path, help="a gzipped CSV of muselsl, with its own times")
    what.add_argument("--night", type=float, default=3600.0, help="seconds of a made-up night")
    add("--seed", type=int, default=0)
    add("--speed", type=float, default=1.0)
    add("--faults", default="", help="see tests.live.faults")
    add("--unit", default="microvolts", help="as the stream's metadata calls it; empty: none")
    add("--t0", type=float, help="LSL time of the first sample; default: now")
    add("--wait-consumer", action="store_true", help="begin once somebody listens")
    add("--until-killed", action="store_true", help="stay, silent, after the last sample")
    return parser


def _signal(options: argparse.Namespace) -> Signal:
    if options.edf is not None:
        return Recorded(options.edf)
    if options.muse is not None:
        return RecordedMuse(options.muse)
    return MadeUpNight(options.night, options.channels.split(","), options.rate, options.seed)


class Headband:
    """Sends a signal through an outlet, on an absolute schedule."""

    def __init__(self, what: Signal, options: argparse.Namespace) -> None:
        self._signal = what
        self._options = options
        faults = parse(options.faults)
        self._injector = Injector(faults, what.channels, what.rate_hz, options.seed)
        self._outlet = pylsl.StreamOutlet(_info(what, options), max_buffered=BUFFERED_S)
        self._sent = 0

    def run(self, stop: threading.Event) -> None:
        options, what = self._options, self._signal
        while options.wait_consumer and not self._outlet.have_consumers() and not stop.is_set():
            time.sleep(TICK_S)
        started_s = pylsl.local_clock()
        if options.t0 is None:
            t0, at = started_s + (SETTLE_S if options.wait_consumer else 0.0), 0
        else:
            t0 = options.t0
            at = self._due(started_s - t0)
        _tell(
            "start",
            pid=os.getpid(),
            t0=t0,
            t0_utc=time.time() + (t0 - pylsl.local_clock()),
            channels=what.channels,
            rate_hz=what.rate_hz,
            n_samples=what.n_samples,
            first=at,
            speed=options.speed,
            faults=options.faults,
        )
        first, told_s = at, started_s
        while at < what.n_samples and not stop.is_set():
            now_s = pylsl.local_clock()
            due = self._due(now_s - t0)
            self._send(at, due, t0)
            at = max(at, due)
            if now_s - told_s >= PROGRESS_S:
                told_s = now_s
                _tell("progress", first=first, reached=at, sent=self._sent)
            stop.wait(TICK_S)
        done = {text: asdict(each) for text, each in self._injector.done.items()}
        _tell("end", first=first, reached=at, sent=self._sent, faults=done)
        if options.until_killed:
            stop.wait()

    def _due(self, elapsed_s: float) -> int:
        """Samples due ``elapsed_s`` after the first: whole units, and what is left at the end."""
        if elapsed_s < 0.0:
            return 0
        due = self._signal.due(elapsed_s * self._options.speed)
        return due if due >= self._signal.n_samples else due // UNIT * UNIT

    def _send(self, start: int, stop: int, t0: float) -> None:
        longest = round(self._signal.rate_hz) * UNIT  # a whole number of units
        for first in range(start, stop, longest):
            last = min(stop, first + longest)
            block = self._injector.apply(
                Block(
                    self._signal.read(first, last),
                    self._signal.times_s(first, last),
                    np.arange(first, last),
                )
            )
            if block.index.size:
                stamps = (t0 + block.stamps_s).tolist()
                self._outlet.push_chunk(np.ascontiguousarray(block.data_uv.T), stamps)
                self._sent += block.index.size


def _info(what: Signal, options: argparse.Namespace) -> pylsl.StreamInfo:
    info = pylsl.StreamInfo(
        options.name, "EEG", len(what.channels), what.rate_hz, "float32", options.source_id
    )
    channels = info.desc().append_child("channels")
    for name in what.channels:
        channel = channels.append_child("channel")
        channel.append_child_value("label", name)
        channel.append_child_value("type", "EEG")
        if options.unit:
            channel.append_child_value("unit", options.unit)
    return info


def _tell(what: str, **fields: Any) -> None:
    sys.stdout.write(json.dumps({"what": what, **fields}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
