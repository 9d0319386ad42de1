"""The people who are monitored, as they are now: `SleepersDashboard`, `live_view` to choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console

from monitor.clock import Clock
from monitor.night.state import SleeperState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.layout import render
from monitor.sinks.dashboard.live import clock_of, shows_pictures
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.overview import Row, draw_overview
from monitor.sinks.dashboard.plain import SleepersLog
from monitor.sinks.dashboard.screen import Moment, Screen
from monitor.sinks.dashboard.waiting import draw_waiting

_SHARE_OF_CPU = 0.05
"""A night is long, and the machine beside the bed may be small."""


class LiveView(Protocol):
    """Shows the people monitored. `update` never raises or waits for a person."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def update(self, sleepers: Sequence[SleeperState]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """A sleeper as they were when the clock stood at ``seen_s``; without a night, one has been
    waited for since ``waiting_s``."""

    state: SleeperState
    seen_s: float
    waiting_s: float


def watch(
    sleepers: Sequence[SleeperState], before: Sequence[Watched], now_s: float
) -> tuple[Watched, ...]:
    """``sleepers`` as seen at ``now_s``; who has not changed stays as seen ``before``."""
    known = {watched.state.sleeper: watched for watched in before}
    return tuple(_watch(state, known.get(state.sleeper), now_s) for state in sleepers)


def _watch(state: SleeperState, before: Watched | None, now_s: float) -> Watched:
    if before is None:
        return Watched(state, now_s, now_s)
    if before.state == state:
        return before
    seen_s = before.seen_s if state.night is before.state.night else now_s
    waiting_s = before.waiting_s if before.state.night is None else now_s
    return Watched(state, seen_s, waiting_s)


@dataclass(frozen=True, slots=True)
class SleepersPage:
    """One sleeper's night in full, or what it waits for; of several sleepers an overview."""

    watched: tuple[Watched, ...]

    def tick(self, moment: Moment) -> datetime:
        return moment.utc.replace(microsecond=0)

    def draw(
        self, width: int, height: int, look: Look, moment: Moment, notice: str | None
    ) -> Canvas:
        now_s = moment.monotonic_s
        if len(self.watched) != 1:
            rows = [_row(watched, now_s) for watched in self.watched]
            return draw_overview(rows, width, height, look, moment.utc, notice)
        (one,) = self.watched
        if (night := one.state.night) is None:
            waited_s = now_s - one.waiting_s
            return draw_waiting(one.state, waited_s, width, height, look, moment.utc, notice)
        now = clock_of(night, now_s - one.seen_s)
        status = f"failed: {one.state.status}" if one.state.failed else one.state.status
        return render(night, width, height, look, now=now, notice=notice, status=status)


def _row(watched: Watched, now_s: float) -> Row:
    night = watched.state.night
    now = None if night is None else clock_of(night, now_s - watched.seen_s)
    return Row(watched.state, now, now_s - watched.waiting_s)


class SleepersDashboard(Screen[SleepersPage]):
    """The people monitored on the terminal's second screen; see `Screen`."""

    def __init__(self, console: Console, clock: Clock, *, timezone: tzinfo | None = None) -> None:
        super().__init__(console, clock, timezone, _SHARE_OF_CPU)
        self._plain = SleepersLog(console.file, clock, timezone=timezone)

    def update(self, sleepers: Sequence[SleeperState]) -> None:
        """Show ``sleepers`` from the next frame on."""
        before = self._page.watched if self._page is not None else ()
        if not self.show(SleepersPage(watch(sleepers, before, self._clock.monotonic_s()))):
            self._plain.update(sleepers)

    def skip(self, page: SleepersPage) -> None:
        self._plain.skip([watched.state for watched in page.watched])


def live_view(
    console: Console, clock: Clock, *, plain: bool = False, timezone: tzinfo | None = None
) -> LiveView:
    """A `SleepersDashboard` where ``console`` is a terminal that can show one, a `SleepersLog`
    elsewhere. ``timezone`` None: local time."""
    if not shows_pictures(console, plain):
        return SleepersLog(console.file, clock, timezone=timezone)
    return SleepersDashboard(console, clock, timezone=timezone)
