"""Read the start of a recording from the header of an EDF or BDF file.

Recorders write other separators, one digit, blanks, impossible seconds or nothing at all. All that
can be read counts, and a note names the rest.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time

from monitor.sources.recording import Start, StartDate
from monitor.types import UNDATED

YEARS = range(1800, 2400)
"""Years that count. BIDS shifts dates of anonymised recordings to years before 1925; a year beyond
this range is a default of some program, and the end of its calendar would break arithmetic."""

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_PLUS = re.compile(r"Startdate (\d\d?)[-./ ]([A-Z]{3,9}|\d\d?)[-./ ](\d{4})(?: |$)", re.IGNORECASE)
_PLAIN = re.compile(r"(\d{1,4})[ .:,;/_-]+(\d\d?)[ .:,;/_-]+(\d{1,4})|(\d\d)(\d\d)(\d\d)")
_TIME = re.compile(
    r"(\d\d?)[ .:,;/_h-]+(\d\d?)(?:[ .:,;/_m-]+(\d\d?)?s?)?|(\d\d)(\d\d)(\d\d)", re.IGNORECASE
)


def read_start(recording: str, date_text: str, time_text: str) -> tuple[Start, list[str]]:
    """Return the start that a header states, and the notes for the user about it.

    ``recording`` is the field in which EDF+ repeats the date with four digits of the year
    ('Startdate 24-APR-1989 ...'); this date comes first. A date is read as a whole or not at all;
    of a time, the hour counts even if the minute is impossible.
    """
    plus, plain = _plus_date(recording), _plain_date(date_text)
    day = plus or plain
    clock, time_known = _time_of_day(time_text)
    notes = [] if time_known else [_clock_note(time_text, clock)]
    if day is None:
        kind = StartDate.UNKNOWN
        # A header that was never filled in holds zeros in both fields.
        time_known = time_known and clock != time()
    else:
        kind = StartDate.DUMMY if day == UNDATED else StartDate.REAL
    utc = datetime.combine(day or UNDATED, clock, UTC)
    if plus and plain and plain != UNDATED and f"{plus:%d%m%y}" != f"{plain:%d%m%y}":
        notes.append(
            f"The header states two start dates, {plus:%d %B %Y} and '{date_text}': "
            "the first one counts."
        )
    if kind is not StartDate.REAL:
        notes.append(_date_note(date_text, utc, kind))
    return Start(utc, kind, time_known), notes


def _plus_date(recording: str) -> date | None:
    found = _PLUS.match(recording)
    if found is None:
        return None
    month = found[2].upper()[:3]
    number = int(month) if month.isdigit() else _MONTHS.index(month) + 1 if month in _MONTHS else 0
    return _date(int(found[3]), number, int(found[1]))


def _plain_date(text: str) -> date | None:
    found = _PLAIN.fullmatch(text)
    if found is None:
        return None
    first, month, last = (group for group in found.groups() if group is not None)
    if len(first) == 4:
        return _date(int(first), int(month), int(last))
    year = int(last)
    if len(last) <= 2:
        # Two-digit years run from 1985 to 2084 (EDF+ section 2.1.3.2).
        year += 1900 if year >= 85 else 2000
    return _date(year, int(month), int(first))


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day) if year in YEARS else None
    except ValueError:  # there is no such day
        return None


def _time_of_day(text: str) -> tuple[time, bool]:
    """Return the time of day as far as it is possible, and True if that is the whole of it."""
    found = _TIME.fullmatch(text)
    parts = [int(group) for group in found.groups() if group is not None] if found else []
    possible: list[int] = []
    for part, limit in zip(parts, (24, 60, 60), strict=False):
        if part >= limit:
            break
        possible.append(part)
    hour, minute, second = [*possible, 0, 0, 0][:3]
    return time(hour, minute, second), len(possible) == 3


def _clock_note(text: str, clock: time) -> str:
    if not text:
        return f"The recording carries no start time: it counts as beginning at {clock}."
    return (
        f"The header's start time, '{text}', is no time of day: the recording counts as "
        f"beginning at {clock}."
    )


def _date_note(text: str, utc: datetime, kind: StartDate) -> str:
    # An anonymised field holds the dummy date, zeros, letters or nothing.
    none = kind is StartDate.DUMMY or not re.search("[1-9]", text)
    problem = (
        "The recording carries no start date"
        if none
        else f"The header's start date, '{text}', is no date"
    )
    return f"{problem}: its clock times count from {utc:%d %B %Y, %H:%M}."
