"""The app of the live benchmark: it receives events and records how late each live stage is."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from monitor.night.events import EventType, session_id_of
from monitor.sinks.follower import Follower
from monitor.types import Track

MEASURE, MEASURED, STOP = "measure", "measured", "stop"
"""The messages that the parent sends to `listen`, in this order."""


@dataclass(frozen=True, slots=True)
class StageArrival:
    """A live stage that arrived. ``delay_s`` counts from the epoch's end by its own timestamps."""

    session: str
    epoch_index: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class Received:
    """The live stages that arrived, and the lost samples of each session that ended."""

    stages: list[StageArrival]
    lost_by_session: dict[str, int]

    @property
    def missing(self) -> int:
        """Number of epochs that did not arrive although a later one of the session did."""
        indices: dict[str, set[int]] = {}
        for arrival in self.stages:
            indices.setdefault(arrival.session, set()).add(arrival.epoch_index)
        return sum(max(each) - min(each) + 1 - len(each) for each in indices.values())

    @property
    def lost(self) -> int:
        """Number of lost samples in all sessions."""
        return sum(self.lost_by_session.values())

    def delay_ms(self, percentile: float) -> float:
        """Return a percentile of the delays of all stages."""
        return float(np.percentile([1000.0 * each.delay_s for each in self.stages], percentile))


def listen(parent: Connection, url: str) -> None:
    """Receive the events of the server at ``url`` until `STOP`, then send a `Received`.

    It sends "ready", then the session id of each night that begins. Stages count between `MEASURE`
    and `MEASURED`.
    """
    stop, measuring = threading.Event(), threading.Event()

    def obey() -> None:
        for expected, act in ((MEASURE, measuring.set), (MEASURED, measuring.clear)):
            assert parent.recv() == expected
            act()
        assert parent.recv() == STOP
        stop.set()

    parent.send("ready")
    threading.Thread(target=obey, daemon=True).start()
    stages: list[StageArrival] = []
    lost: dict[str, int] = {}
    for event, _ in Follower(url, notice=lambda text: None, stop=stop):
        now_s, session = time.time(), session_id_of(event)
        if event.type == EventType.SESSION_STARTED:
            parent.send(session)
        elif event.type == EventType.SESSION_ENDED:
            lost[session] = event.data["samples"]["lost"]
        elif event.data.get("track") == Track.LIVE and measuring.is_set():
            delay_s = now_s - event.time.timestamp()
            stages.append(StageArrival(session, event.data["epoch_index"], delay_s))
    parent.send(Received(stages, lost))
