"""Times of day on a local clock, across midnight and in nights in which the clocks change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta

LocalClock = Callable[[datetime], datetime]
"""Returns a time on the clock of the bedroom."""

_MINUTE = timedelta(minutes=1)
_LONGEST_CHANGE = timedelta(hours=3)
"""No clock was ever put forward by more in a night."""


def is_between(local: datetime, start: time, end: time) -> bool:
    """Return True if ``local`` is from ``start`` to before ``end``, which may be after midnight."""
    now = local.time()
    return start <= now < end if start < end else now >= start or now < end


def next_time(after_utc: datetime, of_day: time, clock: LocalClock) -> datetime:
    """Return when the local clock next shows ``of_day`` or has passed it, later than ``after_utc``.

    If the clocks are put forward over it, this is the moment of the change; if it comes twice, the
    first time.
    """
    local = clock(after_utc)
    for days in range(3):
        day = local.date() + timedelta(days=days)
        found = _first_moment(datetime.combine(day, of_day), after_utc, clock)
        if found > after_utc:
            return found
    raise AssertionError("a time of day comes every day")


def _first_moment(naive: datetime, near_utc: datetime, clock: LocalClock) -> datetime:
    """Return the first moment at which the local clock shows ``naive`` or a later time."""
    offset = clock(near_utc).utcoffset()
    assert offset is not None
    # Right unless the clocks change between the two; then the answer is within some hours of it.
    guess = naive.replace(tzinfo=near_utc.tzinfo) - offset
    moment = guess - _LONGEST_CHANGE
    if _shown(moment, clock) >= naive:
        return moment
    for jump in (timedelta(minutes=30), _MINUTE):
        while _shown(moment + jump, clock) < naive:
            moment += jump
    return moment + _MINUTE


def _shown(moment: datetime, clock: LocalClock) -> datetime:
    return clock(moment).replace(tzinfo=None)
