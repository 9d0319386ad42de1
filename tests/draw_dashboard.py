"""Draws the README's picture: the dashboard near the end of the demo.

python -m tests.draw_dashboard monitor/dashboard.svg
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from monitor.app import Replay
from monitor.clock import ManualClock
from monitor.config import ReplayOptions
from monitor.night.store import NightStore
from monitor.sinks.dashboard import to_svg
from monitor.sinks.publisher import Publisher
from monitor.sinks.redis_server import RedisServer
from tests.nights import EXCERPT

N_EPOCHS = 160


def main(path: Path, width: int = 120, height: int = 36) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder, RedisServer() as server:
        store_path = Path(folder) / "night.sqlite"
        run = Replay.prepare(ReplayOptions(EXCERPT, speed="300", store=store_path))
        with (
            closing(NightStore.open(store_path)) as store,
            Publisher(store, run.session.id, server.url, clock) as publisher,
        ):
            pipeline = run.pipeline(store, clock, publisher)
            for chunk in run.chunks(clock, from_s=0.0):
                pipeline.push(chunk)
                if pipeline.night.n_epochs == N_EPOCHS:
                    break
            publisher.close()
            clock_utc = run.recording.start_utc + timedelta(seconds=float(chunk.times_s[-1]))
            to_svg(run.state(pipeline, clock_utc, publisher, False), path, width, height)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
