"""A stored night in a list: read from its file without the signals, nearly all of the file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any

from models.contract import EPOCH_S
from monitor.errors import InputError, MonitorError, one_line
from monitor.night.checksums import checksum
from monitor.night.events import EventType
from monitor.night.file_watch import store_files
from monitor.night.journal import journal_damage
from monitor.night.lock import is_being_written
from monitor.night.night import Night
from monitor.night.reading import opened
from monitor.night.record import other_format, read_night
from monitor.night.rows import (
    event_from_row,
    mark_from_row,
    prediction_from_row,
    session_from_row,
)
from monitor.night.schema import N_EPOCHS, SCHEMA_VERSION, selection
from monitor.night.statistics import SleepStatistics
from monitor.night.stored import TEST_MAX
from monitor.night.trouble import damaged, translated
from monitor.types import Event, Mark, SampleLedger, Session, StagePrediction, Track

NOON = timedelta(hours=12)
"""A night belongs to the day whose noon came before it: one that began at 00:40 on the 27th is the
night of the 26th, as people call it and as actigraphy software counts."""

_NAMED_BY_TIME = re.compile(r"(\d{4}-\d\d-\d\d-\d{6})-")
_END = "WHERE type = ? ORDER BY sequence DESC LIMIT 1"


class Condition(StrEnum):
    """The condition of a night's file."""

    ENDED = "ended"
    GOES_ON = "goes on now"
    BROKE_OFF = "broke off"
    DAMAGED = "damaged"
    UNREADABLE = "cannot be read"


@dataclass(frozen=True, slots=True)
class ListedNight:
    """A night's file in a list.

    - ``start_utc``, ``end_utc``: of its epochs. Of a file that cannot be read, the time in its
      name; None if it has none.
    - ``is_live``: False for a replay.
    - ``is_night``: False if the file is not a night's, as far as can be read.
    - ``why``: what is damaged, or why the file cannot be read; "" if nothing is wrong.
    - ``statistics``, ``scored``: the night in numbers, and the share of its epochs that have a
      stage; None if they were not asked for, or there is no epoch.
    - ``size_bytes``: of the file and its journal.
    """

    path: Path
    condition: Condition
    start_utc: datetime | None
    end_utc: datetime | None
    is_live: bool = True
    is_night: bool = True
    session: Session | None = None
    n_epochs: int = 0
    statistics: SleepStatistics | None = None
    scored: float | None = None
    size_bytes: int = 0
    why: str = ""

    @property
    def sleeper(self) -> str:
        """Name of the sleeper; "" if there is none."""
        return "" if self.session is None else self.session.sleeper

    @property
    def was_a_test(self) -> bool:
        """True for a live night that was ended in order after a few minutes."""
        short = timedelta(seconds=EPOCH_S * self.n_epochs) < TEST_MAX
        return self.is_live and self.condition is Condition.ENDED and short

    def evening(self, timezone: tzinfo | None = None) -> date | None:
        """Return the day of the evening of this night, see `NOON`; None if no date is known.

        ``timezone`` None: local time. A replay has the recording's clock, which is UTC here.
        """
        if self.start_utc is None or not (self.session is None or self.session.has_date):
            return None
        return (self.local(self.start_utc, timezone) - NOON).date()

    def morning(self, timezone: tzinfo | None = None) -> date | None:
        """Return the day on which the night ended; None if it is unknown."""
        return None if self.end_utc is None else self.local(self.end_utc, timezone).date()

    def local(self, when: datetime, timezone: tzinfo | None = None) -> datetime:
        """Return ``when`` on the clock of `evening`."""
        return when.astimezone(timezone if self.is_live else UTC)


def glance(path: Path) -> ListedNight:
    """Return the night in ``path`` without its statistics. It reads one row of the file."""
    start = _time_in_name(path)
    night = ListedNight(path, Condition.UNREADABLE, start, start, size_bytes=_size_bytes(path))
    try:
        with opened(path) as (file, version), translated(path):
            if version != SCHEMA_VERSION:
                return replace(night, why=str(other_format(path, version)))
            (row,) = _rows(file, path, "session")
            is_live = bool(_rows(file, path, "live"))
            (n_epochs,) = file.execute(N_EPOCHS).fetchone()
        stored = session_from_row(row)
        end_utc = stored.session.epoch_start_utc(n_epochs)
    except Exception as exc:  # a file may hold anything
        return replace(night, is_night=not isinstance(exc, InputError), why=_why(path, exc))
    if is_being_written(path):
        condition = Condition.GOES_ON
    else:
        condition = Condition.BROKE_OFF if stored.ended_utc is None else Condition.ENDED
    return replace(
        night,
        condition=condition,
        start_utc=stored.session.start_utc,
        end_utc=end_utc,
        is_live=is_live,
        session=stored.session,
        n_epochs=n_epochs,
    )


