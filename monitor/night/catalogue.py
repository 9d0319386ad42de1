"""Finds a person's nights: by the names that people give them, and all of them in a list.

Neither reads the signals, which are nearly all of a night's file.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any

from models.contract import EPOCH_S
from monitor.config import REPLAYS
from monitor.errors import InputError, MonitorError, one_line
from monitor.night.checksums import checksum
from monitor.night.events import EventType
from monitor.night.file_watch import store_files
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
from monitor.night.store import is_being_written
from monitor.night.stored import TEST_MAX
from monitor.night.trouble import damaged, translated
from monitor.text import clean
from monitor.types import Event, SampleLedger, Session, StagePrediction, Track

LAST = "last"
"""Name of the newest night."""

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
        """Return the day of the evening of this night, see `NOON`; None if it is unknown.

        ``timezone`` None: local time. A replay has the recording's clock, which is UTC here.
        """
        return (
            None if self.start_utc is None else (self.local(self.start_utc, timezone) - NOON).date()
        )

    def morning(self, timezone: tzinfo | None = None) -> date | None:
        """Return the day on which the night ended; None if it is unknown."""
        return None if self.end_utc is None else self.local(self.end_utc, timezone).date()

    def local(self, when: datetime, timezone: tzinfo | None = None) -> datetime:
        """Return ``when`` on the clock of `evening`."""
        return when.astimezone(timezone if self.is_live else UTC)


def listed_nights(folder: Path) -> list[ListedNight]:
    """Return every night in ``folder`` and in its folder of replays, the newest last."""
    return sorted((_listed(path) for path in _files(folder)), key=_order)


def named_night(name: str, folder: Path, timezone: tzinfo | None = None) -> Path:
    """Return the file of the night that a person calls ``name``.

    - ``last``: the newest live night; if there is none, the newest replay.
    - A date, ``2026-11-26``: the night that began between noon of that day and noon of the next.
      If there is none, the night that ended on that day. Live nights come before replays, and
      tests of a few minutes count only if nothing else does.
    - The name of a sleeper: the newest night of this person.
    - A file's path, or the name of a file in ``folder`` or in its folder of replays.

    ``timezone`` None: local time. Raises `InputError` if no night or several nights have this name.
    The file of a path need not be a night: `read_night` says what it is.
    """
    if (file := _named_file(name, folder)) is not None:
        return file
    nights = sorted((glance(path) for path in _files(folder)), key=_order)
    nights = [night for night in nights if night.start_utc is not None]
    if not nights:
        raise InputError(f"there is no night '{clean(name)}': no night is stored in {folder}")
    if name == LAST:
        found = _of_the_same_time(_preferred(nights))
    elif (day := _day(name)) is not None:
        found = _preferred([night for night in nights if night.evening(timezone) == day])
        found = found or _preferred([night for night in nights if night.morning(timezone) == day])
    else:
        who = name.casefold()
        found = [each for each in nights if each.sleeper and each.sleeper.casefold() == who][-1:]
    if not found:
        raise InputError(
            f"there is no night '{clean(name)}': name {LAST}, a date such as "
            f"{nights[-1].evening(timezone)}, a sleeper or a file. sleep-monitor nights lists them"
        )
    if len(found) > 1:
        files = ", ".join(_choice(night, timezone) for night in found)
        one = "a sleeper, or the file of one" if name == LAST else "the file of one"
        raise InputError(f"'{clean(name)}' is {len(found)} nights: name {one}: {files}")
    return found[0].path


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of nights in ``folder``, each once if links lead to it."""
    found = [path for each in (folder, folder / REPLAYS) for path in sorted(each.glob("*.sqlite"))]
    found.sort(key=Path.is_symlink)
    yield from {path.resolve(): path for path in reversed(found)}.values()


def _order(night: ListedNight) -> tuple[datetime, Path]:
    return night.start_utc or datetime.min.replace(tzinfo=UTC), night.path


