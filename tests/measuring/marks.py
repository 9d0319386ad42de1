"""Send very many marks to a live night, and measure what they delay.

    python -m tests.measuring.marks --marks 20000
    python -m tests.measuring.marks --marks 1000000

A scripted headband sends 100 Hz in real time; the night, the network and the event server are real.
A process of its own sends the marks as fast as the server takes them. Then Ctrl-C is simulated.
"""

from __future__ import annotations

import argparse
import io
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from monitor.clock import SystemClock, Timeline
from monitor.config import BrainflowConfig, LiveOptions, LslConfig, SleeperOptions
from monitor.live import run_live
from monitor.night.store import NightStore
from monitor.sinks.redis_client import Keys, connect
from monitor.sinks.redis_server import RedisServer
from monitor.sources.live import KnownDevice
from monitor.sources.scripted import ScriptedSource
from monitor.types import EegChunk, Track
from tests.nights import excerpt_uv

SENDER = """
import sys, redis
client = redis.from_url(sys.argv[1])
left = int(sys.argv[2])
while left:
    pipe = client.pipeline(transaction=False)
    for n in range(min(left, 1000)):
        pipe.xadd("sleep-monitor:marks", {"kind": "note", "text": f"note {left - n}"})
    pipe.execute()
    left -= min(left, 1000)
"""


class TimedSource(ScriptedSource):
    """A scripted headband that notes when it is polled, which is once a turn of the loop."""

    polled_s: list[float]

    def poll(self) -> list[EegChunk]:
        self.polled_s.append(time.monotonic())
        return super().poll()


def measure(n_marks: int, seconds: float, folder: Path) -> dict[str, object]:
    """Run a live night of ``seconds`` and send it ``n_marks`` after 5 s; return the figures."""
    stop, sources = threading.Event(), list[TimedSource]()

    def open_source(
        config: LslConfig | BrainflowConfig,
        timeline: Timeline,
        clock_offset_s: float | None,
        known: KnownDevice | None,
    ) -> TimedSource:
        source = TimedSource(timeline, excerpt_uv()[:, 60_000:], 100.0, ("Fpz-Cz",))
        source.polled_s = []
        sources.append(source)
        return source

    with RedisServer(0) as server:
        options = LiveOptions(
            (SleeperOptions(LslConfig(), store=folder / "night.sqlite"),),
            redis=server.url,
            dashboard=False,
        )
        figures: dict[str, object] = {"marks": n_marks}
        ended = threading.Thread(target=_flood, args=(server.url, n_marks, seconds, stop, figures))
        ended.start()
        run_live(options, Console(file=io.StringIO()), SystemClock(), stop, open_source)
        figures["from Ctrl-C to the end, s"] = round(time.monotonic() - figures.pop("stop_s"), 2)  # type: ignore[operator]
        ended.join()
    turns_s = np.diff(sources[0].polled_s)
    with closing(NightStore.open(folder / "night.sqlite")) as store:
        figures["epochs"] = store.n_epochs()
        figures["recorded"] = len(store.marks())
        figures["staging, longest, ms"] = round(
            1000 * max(each.latency_s for each in store.predictions(Track.LIVE))
        )
    figures["turn, longest, ms"] = round(1000 * float(turns_s.max()))
    figures["turn, p99, ms"] = round(1000 * float(np.quantile(turns_s, 0.99)))
    figures["memory, peak, MB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    return figures


def _flood(
    url: str, n_marks: int, seconds: float, stop: threading.Event, figures: dict[str, object]
) -> None:
    began_s = time.monotonic()
    time.sleep(5.0)
    client: Any = connect(url)
    with subprocess.Popen([sys.executable, "-c", SENDER, url, str(n_marks)]) as sender:
        sender.wait()
    figures["sending them, s"] = round(time.monotonic() - began_s - 5.0, 1)
    # The delay of the live stages: from the end of an epoch to its event on the server.
    delays_s, last, until_s = [], "0-0", began_s + seconds
    while time.monotonic() < until_s:
        for _, entries in client.xread({Keys().events: last}, block=200) or []:
            last = entries[-1][0]
            for _, fields in entries:
                if "stage/" in fields["id"] and "/live/" in fields["id"]:
                    delays_s.append(time.time() - _end_s(fields["event"]))
    figures["end of an epoch to its event, longest, ms"] = round(1000 * max(delays_s, default=-1))
    figures["answers kept"] = client.xlen(Keys().mark_answers)
    figures["marks kept"] = client.xlen(Keys().marks)
    client.close()
    figures["stop_s"] = time.monotonic()
    stop.set()


def _end_s(event: str) -> float:
    from monitor.night.events import from_json

    return from_json(event).time.timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--marks", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=70.0, help="length of the night")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, value in measure(options.marks, options.seconds, Path(folder)).items():
            sys.stdout.write(f"| {name} | {value} |\n")


if __name__ == "__main__":
    main()
