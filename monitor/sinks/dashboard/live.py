"""Keeps the picture of one night up to date: `Dashboard`, and `night_view` to choose a view."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from rich.console import Console

from monitor.clock import Clock, SystemClock
from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.layout import render
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.screen import Moment, Screen
from monitor.sinks.log import NightView, PlainLog


@dataclass(frozen=True, slots=True)
class NightPage:
    """A night as it was when the clock stood at ``seen_s``."""

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
    """Now, ``age_s`` after the snapshot: a live source's clock goes on, a recording's does not."""
    if state.speed is not None or state.ended:
        return state.clock_utc
    return state.clock_utc + timedelta(seconds=age_s)


class Dashboard(Screen[NightPage]):
    """The night on the terminal's second screen; see `Screen`.

    ``told``: where plain lines would begin, see `PlainLog`.
    """

    def __init__(
        self,
        console: Console,
        clock: Clock | None = None,
        *,
        timezone: tzinfo | None = None,
        told: NightState | None = None,
    ) -> None:
        super().__init__(console, clock or SystemClock(), timezone)
        self._plain = PlainLog(console.file, timezone=timezone, told=told)

    def update(self, state: NightState) -> None:
        """Show ``state`` from the next frame on."""
        before = self._page
        if before is None or before.state is not state:
            before = NightPage(state, self._clock.monotonic_s())
        if not self.show(before):
            self._plain.update(state)

    def skip(self, page: NightPage) -> None:
        self._plain.skip(page.state)


def shows_pictures(console: Console, plain: bool) -> bool:
    """Whether ``console`` is a terminal that can show a dashboard, and may."""
    return not plain and console.is_terminal and not console.is_dumb_terminal


def night_view(
    console: Console,
    clock: Clock | None = None,
    *,
    plain: bool = False,
    timezone: tzinfo | None = None,
    told: NightState | None = None,
) -> NightView:
    """A `Dashboard` where ``console`` is a terminal that can show one, a `PlainLog` elsewhere."""
    if not shows_pictures(console, plain):
        return PlainLog(console.file, timezone=timezone, told=told)
    return Dashboard(console, clock, timezone=timezone, told=told)