def _named_file(name: str, folder: Path) -> Path | None:
    if name == LAST or not name:
        return None
    given = Path(name).expanduser()
    if given.name != name:  # it has a folder: a path, whether it exists or not
        return given
    stored = (each / f for each in (folder, folder / REPLAYS) for f in (name, f"{name}.sqlite"))
    places = [given, *stored]
    return next((each for each in places if each.is_file()), None) or (
        given if given.suffix == ".sqlite" else None
    )


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def _preferred(nights: Sequence[ListedNight]) -> list[ListedNight]:
    """Return the live nights without the tests; if there are none, the tests; else the replays."""
    live = [night for night in nights if night.is_live]
    whole = [night for night in live if not night.was_a_test]
    return whole or live or list(nights)


def _of_the_same_time(nights: Sequence[ListedNight]) -> list[ListedNight]:
    """Return the newest night, with the last ones of other sleepers that slept meanwhile."""
    newest = nights[-1]
    start = newest.start_utc
    others = {
        night.sleeper: night
        for night in nights
        if night.sleeper != newest.sleeper and night.end_utc and start and night.end_utc > start
    }
    return [*others.values(), newest]


def _choice(night: ListedNight, timezone: tzinfo | None) -> str:
    assert night.start_utc is not None  # a night without a time has no name but its file's
    start = night.local(night.start_utc, timezone)
    who = f", {night.sleeper}" if night.sleeper else ""
    hours = night.n_epochs * EPOCH_S / 3600
    return f"{night.path} ({start:%H:%M}, {hours:.1f} h{who})"


# --- reading


def glance(path: Path) -> ListedNight:
    """Return the night in ``path`` without its statistics. It reads one row of the file."""
    start = _time_in_name(path)
    night = ListedNight(path, Condition.UNREADABLE, start, start, size_bytes=_size_bytes(path))
    try:
        with opened(path) as (file, version), translated(path):
            if version != SCHEMA_VERSION:
                return replace(night, why=str(other_format(path, version)))
            sessions = [session_from_row(row) for row in _rows(file, path, "session")]
            is_live = bool(_rows(file, path, "live"))
            (n_epochs,) = file.execute(N_EPOCHS).fetchone()
    except (MonitorError, OSError, ValueError) as exc:
        return replace(night, is_night=not isinstance(exc, InputError), why=one_line(exc))
    if not sessions:
        return replace(night, why=f"{path} is damaged: its session is missing")
    (stored,) = sessions
    if is_being_written(path):
        condition = Condition.GOES_ON
    else:
        condition = Condition.BROKE_OFF if stored.ended_utc is None else Condition.ENDED
    return replace(
        night,
        condition=condition,
        start_utc=stored.session.start_utc,
        end_utc=stored.session.epoch_start_utc(n_epochs),
        is_live=is_live,
        session=stored.session,
        n_epochs=n_epochs,
    )


def _listed(path: Path) -> ListedNight:
    """Return a night with its statistics. A damaged file is read whole for what is left of it."""
    night = glance(path)
    if night.session is None:
        return _what_is_left(night)
    try:
        with opened(path) as (file, _), translated(path):
            file.execute("BEGIN")  # one moment of a night that goes on
            # The event of the end has the night in numbers. To compute them takes 20 times longer.
            ends = _rows(file, path, "event", _END, EventType.SESSION_ENDED)
            if ends and night.condition is Condition.ENDED:
                return _with_end(night, event_from_row(ends[0]))
            marks = [mark_from_row(row) for row in _rows(file, path, "mark")]
            stages = [prediction_from_row(row) for row in _rows(file, path, "prediction")]
    except (MonitorError, OSError, ValueError):
        return _what_is_left(night)
    live = [each for each in stages if each.track is Track.LIVE]
    live.sort(key=lambda each: each.epoch_index)
    # A night that goes on may have more epochs by now.
    whole = [each.epoch_index for each in live] == list(range(len(live)))
    if not whole or len(live) < night.n_epochs:
        return _what_is_left(night)
    revised = [each for each in stages if each.track is Track.REVISED]
    revised.sort(key=lambda each: each.revision)
    numbers = Night.of(night.session, marks, SampleLedger(), (*live, *revised), ())
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
    except (MonitorError, OSError, ValueError) as exc:
        return replace(night, condition=Condition.UNREADABLE, why=one_line(exc))
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
