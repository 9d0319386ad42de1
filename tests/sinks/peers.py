"""Sessions, events and publishers for the tests with a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from models.contract import STAGES, Stage
from monitor.clock import ManualClock, Timeline
from monitor.night.events import stage_event
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.publisher import Publisher
from monitor.sinks.redis_client import Keys, connect
from monitor.types import Event, Reason, Session, StagePrediction, Track
from tests.sinks.waiting import until

KEYS = Keys()


def a_session(session_id: str = "night-1", sleeper: str = "") -> Session:
    return Session(
        id=session_id,
        source="replay night.edf",
        derivation="EEG Fpz-Cz",
        channels=("EEG Fpz-Cz",),
        start_s=0.0,
        start_utc=datetime(2026, 1, 1, 22, 0, tzinfo=UTC),
        sfreq_hz=100.0,
        gain="known",
        model="test 1.0",
        sleeper=sleeper,
    )


def scored(index: int, stage: Stage = Stage.N2, track: Track = Track.LIVE) -> StagePrediction:
    probabilities = tuple(0.8 if each is stage else 0.05 for each in STAGES)
    revision = 0 if track is Track.LIVE else 1
    return StagePrediction(
        index, track, revision, True, stage, None, probabilities, 0.8, "test 1.0", latency_s=0.01
    )


def unscored(index: int, reason: Reason = Reason.FLAT) -> StagePrediction:
    return StagePrediction(
        index, Track.LIVE, 0, True, None, reason, None, None, "test 1.0", latency_s=0.01
    )


def events(first: int, last: int, session_id: str = "night-1") -> list[Event]:
    """Return the events with sequence ``first`` to ``last``; each has its number as epoch."""
    session = a_session(session_id)
    return [stage_event(session, n, scored(n)) for n in range(first, last + 1)]


def append(log: MemoryEventLog, first: int, last: int, session_id: str = "night-1") -> None:
    for event in events(first, last, session_id):
        log.append(event)


def a_log(last: int) -> MemoryEventLog:
    log = MemoryEventLog()
    append(log, 1, last)
    return log


@contextmanager
def publishing(log: MemoryEventLog, url: str, **options: Any) -> Iterator[Publisher]:
    """Yield a running publisher of ``log`` with a short timeout and a clock that stands still.

    It publishes a live night; with ``timeline`` None, a replay.
    """
    clock = options.get("clock", ManualClock())
    defaults = {"socket_timeout_s": 0.3, "session_id": "night-1", "clock": clock}
    publisher = Publisher(log, url=url, **{**defaults, "timeline": Timeline(clock), **options})
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.drain(0.0)


def stream(url: str) -> list[dict[str, str]]:
    """Return every entry of the event stream."""
    client: Any = connect(url)
    try:
        return [fields for _, fields in client.xrange(KEYS.events)]
    finally:
        client.close()


def ids(url: str) -> list[str]:
    return [fields["id"] for fields in stream(url)]


def ids_of(first: int, last: int) -> list[str]:
    return [event.id for event in events(first, last)]


def until_sent(publisher: Publisher, last: int) -> None:
    until(
        lambda: publisher.delivery().published == last and publisher.delivery().connected,
        f"event {last} to be sent; at first {publisher.delivery()}",
    )
