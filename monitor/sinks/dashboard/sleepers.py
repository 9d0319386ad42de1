"""The view of all sleepers: `SleepersDashboard` on a terminal; `live_view` chooses the view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from rich.console import Console

from monitor.clock import Clock
from monitor.night.state import SleeperState
from monitor.sinks.dashboard.background import Background
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.desk import Desk
from monitor.sinks.dashboard.layout import render
from monitor.sinks.dashboard.live import can_draw, clock_of, keyboard_of
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.overview import Row, draw_overview
from monitor.sinks.dashboard.plain import SleepersLog
from monitor.sinks.dashboard.screen import Moment, Screen
from monitor.sinks.dashboard.waiting import draw_waiting
from monitor.sinks.views import LiveView

_SHARE_OF_CPU = 0.05
"""Small, because the machine beside the bed may be small and runs on a battery all night."""


@dataclass(frozen=True, slots=True)
class SeenSleeper:
    """A snapshot of a sleeper.

    - ``seen_s``: monotonic time at which the snapshot of their night came.
    - ``waiting_s``: monotonic time since which they have waited for a night to begin.
    """

    state: SleeperState
    seen_s: float
    waiting_s: float


def seen_sleepers(
    sleepers: Sequence[SleeperState], before: Sequence[SeenSleeper], now_s: float
) -> tuple[SeenSleeper, ...]:
    """Return ``sleepers`` as seen at ``now_s``; one that has not changed stays as ``before``."""
    known = {seen.state.sleeper: seen for seen in before}
    return tuple(_seen(state, known.get(state.sleeper), now_s) for state in sleepers)


def _seen(state: SleeperState, before: SeenSleeper | None, now_s: float) -> SeenSleeper:
    if before is None:
        return SeenSleeper(state, now_s, now_s)
    if before.state == state:
        return before
    seen_s = before.seen_s if state.night is before.state.night else now_s
    waiting_s = before.waiting_s if before.state.night is None else now_s
    return SeenSleeper(state, seen_s, waiting_s)


@dataclass(frozen=True, slots=True)
class SleepersPage:
    """A page for all sleepers: the whole night of a single one, an overview of several."""

    sleepers: tuple[SeenSleeper, ...]

    def tick(self, moment: Moment) -> datetime:
        return moment.utc.replace(microsecond=0)

    def draw(
        self, width: int, height: int, look: Look, moment: Moment, notice: str | None
    ) -> Canvas:
        now_s = moment.monotonic_s
        if len(self.sleepers) != 1:
            rows = [_row(seen, now_s) for seen in self.sleepers]
            return draw_overview(rows, width, height, look, moment.utc, notice)
        (one,) = self.sleepers
        if (night := one.state.night) is None:
            waited_s = now_s - one.waiting_s
            return draw_waiting(one.state, waited_s, width, height, look, moment.utc, notice)
        now = clock_of(night, now_s - one.seen_s)
        status = f"failed: {one.state.status}" if one.state.failed else one.state.status
        return render(night, width, height, look, now=now, notice=notice, status=status)


def _row(seen: SeenSleeper, now_s: float) -> Row:
    night = seen.state.night
    now = None if night is None else clock_of(night, now_s - seen.seen_s)
    return Row(seen.state, now, now_s - seen.waiting_s)


class SleepersDashboard(Screen[SleepersPage]):
    """A view of all sleepers on the terminal's second screen; see `Screen`."""

    def __init__(
        self,
        console: Console,
        clock: Clock,
        *,
        timezone: tzinfo | None = None,
        desk: Desk | None = None,
    ) -> None:
        desk = desk or Desk(Background("dark", {}))
        super().__init__(console, clock, timezone, desk, _SHARE_OF_CPU)
        self._plain = SleepersLog(console.file, clock, timezone=timezone)

    def update(self, sleepers: Sequence[SleeperState]) -> None:
        """Show ``sleepers`` from the next frame on."""
        before = self._page.sleepers if self._page is not None else ()
        if not self.show(SleepersPage(seen_sleepers(sleepers, before, self._clock.monotonic_s()))):
            self._plain.update(sleepers)

    def skip(self, page: SleepersPage) -> None:
        self._plain.skip([seen.state for seen in page.sleepers])


def live_view(
    console: Console,
    clock: Clock,
    *,
    plain: bool = False,
    timezone: tzinfo | None = None,
    background: Background | None = None,
    end: Callable[[], None] = lambda: None,
) -> LiveView:
    """Return a `SleepersDashboard`; a `SleepersLog` if ``console`` cannot show one or if ``plain``.

    - ``timezone`` None: local time. ``background``: the terminal's; None: a dark one.
    - ``end`` ends the night: the key q calls it.

    The dashboard begins with the plain view: the person in front of it wants to sleep.
    """
    if not can_draw(console, plain):
        return SleepersLog(console.file, clock, timezone=timezone)
    desk = Desk(background or Background("dark", {}), keyboard_of(console), plain=True, end=end)
    return SleepersDashboard(console, clock, timezone=timezone, desk=desk)
