"""The page on a free port, the requests of a browser, and a night that is published."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from models.contract import Stage
from monitor.clock import SystemClock
from monitor.config import WebAddress
from monitor.night import events
from monitor.night.state import SleeperState
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.marks import LeftMark, MarkAnswer, MarkReader
from monitor.sinks.publisher import Publisher
from monitor.sinks.sleepers_key import SleepersKey
from monitor.types import (
    ChannelState,
    Contact,
    Mark,
    Reason,
    SignalState,
    StagePrediction,
    Track,
)
from monitor.web.server import serve
from tests.sinks.peers import a_session, scored, unscored
from tests.sinks.waiting import until

TOKEN = "t" * 43


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Page:
    """The page as a browser on this machine reaches it."""

    port: int

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20.0)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            names = {key.lower(): value for key, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def mark(self, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
        """Leave a mark."""
        given = {"Content-Type": "application/json", **(headers or {})}
        return self.ask("/api/v1/marks", "POST", json.dumps(fields).encode(), given)

    def now(self) -> Any:
        return self.ask("/api/v1/now").json

    def send(self, data: bytes, wait_s: float = 5.0, half_close: bool = False) -> bytes:
        """Send bytes as they are; return the answer until the server closes the connection."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait_s) as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            try:
                while piece := connection.recv(65536):
                    answer += piece
            except (TimeoutError, ConnectionError):
                pass
        return answer

    def until(self, condition: Any, event: str) -> Any:
        """Wait until ``condition`` of `now` is true; return `now`."""
        until(lambda: condition(self.now()), event)
        return self.now()


@contextmanager
def served(
    redis_url: str, folder: Path, token: str | None = None, hosts: Sequence[str] = ()
) -> Iterator[Page]:
    """Serve the page on a free port, with the nights in ``folder``."""
    address = WebAddress("127.0.0.1", 0)
    with serve(
        address, redis_url, SystemClock(), token=token, hosts=hosts, nights=folder
    ) as served_at:
        page = Page(served_at.address.port)
        until(lambda: page.ask("/icon.svg").status == 200, "the page to be served")
        yield page


class PublishedNight:
    """A live night that began some minutes ago, published as a monitor publishes it."""

    def __init__(
        self,
        url: str,
        session_id: str = "night-1",
        sleeper: str = "",
        began_min: int = 60,
        mode: str | None = "live",
    ) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        self.session = replace(
            a_session(session_id, sleeper),
            start_utc=now - timedelta(minutes=began_min),
            channels=("TP9", "AF7", "AF8", "TP10"),
        )
        self.log = MemoryEventLog()
        self._publisher = Publisher(
            self.log, session_id, url, SystemClock(), heartbeat_s=0.3, heartbeat_ttl_s=1
        )
        self._n = 0
        started = events.session_started(self.session, 1)
        data = {**started.data, "mode": mode}
        if mode is None:  # as an earlier version stored it
            del data["mode"]
        self._add(replace(started, data=data))

    def __enter__(self) -> PublishedNight:
        self._publisher.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._publisher.drain(0.0)

    def stages(self, letters: str) -> None:
        """Add an epoch for each letter: W 1 2 3 R, or ? for one with an electrode off."""
        named = {"W": Stage.W, "1": Stage.N1, "2": Stage.N2, "3": Stage.N3, "R": Stage.R}
        for letter in letters:
            index, self._n = self._n, self._n + 1
            made: StagePrediction = (
                scored(index, named[letter]) if letter in named else unscored(index, Reason.FLAT)
            )
            self._add(events.stage_event(self.session, self._next(), made))

    def revise(self, index: int, stage: Stage) -> None:
        made = scored(index, stage, Track.REVISED)
        self._add(events.stage_event(self.session, self._next(), made))

    def signal(self, state: SignalState) -> None:
        now = self.session.epoch_start_utc(self._n)
        made = events.signal_event(self.session, self._next(), state, time=now, epoch_index=self._n)
        self._add(made)

    def mark(self, mark: Mark) -> None:
        number = self._next()
        made = events.mark_event(
            self.session, number, mark.kind, time=mark.time_utc, text=mark.text
        )
        self._add(made)

    def _next(self) -> int:
        return self.log.last_sequence() + 1

    def _add(self, event: Any) -> None:
        self.log.append(event)
        self._publisher.notify()


def contacts(**off: Contact) -> tuple[ChannelState, ...]:
    """Return the electrodes of a Muse; all are good but those that are named."""
    return tuple(
        ChannelState(name, off.get(name, Contact.GOOD), Reason.FLAT if name in off else None, 9.0)
        for name in ("TP9", "AF7", "AF8", "TP10")
    )


@contextmanager
def answering(url: str) -> Iterator[list[LeftMark]]:
    """Take marks as a monitor does, and answer that they are recorded; yield those that came."""
    taken: list[LeftMark] = []
    ends = threading.Event()
    since = datetime.now(UTC) - timedelta(days=1)
    with MarkReader(url, since_utc=since, clock=SystemClock()) as reader:

        def take() -> None:
            while not ends.wait(0.02):
                for left in reader.take():
                    taken.append(left)
                    reader.answer(MarkAnswer(left.entry, "night-1", left.sleeper, ""))

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield taken
        finally:
            ends.set()
            thread.join()


@contextmanager
def key_of(url: str, *states: SleeperState) -> Iterator[SleepersKey]:
    """Publish ``states`` as the sleepers of a running monitor."""
    with SleepersKey(url, SystemClock()) as key:
        key.update(states, {})
        yield key


@contextmanager
def stream_of(page: Page, path: str = "/api/v1/events", **headers: str) -> Iterator[EventReader]:
    """Follow the events of the page."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20.0)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        yield EventReader(connection.getresponse())
    finally:
        connection.close()


class EventReader:
    """Reads server-sent events, as a browser's EventSource does."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self._answer = answer

    def next(self) -> tuple[str, str, Any]:
        """Return the next entry: its id, its name ("" for an event), and its data."""
        fields: dict[str, str] = {}
        while line := self._answer.readline().decode().rstrip("\n"):
            key, _, value = line.partition(": ")
            fields[key] = value
        if "data" not in fields:  # the time to wait before a reconnection
            return self.next()
        return fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])

    def events(self, n: int) -> list[tuple[str, Any]]:
        """Return the next ``n`` events with their ids."""
        found: list[tuple[str, Any]] = []
        until_s = time.monotonic() + 20.0
        while len(found) < n:
            assert time.monotonic() < until_s, f"{len(found)} of {n} events came"
            place, name, data = self.next()
            if not name:
                found.append((place, data))
        return found
