"""Steps the rules through a recorded night, as they would have stepped through it live."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from monitor.night.decision import Decision
from monitor.night.events import decision_of
from monitor.rules.engine import ClockReading, RuleEngine
from monitor.types import Event

TICK = timedelta(seconds=1)
"""Interval at which rules look at the clock."""


def walk(
    engine: RuleEngine, events: Iterable[Event], start_utc: datetime, end_utc: datetime
) -> Iterator[Decision]:
    """Yield what the rules decide from ``start_utc`` to ``end_utc``, second by second.

    ``events`` are those of the night in their order. An event is seen at its time, or with the
    event before it if that is later: after an outage old epochs come late, and are history.
    Decisions among the events, of rules of that night, are passed over.
    """
    now = start_utc
    for event in events:
        if decision_of(event) is not None:
            continue
        while now + TICK <= min(event.time, end_utc):
            now += TICK
            yield from engine.tick(ClockReading.of(now))
        now = max(now, event.time)
        yield from engine.observe(event, ClockReading.of(now))
    while now + TICK <= end_utc:
        now += TICK
        yield from engine.tick(ClockReading.of(now))
