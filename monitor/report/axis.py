"""The time axis that all pictures of a night share: epochs to places, and the wall clock's hours.

Places follow the elapsed time, labels the wall clock. So a night with a change of the clocks has 23
or 25 hours, an hour is missing or comes twice, and nothing is stretched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.contract import EPOCH_S

LocalClock = Callable[[datetime], datetime]
"""Returns a time on the reader's clock."""

_STEPS_MIN = (1, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440, 2880)
_LABEL_WIDTH = 46.0
"""Least distance of two labels such as 02:00, in user units."""

_LOOK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment that is named on the axis. ``day`` is set at the start and at each midnight."""

    x: float
    label: str
    day: datetime | None = None


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Maps the times from ``start_utc`` on to places from ``left`` to ``left + width``."""

    start_utc: datetime
    n_epochs: int
    left: float
    width: float
    clock: LocalClock

    @property
    def right(self) -> float:
        """The place of the end."""
        return self.left + self.width

    @property
    def end_utc(self) -> datetime:
        """The end of the last epoch."""
        return self.start_utc + timedelta(seconds=EPOCH_S * self.n_epochs)

    def of_epoch(self, index: float) -> float:
        """Return the place at which epoch ``index`` starts."""
        return self.left + self.width * index / max(1, self.n_epochs)

    def of_time(self, when: datetime) -> float:
        """Return the place of ``when``; a time outside of the axis is at its nearer end."""
        place = self.of_epoch((when - self.start_utc).total_seconds() / EPOCH_S)
        return min(max(place, self.left), self.right)

    def ticks(self) -> list[Tick]:
        """Return full hours, or a round part or multiple of them, as the wall clock shows them."""
        hour = self.width / max(1, self.n_epochs) * 3600.0 / EPOCH_S
        step = next((s for s in _STEPS_MIN if hour * s / 60 >= _LABEL_WIDTH), _STEPS_MIN[-1])
        ticks = []
        last = -_LABEL_WIDTH
        for when, local in self._minutes():
            if (local.hour * 60 + local.minute) % step or local.second:
                continue
            x = self.of_time(when)
            label = f"{local:%H:%M}" if x - last >= 0.8 * _LABEL_WIDTH else ""
            last = x if label else last
            ticks.append(Tick(x, label))
        return ticks

    def days(self) -> list[Tick]:
        """Return the start of the night, and each midnight in it, with the day that begins."""
        first = self.clock(self.start_utc)
        days = [Tick(self.left, "", first)]
        for when, local in self._minutes():
            if local.date() != first.date():
                first = local
                days.append(Tick(self.of_time(when), "", local))
        return days

    def clock_changes(self) -> list[tuple[datetime, timedelta]]:
        """Return when the wall clock is put forward (a positive change) or back, and by how much.

        The change is named by the first minute of the new time.
        """
        changes = []
        before = self.clock(self.start_utc).utcoffset()
        for when, local in self._minutes():
            now = local.utcoffset()
            if now != before and now is not None and before is not None:
                changes.append((when, now - before))
            before = now
        return changes

    def spans(self, minutes: int) -> list[tuple[datetime, int, int]]:
        """Return the stretches between round times of the wall clock, for a table.

        Each has its start on the clock, its first epoch and the one after its last.
        """
        starts = [
            when
            for when, local in self._minutes()
            if not (local.hour * 60 + local.minute) % minutes
        ]
        bounds = [self.start_utc, *(each for each in starts if each > self.start_utc)]
        epochs = [round((each - self.start_utc).total_seconds() / EPOCH_S) for each in bounds]
        ends = [*epochs[1:], self.n_epochs]
        return [
            (self.clock(when), first, stop)
            for when, first, stop in zip(bounds, epochs, ends, strict=True)
            if first < stop
        ]

    def _minutes(self) -> Iterator[tuple[datetime, datetime]]:
        """Yield each full minute of the night, in UTC and on the wall clock."""
        when = self.start_utc.replace(second=0, microsecond=0)
        if when < self.start_utc:
            when += _LOOK
        while when <= self.end_utc:
            yield when, self.clock(when)
            when += _LOOK
