"""A headband made of software: a real LSL outlet in a process of its own, with faults on request.

    python -m tests.live.headband --source-id night-1 --night 3600 --speed 60 --wait-consumer

The stamp of sample n is its true time on the LSL clock, t0 + n / rate. At --speed 60 the stamps run
ahead of the clock. A headband that is started again with the same --t0 continues at the present
point of the night. The samples that were due meanwhile are lost, as with a real one.

It prints JSON lines: "start" once it sends, "progress" while it sends, "end" after the last sample.

The variable LSLAPICFG decides who sees the outlet: `tests.live.processes.environment`.
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
from tests.live.headband_signals import HeadbandSignal, MadeUpNight, Recorded, RecordedMuse

TICK_S = 0.02
PROGRESS_S = 0.25
SETTLE_S = 3.0
"""Time from the first listener to the first sample. It lets the listener connect first."""

BUFFERED_S = 1800
"""A consumer may lag behind by this much of signal before samples are lost."""


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
    content = parser.add_mutually_exclusive_group()
    content.add_argument("--edf", type=Path, help="one channel of a recording")
    content.add_argument("--muse", type=Path, help="a gzipped CSV of muselsl, with its own times")
    content.add_argument("--night", type=float, default=3600.0, help="seconds of a made-up night")
    add("--seed", type=int, default=0)
    add("--speed", type=float, default=1.0)
    add("--faults", default="", help="see tests.live.faults")
    add("--unit", default="microvolts", help="the unit in the stream's metadata; empty: none")
    add("--t0", type=float, help="LSL time of the first sample; default: now")
    add("--wait-consumer", action="store_true", help="send nothing before somebody listens")
    add("--settle", type=float, default=SETTLE_S, help="seconds from then to the first sample")
    add("--until-killed", action="store_true", help="stay, silent, after the last sample")
    return parser


def _signal(options: argparse.Namespace) -> HeadbandSignal:
    if options.edf is not None:
        return Recorded(options.edf)
    if options.muse is not None:
        return RecordedMuse(options.muse)
    return MadeUpNight(options.night, options.channels.split(","), options.rate, options.seed)


class Headband:
    """Sends a signal through an LSL outlet, on an absolute schedule."""

    def __init__(self, sent: HeadbandSignal, options: argparse.Namespace) -> None:
        self._signal = sent
        self._options = options
        faults = parse(options.faults)
        self._injector = Injector(faults, sent.channels, sent.rate_hz, options.seed)
        self._outlet = pylsl.StreamOutlet(_info(sent, options), max_buffered=BUFFERED_S)
        self._n_sent = 0

    def run(self, stop: threading.Event) -> None:
        """Send the whole signal, or until ``stop`` is set."""
        options, sent = self._options, self._signal
        while options.wait_consumer and not self._outlet.have_consumers() and not stop.is_set():
            time.sleep(TICK_S)
        started_s = pylsl.local_clock()
        if options.t0 is None:
            t0, first = started_s + (options.settle if options.wait_consumer else 0.0), 0
        else:
            t0 = options.t0
            first = self._due(started_s - t0)
        _print_line(
            "start",
            pid=os.getpid(),
            t0=t0,
            t0_utc=time.time() + (t0 - pylsl.local_clock()),
            channels=sent.channels,
            rate_hz=sent.rate_hz,
            n_samples=sent.n_samples,
            first=first,
            speed=options.speed,
            faults=options.faults,
        )
        reached = self._send_all(first, t0, stop)
        effects = {text: asdict(each) for text, each in self._injector.effects.items()}
        _print_line("end", first=first, reached=reached, sent=self._n_sent, faults=effects)
        if options.until_killed:
            stop.wait()

    def _send_all(self, first: int, t0: float, stop: threading.Event) -> int:
        """Send from sample ``first`` on; return the number after the last sample sent."""
        reached, reported_s = first, pylsl.local_clock()
        while reached < self._signal.n_samples and not stop.is_set():
            now_s = pylsl.local_clock()
            due = self._due(now_s - t0)
            self._send(reached, due, t0)
            reached = max(reached, due)
            if now_s - reported_s >= PROGRESS_S:
                reported_s = now_s
                _print_line("progress", first=first, reached=reached, sent=self._n_sent)
            stop.wait(TICK_S)
        return reached

    def _due(self, elapsed_s: float) -> int:
        """Return the number of samples due ``elapsed_s`` after the first: whole units, or all."""
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
                self._n_sent += block.index.size


def _info(sent: HeadbandSignal, options: argparse.Namespace) -> pylsl.StreamInfo:
    info = pylsl.StreamInfo(
        options.name, "EEG", len(sent.channels), sent.rate_hz, "float32", options.source_id
    )
    channels = info.desc().append_child("channels")
    for name in sent.channels:
        channel = channels.append_child("channel")
        channel.append_child_value("label", name)
        channel.append_child_value("type", "EEG")
        if options.unit:
            channel.append_child_value("unit", options.unit)
    return info


def _print_line(kind: str, **fields: Any) -> None:
    sys.stdout.write(json.dumps({"what": kind, **fields}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
