"""The thread that carries a night: its place survives, it holds nothing up, it ends in time."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from monitor.clock import ManualClock, SystemClock
from monitor.config import HttpConfig, MqttConfig
from monitor.night.events import session_started, stage_event
from monitor.night.store import NightStore
from monitor.sinks.ways import Carrier
from monitor.sinks.ways.mqtt_way import MqttWay
from monitor.sinks.ways.way import Way
from monitor.sinks.ways.webhook import WebhookWay
from tests.sinks.peers import a_session, scored
from tests.sinks.waiting import until
from tests.sinks.ways.carrying import NightLog, carrying, night, until_sent
from tests.sinks.ways.receiver import Receiver


@contextmanager
def a_store(path: Path) -> Iterator[NightStore]:
    with closing(NightStore.open(path)) as store:
        yield store


def begin(store: NightStore) -> None:
    session = a_session()
    store.begin(session, session.start_utc, session_started(session, 1))
    add(store, 0, 3)


def add(store: NightStore, first: int, last: int) -> None:
    session, sequence = a_session(), store.last_sequence()
    events = [
        stage_event(session, sequence + 1 + index - first, scored(index))
        for index in range(first, last + 1)
    ]
    store.write(events)


def test_the_place_is_kept_in_the_nights_file(tmp_path: Path) -> None:
    path = tmp_path / "night.sqlite"
    with a_store(path) as store:
        begin(store)
        assert store.sent_to("http") == 0
        store.mark_sent("http", 3)
        store.mark_sent("mqtt", 5)
        store.mark_sent("http", 4)
    with a_store(path) as store:
        assert (store.sent_to("http"), store.sent_to("mqtt"), store.sent_to("osc")) == (4, 5, 0)


def test_a_place_counts_only_while_the_file_holds_its_event(tmp_path: Path) -> None:
    """A power cut may take the end of a file, and other events get the same numbers."""
    with a_store(tmp_path / "night.sqlite") as store:
        begin(store)
        store.mark_sent("http", 4)
        store._connection.execute("UPDATE position SET event_id = 'stage/7/live/0'")
        assert store.sent_to("http") == 0
        store.mark_sent("http", 99)  # an event that is not there changes nothing
        assert store.sent_to("http") == 0


def test_a_file_that_is_lost_takes_the_place_with_it_to_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "night.sqlite"
    with a_store(path) as store:
        begin(store)
        store.mark_sent("http", 4)
        path.unlink()
        add(store, 4, 4)
        assert store.path != path and store.sent_to("http") == 4


def test_a_night_goes_on_where_it_stopped_in_the_nights_file(tmp_path: Path) -> None:
    path = tmp_path / "night.sqlite"
    with Receiver() as server:
        for first in (4, 8, 12):
            with a_store(path) as store:
                if first == 4:
                    begin(store)
                way = WebhookWay(HttpConfig(url=server.url), night(), ManualClock())
                with carrying(store, way) as c:
                    add(store, first, first + 3)
                    c.notify()
                    until_sent(c)
    assert server.sequences() == list(range(1, 18))


def test_a_new_address_gets_the_whole_night(tmp_path: Path) -> None:
    with a_store(tmp_path / "night.sqlite") as store:
        begin(store)
        for _ in range(2):
            with Receiver() as server:
                way = WebhookWay(HttpConfig(url=server.url), night(), ManualClock())
                with carrying(store, way) as c:
                    until_sent(c)
            assert server.sequences() == [1, 2, 3, 4, 5]


@contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield listener.getsockname()[1]


@pytest.mark.parametrize("kind", ["mqtt", "http"])
def test_a_peer_that_never_answers_holds_up_neither_the_night_nor_its_end(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = NightLog()
    with black_hole() as port:
        way: Way
        if kind == "mqtt":
            way = mqtt = MqttWay(MqttConfig(host="127.0.0.1", port=port), night(), log)
            mqtt._sender._limit_s = 0.4
        else:
            config = HttpConfig(url=f"http://127.0.0.1:{port}/")
            way = webhook = WebhookWay(config, night(), SystemClock())
            webhook._sender._limit_s = 0.4
        carrier = Carrier(log, way, SystemClock())
        before_s = time.monotonic()
        carrier.start()
        for index in range(100):
            log.add(scored(index))
            carrier.notify()
        assert time.monotonic() - before_s < 0.4
        until(lambda: "does not answer" in caplog.text, "the warning")
        carrier.end(0.5)
        assert carrier.finish() == 101
        assert time.monotonic() - before_s < 5.0


def test_the_log_says_once_that_a_peer_is_away_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    log = NightLog()
    with Receiver() as server:
        server.answers = [503, 503, 503]
        way = WebhookWay(HttpConfig(url=server.url), night(), ManualClock())
        way.longest_pause_s = 0.01
        with carrying(log, way) as c:
            until_sent(c)
            until(lambda: "is back" in caplog.text, "the good news")
    assert [record.getMessage() for record in caplog.records] == [
        "HTTP at 127.0.0.1 does not take the event: it answers 503; events wait in the night's "
        "file",
        "HTTP at 127.0.0.1 is back and has all events",
    ]


def test_a_failure_that_nobody_foresaw_ends_neither_the_thread_nor_the_night(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(WebhookWay):
        attempts = 0

        def settle(self) -> None:
            self.attempts += 1
            if self.attempts == 1:
                raise ZeroDivisionError("oh")

    log = NightLog()
    with Receiver() as server:
        way = Broken(HttpConfig(url=server.url), night(), ManualClock())
        with carrying(log, way) as c:
            until(lambda: way.attempts > 1, "another attempt")
            until_sent(c)
    assert "HTTP at 127.0.0.1 failed (ZeroDivisionError: oh); trying again" in caplog.text
