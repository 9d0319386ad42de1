"""The view of one night: `Dashboard` on a terminal; `night_view` chooses the view."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from rich.console import Console

from monitor.clock import Clock
from monitor.night.state import NightState
from monitor.sinks.dashboard.background import Background
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.desk import Desk
from monitor.sinks.dashboard.keys import Keyboard
from monitor.sinks.dashboard.layout import render
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.screen import Moment, Screen
from monitor.sinks.log import PlainLog
from monitor.sinks.views import NightView


@dataclass(frozen=True, slots=True)
class NightPage:
    """A snapshot of a night, and the monotonic time ``seen_s`` at which it came."""

    state: NightState
    seen_s: float

    def tick(self, moment: Moment) -> datetime:
        return clock_of(self.state, moment.monotonic_s - self.seen_s).replace(microsecond=0)

    def draw(
        self, width: int, height: int, look: Look, moment: Moment, notice: str | None
    ) -> Canvas:
        now = clock_of(self.state, moment.monotonic_s - self.seen_s)
        return render(self.state, width, height, look, now=now, notice=notice)


def clock_of(state: NightState, age_s: float) -> datetime:
    """Return the time ``age_s`` after the snapshot came.

    The clock of a live night advances between snapshots. That of a replay, or of a night that has
    ended, does not.
    """
    if not state.is_live or state.ended:
        return state.clock_utc
    return state.clock_utc + timedelta(seconds=age_s)


class Dashboard(Screen[NightPage]):
    """A view of one night on the terminal's second screen; see `Screen`.

    ``resumed_from`` is for the plain lines that follow if drawing fails; see `PlainLog`.
    """

    def __init__(
        self,
        console: Console,
        clock: Clock,
        *,
        timezone: tzinfo | None = None,
        resumed_from: NightState | None = None,
        desk: Desk | None = None,
    ) -> None:
        super().__init__(console, clock, timezone, desk or Desk(Background("dark", {})))
        self._plain = PlainLog(console.file, timezone=timezone, resumed_from=resumed_from)

    def update(self, state: NightState) -> None:
        """Show ``state`` from the next frame on."""
        page = self._page
        if page is None or page.state is not state:
            page = NightPage(state, self._clock.monotonic_s())
        if not self.show(page):
            self._plain.update(state)

    def skip(self, page: NightPage) -> None:
        self._plain.skip(page.state)


def can_draw(console: Console, plain: bool) -> bool:
    """Return True if ``console`` can show a dashboard, and ``plain`` lines are not wanted."""
    return not plain and console.is_terminal and not console.is_dumb_terminal


def keyboard_of(console: Console) -> Keyboard | None:
    """Return the keys of the terminal that ``console`` draws on; None if there are none."""
    # Two terminals would be confusing, and a test's console is none.
    real = console.file is sys.stdout
    return Keyboard.of(sys.stdin) if real else None


def night_view(
    console: Console,
    clock: Clock,
    *,
    plain: bool = False,
    timezone: tzinfo | None = None,
    resumed_from: NightState | None = None,
    background: Background | None = None,
    end: Callable[[], None] = lambda: None,
) -> NightView:
    """Return a `Dashboard`; a `PlainLog` if ``console`` cannot show one, or if ``plain``.

    ``background``: the terminal's; None: a dark one. ``end`` ends the replay: the key q calls it.
    """
    if not can_draw(console, plain):
        return PlainLog(console.file, timezone=timezone, resumed_from=resumed_from)
    desk = Desk(background or Background("dark", {}), keyboard_of(console), run="replay", end=end)
    return Dashboard(console, clock, timezone=timezone, resumed_from=resumed_from, desk=desk)
