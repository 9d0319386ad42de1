"""Draws the README's picture, the dashboard near the end of the demo, and invented live nights.

python -m tests.draw_dashboard monitor/dashboard.svg
python -m tests.draw_dashboard --live FILE.svg [WIDTH HEIGHT]
python -m tests.draw_dashboard --several FILE.svg [WIDTH HEIGHT]

With --plain the plain view, with --light the colours of a light terminal.
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
from monitor.night.state import NightState, SleeperState
from monitor.night.store import NightStore
from monitor.replay import Replay
from monitor.sinks.dashboard import Look, canvas_svg, to_svg
from monitor.sinks.dashboard.palette import DARK, LIGHT
from monitor.sinks.dashboard.screen import Moment
from monitor.sinks.dashboard.sleepers import SleepersPage, seen_sleepers
from monitor.sinks.redis_server import DEFAULT_URL
from monitor.types import Delivery
from tests.nights import EXCERPT
from tests.sinks.night_example import four_sleepers, live_state, muse_channels

N_EPOCHS = 160


def demo_state(n_epochs: int = N_EPOCHS) -> NightState:
    """Replay the demo up to the end of epoch ``n_epochs`` - 1; return the snapshot at that time."""
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        options = ReplayOptions(EXCERPT, speed=300.0, store=Path(folder) / "night.sqlite")
        run = Replay.prepare(options)
        with closing(NightStore.open(run.store_path)) as store:
            pipeline = run.pipeline(store, clock, notify=lambda: None)
            for chunk in run.chunks(clock, from_s=0.0):
                pipeline.push(chunk)
                if pipeline.night.n_epochs == n_epochs:
                    break
            clock_utc = run.recording.start_utc + timedelta(seconds=float(chunk.times_s[-1]))
            # As if every event was sent to the monitor's own server.
            delivery = Delivery(DEFAULT_URL, True, store.last_sequence(), 0)
            return run.state(pipeline, clock_utc, delivery)


def draw_live(
    path: Path, sleepers: Sequence[SleeperState], width: int, height: int, look: Look
) -> None:
    """Write the dashboard of these invented ``sleepers`` to ``path``."""
    night = next(state.night for state in sleepers if state.night is not None)
    page = SleepersPage(seen_sleepers(sleepers, (), 0.0))
    canvas = page.draw(width, height, look, Moment(0.0, night.clock_utc), None)
    path.write_text(canvas_svg(canvas, look.palette), encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Draw the picture that the command line names."""
    picture, *rest = [each for each in arguments if not each.startswith("--")]
    width, height = map(int, rest or (120, 36))
    palette = LIGHT if "--light" in arguments else DARK
    look = Look(timezone=UTC, palette=palette, plain="--plain" in arguments, keys=True)
    if "--live" in arguments:
        night = live_state(830, derivations=("AF7-TP10",) * 830, channels=muse_channels())
        draw_live(Path(picture), [SleeperState("", "streaming", night)], width, height, look)
    elif "--several" in arguments:
        draw_live(Path(picture), four_sleepers(), width, height, look)
    else:
        to_svg(demo_state(), Path(picture), width, height, look)


if __name__ == "__main__":
    main(sys.argv[1:])
