"""Reads the time of a mark that a person made a while ago: `parse_time`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from monitor.errors import InputError
from monitor.text import clean

_LOCAL = re.compile(r"(?:(\d{4}-\d\d-\d\d)[ T])?(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)
_WITH_ZONE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)", re.ASCII)


def parse_time(text: str, now_utc: datetime) -> datetime:
    """Return the moment that ``text`` names, in UTC.

    - ``23:10`` or ``23:10:30``: the last such time on this machine's clock;
    - ``2026-11-27 23:10``: that day, on this machine's clock;
    - ``2026-11-27T23:10:00Z`` or ``...+01:00``: with its zone.

    An hour that comes twice when summer time ends is the later one, if that is past. Raises
    `InputError` for any other text, for an hour that summer time leaves out, and for the future.
    """
    shown, text = clean(text, 40), text.strip()
    wrong = InputError(
        f"--at '{shown}' is no time: write 23:10, '2026-11-27 23:10' or 2026-11-27T23:10:00Z"
    )
    try:
        if _WITH_ZONE.fullmatch(text):
            found = [datetime.fromisoformat(text).astimezone(UTC)]
        elif parts := _LOCAL.fullmatch(text):
            day, hour, minute, second = parts.groups()
            clock_time = time(int(hour), int(minute), int(second or 0))
            today = now_utc.astimezone().date()
            days = [date.fromisoformat(day)] if day else [today, today - timedelta(days=1)]
            found = [moment for each in days for moment in _local(each, clock_time)]
        else:
            raise wrong
    except (ValueError, OverflowError, OSError):
        raise wrong from None
    if not found:
        raise InputError(f"--at '{shown}' does not exist: the clock was put forward over it")
    past = [moment for moment in found if moment <= now_utc]
    if not past:
        raise InputError(f"--at '{shown}' is in the future: it is {now_utc.astimezone():%H:%M} now")
    return max(past)


def _local(day: date, clock_time: time) -> list[datetime]:
    """Return the moments, in UTC, at which this machine's clock showed this time on ``day``."""
    shown = datetime.combine(day, clock_time)
    moments = [shown.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    return [each for each in moments if each.astimezone().replace(tzinfo=None) == shown]