def listed(path: Path) -> ListedNight:
    """Return a night with its statistics. A damaged file is read whole for what is left of it."""
    night = glance(path)
    if night.session is None:
        return _what_is_left(night)
    try:
        if night.condition is Condition.BROKE_OFF and journal_damage(path):
            return _what_is_left(night)
        with opened(path) as (file, _), translated(path):
            file.execute("BEGIN")  # one moment of a night that goes on
            # The event of the end has the night in numbers. To compute them takes 20 times longer.
            ends = _rows(file, path, "event", _END, EventType.SESSION_ENDED)
            if ends and night.condition is Condition.ENDED:
                return _with_end(night, event_from_row(ends[0]))
            marks = [mark_from_row(row) for row in _rows(file, path, "mark")]
            stages = [prediction_from_row(row) for row in _rows(file, path, "prediction")]
        return _with_stages(night, night.session, marks, stages)
    except Exception:
        return _what_is_left(night)


def _with_stages(
    night: ListedNight, session: Session, marks: list[Mark], stages: list[StagePrediction]
) -> ListedNight:
    """Return ``night`` with its statistics. Raises `StoreError` if a prediction is missing."""
    live = [each for each in stages if each.track is Track.LIVE]
    live.sort(key=lambda each: each.epoch_index)
    # A night that goes on may have more epochs by now.
    whole = [each.epoch_index for each in live] == list(range(len(live)))
    if not whole or len(live) < night.n_epochs:
        raise damaged(night.path, "a prediction is missing")
    revised = [each for each in stages if each.track is Track.REVISED]
    revised.sort(key=lambda each: each.revision)
    numbers = Night.of(session, marks, SampleLedger(), (*live, *revised), ())
    return _with_numbers(night, numbers.statistics, numbers.revised)


def _with_end(night: ListedNight, end: Event) -> ListedNight:
    epochs, statistics = end.data["epochs"], SleepStatistics(**end.data["statistics"])
    scored = epochs["scored"] / epochs["total"] if epochs["total"] else None
    return replace(night, n_epochs=epochs["total"], statistics=statistics, scored=scored)


def _what_is_left(night: ListedNight) -> ListedNight:
    if not night.is_night:
        return night
    try:
        record = read_night(night.path)
        lost = f"{len(record.damaged)} of its {record.n_epochs} epochs"
        left = replace(
            night,
            condition=Condition.DAMAGED,
            start_utc=record.session.start_utc,
            end_utc=record.end_utc,
            is_live=record.is_live,
            session=record.session,
            why=f"{night.path} is damaged: {record.wrong or lost}",
        )
        return _with_numbers(left, record.state.statistics, record.revised)
    except Exception as exc:
        return replace(night, condition=Condition.UNREADABLE, why=_why(night.path, exc))


def _why(path: Path, exc: Exception) -> str:
    """Return why ``path`` cannot be read, in a line that names it."""
    return one_line(exc) if isinstance(exc, MonitorError) else f"{path} is damaged: {one_line(exc)}"


def _with_numbers(
    night: ListedNight, statistics: SleepStatistics, revised: Sequence[StagePrediction]
) -> ListedNight:
    scored = sum(each.stage is not None for each in revised)
    share = scored / len(revised) if revised else None
    return replace(night, n_epochs=len(revised), statistics=statistics, scored=share)


def _rows(
    file: sqlite3.Connection, path: Path, table: str, which: str = "", *values: str
) -> list[tuple[Any, ...]]:
    rows = file.execute(f"{selection(table)} {which}", values).fetchall()
    if any(checksum(row[:-1]) != row[-1] for row in rows):
        raise damaged(path, f"a row of its table '{table}' was changed")
    return [row[:-1] for row in rows]


def _size_bytes(path: Path) -> int:
    size = 0
    for each in store_files(path):
        with suppress(OSError):  # not there, or no longer
            size += each.stat().st_size
    return size


def _time_in_name(path: Path) -> datetime | None:
    """Return the local time in the name that the monitor gives to a file; None if it has none."""
    if (found := _NAMED_BY_TIME.match(path.name)) is None:
        return None
    try:
        return datetime.strptime(found[1], "%Y-%m-%d-%H%M%S").astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
