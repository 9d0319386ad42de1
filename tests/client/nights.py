"""A live night as the monitor publishes it, one epoch at a time, on a manual clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from models.contract import EPOCH_S, STAGES, Stage
from monitor.clock import ManualClock
from monitor.night.envelope import Mode
from monitor.night.events import session_ended, session_started, stage_event
from monitor.night.statistics import sleep_statistics
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.publisher import Publisher
from monitor.sinks.redis_client import connect
from monitor.types import SampleLedger, StagePrediction, Track
from tests.sinks.peers import KEYS, a_session, publishing, scored, unscored, until_sent
from tests.sinks.waiting import until


class Night:
    """A session, its log and its publisher. Its clock reaches an epoch's end before its stage."""

    def __init__(
        self, name: str = "night-1", sleeper: str = "", clock: ManualClock | None = None
    ) -> None:
        self.session = a_session(name, sleeper)
        self.clock = clock or ManualClock(self.session.start_utc)
        self.log = MemoryEventLog()
        self.publisher: Publisher | None = None
        self.n_epochs = 0

    @contextmanager
    def on(self, url: str, mode: Mode = Mode.LIVE, **options: Any) -> Iterator[Night]:
        """Publish to ``url``, what the log holds first; yield once there is a heartbeat."""
        if mode is Mode.REPLAY:
            options["timeline"] = None
        if not self.log.last_sequence():
            self.log.append(session_started(self.session, 1, mode))
        with publishing(
            self.log, url, session_id=self.session.id, clock=self.clock, **options
        ) as self.publisher:
            client: Any = connect(url)
            key = KEYS.heartbeat(self.session.id)
            until(lambda: client.exists(key) == 1, "the heartbeat")
            client.close()
            try:
                yield self
            finally:
                self.publisher = None

    def stage(self, *stages: Stage | None, confidence: float = 0.8) -> None:
        """Stage the next epochs; None: unscored. Each comes at its end, with a revised one."""
        for stage in stages or (Stage.N2,):
            n, self.n_epochs = self.n_epochs, self.n_epochs + 1
            end_utc = self.session.epoch_start_utc(self.n_epochs)
            self.clock.advance((end_utc - self.clock.utc()).total_seconds())
            if stage is None:
                self._append(unscored(n))
                continue
            shares = tuple(confidence if s is stage else (1 - confidence) / 4 for s in STAGES)
            live = replace(scored(n, stage), probabilities=shares, confidence=confidence)
            self._append(live)
            self._append(replace(live, track=Track.REVISED, revision=1))

    def end(self) -> None:
        """End the night."""
        self.log.append(
            session_ended(
                self.session,
                self.log.last_sequence() + 1,
                time=self.session.start_utc + timedelta(seconds=EPOCH_S * self.n_epochs),
                statistics=sleep_statistics([]),
                revised=[],
                ledger=SampleLedger(),
            )
        )
        self._send()

    def wait(self) -> None:
        """Wait until the server has all events."""
        assert self.publisher is not None
        self._send()  # a server that came back empty is noticed now, not with the next heartbeat
        until_sent(self.publisher, self.log.last_sequence())

    def _append(self, prediction: StagePrediction) -> None:
        self.log.append(stage_event(self.session, self.log.last_sequence() + 1, prediction))
        self._send()

    def _send(self) -> None:
        if self.publisher is not None:
            self.publisher.notify()
