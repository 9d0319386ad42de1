"""Nights and carriers for the tests of the ways out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from models.contract import Stage
from monitor.clock import Clock, ManualClock
from monitor.night.events import mark_event, session_ended, session_started, stage_event
from monitor.night.statistics import sleep_statistics
from monitor.sinks.event_log import EventLog, MemoryEventLog
from monitor.sinks.ways import CarriedNight, Carrier
from monitor.sinks.ways.way import Way
from monitor.types import Event, MarkKind, SampleLedger, Session, StagePrediction
from tests.sinks.peers import a_session, scored
from tests.sinks.waiting import until


def night(session: Session | None = None, age_s: float = 0.0) -> CarriedNight:
    """Return a live night whose clock is ``age_s`` after the end of its first epoch."""
    session = session or a_session()
    now_utc = session.epoch_start_utc(1) + timedelta(seconds=age_s)
    return CarriedNight(session, lambda: now_utc)


def replayed(session: Session | None = None) -> CarriedNight:
    return CarriedNight(session or a_session(), None)


class NightLog(MemoryEventLog):
    """The events of a night that begins; each method adds one."""

    def __init__(self, session: Session | None = None) -> None:
        super().__init__()
        self.session = session or a_session()
        self.append(session_started(self.session, 1))

    def add(self, prediction: StagePrediction) -> Event:
        event = stage_event(self.session, self.last_sequence() + 1, prediction)
        self.append(event)
        return event

    def stages(self, first: int, last: int, stage: Stage = Stage.N2) -> None:
        for index in range(first, last + 1):
            self.add(scored(index, stage))

    def mark(self, kind: MarkKind, time: datetime, text: str | None = None) -> None:
        self.append(mark_event(self.session, self.last_sequence() + 1, kind, time=time, text=text))

    def end(self, time: datetime) -> None:
        statistics = sleep_statistics([])
        sequence = self.last_sequence() + 1
        self.append(
            session_ended(
                self.session,
                sequence,
                time=time,
                statistics=statistics,
                revised=[],
                ledger=SampleLedger(),
            )
        )


@contextmanager
def carrying(log: EventLog, way: Way, clock: Clock | None = None) -> Iterator[Carrier]:
    """Yield a running carrier; at the end it stops at once."""
    carrier = Carrier(log, way, clock or ManualClock())
    carrier.start()
    try:
        yield carrier
    finally:
        carrier.end(0.0)
        carrier.close()


def until_sent(carrier: Carrier) -> None:
    until(lambda: carrier.waiting() == 0, f"all events to go out by {carrier.name}")
