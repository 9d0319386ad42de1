"""Draws the README's picture, the dashboard near the end of the demo; and examples of live nights.

python -m tests.draw_dashboard monitor/dashboard.svg
python -m tests.draw_dashboard --live FILE.svg [WIDTH HEIGHT]
python -m tests.draw_dashboard --several FILE.svg [WIDTH HEIGHT]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, timedelta
from pathlib import Path

from monitor.clock import ManualClock
from monitor.config import ReplayOptions
from monitor.night.state import SleeperState
from monitor.night.store import NightStore
from monitor.replay import Replay
from monitor.sinks.dashboard import Look, canvas_svg, to_svg
from monitor.sinks.dashboard.screen import Moment
from monitor.sinks.dashboard.sleepers import SleepersPage, watch
from monitor.sinks.publisher import Publisher
from monitor.sinks.redis_server import RedisServer
from tests.nights import EXCERPT
from tests.sinks.night_example import four_sleepers, live_state, muse_channels

N_EPOCHS = 160


def main(path: Path, width: int = 120, height: int = 36) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder, RedisServer() as server:
        store_path = Path(folder) / "night.sqlite"
        run = Replay.prepare(ReplayOptions(EXCERPT, speed=300.0, store=store_path))
        with (
            closing(NightStore.open(store_path)) as store,
            Publisher(store, run.session.id, server.url, clock) as publisher,
        ):
            pipeline = run.pipeline(store, clock, publisher.notify)
            for chunk in run.chunks(clock, from_s=0.0):
                pipeline.push(chunk)
                if pipeline.night.n_epochs == N_EPOCHS:
                    break
            publisher.close()
            clock_utc = run.recording.start_utc + timedelta(seconds=float(chunk.times_s[-1]))
            to_svg(run.state(pipeline, clock_utc, publisher.delivery()), path, width, height)


def draw_live(path: Path, sleepers: Sequence[SleeperState], width: int, height: int) -> None:
    """What the dashboard shows of these made-up ``sleepers``."""
    night = next(state.night for state in sleepers if state.night is not None)
    page = SleepersPage(watch(sleepers, (), 0.0))
    look = Look(timezone=UTC)
    canvas = page.draw(width, height, look, Moment(0.0, night.clock_utc), None)
    path.write_text(canvas_svg(canvas), encoding="utf-8")


if __name__ == "__main__":
    what = sys.argv.pop(1) if sys.argv[1].startswith("--") else ""
    picture = Path(sys.argv[1])
    width, height = map(int, sys.argv[2:4] or (120, 36))
    if what == "--live":
        state = live_state(830, derivations=("AF7-TP10",) * 830, channels=muse_channels())
        draw_live(picture, [SleeperState("", "streaming", state)], width, height)
    elif what == "--several":
        draw_live(picture, four_sleepers(), width, height)
    else:
        main(picture, width, height)
