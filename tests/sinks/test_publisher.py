"""The publisher with a real server: no event is lost or doubled, and the night never waits."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.clock import ManualClock
from monitor.errors import InputError
from monitor.night.events import (
    channels_event,
    derivation_event,
    from_json,
    mark_event,
    session_ended,
    session_resumed,
    session_started,
    stage_event,
)
from monitor.night.statistics import sleep_statistics
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import RedisServer
from monitor.types import ChannelState, Contact, MarkKind, Reason, SampleLedger
from tests.sinks.peers import (
    KEYS,
    a_log,
    a_session,
    append,
    events,
    ids,
    ids_of,
    publishing,
    stream,
    unscored,
    until_sent,
)
from tests.sinks.proxy import Proxy, ProxyFault
from tests.sinks.waiting import until


def test_sends_the_backlog_then_new_events_in_order(server: RedisServer) -> None:
    log = a_log(1000)
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 1000)
        for n in range(1001, 1101):
            append(log, n, n)
            publisher.notify()
        until_sent(publisher, 1100)
        assert publisher.delivery().waiting == 0
    entries = stream(server.url)
    assert [from_json(fields["event"]) for fields in entries] == events(1, 1100)
    assert entries[0].keys() == {"id", "type", "session", "event"}
    assert entries[0]["session"] == "night-1"
    assert log.published == sorted(log.published)
    assert log.published[-1] == 1100


def test_an_event_is_sent_when_notified_and_waits_for_no_heartbeat(server: RedisServer) -> None:
    client: Any = connect(server.url)
    log = a_log(1)
    # Without `notify` the thread would sleep for an hour.
    with publishing(log, server.url, heartbeat_s=3600.0) as publisher:
        until_sent(publisher, 1)
        for n in range(2, 22):
            append(log, n, n)
            publisher.notify()
            until(lambda n=n: client.xlen(KEYS.events) == n, f"event {n}")
    client.close()


def test_a_server_that_lost_its_data_gets_all_events_again(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log = a_log(40)
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 40)
        server.stop()
        append(log, 41, 50)
        publisher.notify()
        until(lambda: not publisher.delivery().connected, "the publisher to miss the server")
        server.start()
        until_sent(publisher, 50)
    assert ids(server.url) == ids_of(1, 50)
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        f"events go to Redis at {server.url}",
        f"Redis at {server.url} does not take events",
        f"Redis at {server.url} is back and has all 50 events",
    ]
    assert not any(record.exc_info for record in caplog.records)


def test_lost_data_are_noticed_without_a_new_event(server: RedisServer) -> None:
    log = a_log(10)
    client: Any = connect(server.url)
    with publishing(log, server.url, heartbeat_s=0.05) as publisher:
        until_sent(publisher, 10)
        client.flushall()
        until(lambda: client.xlen(KEYS.events) == 10, "all events again")
        until_sent(publisher, 10)
    client.close()
    assert ids(server.url) == ids_of(1, 10)


def test_a_server_that_kept_its_data_gets_the_rest(tmp_path: Path) -> None:
    options = ["--dir", str(tmp_path), "--appendonly", "yes", "--appendfsync", "always"]
    log = a_log(20)
    with RedisServer(0, options) as first, publishing(log, first.url) as publisher:
        until_sent(publisher, 20)
        first.stop()
        append(log, 21, 30)
        with RedisServer(first.port, options) as second:
            assert second.port == first.port
            publisher.notify()
            until_sent(publisher, 30)
            assert ids(second.url) == ids_of(1, 30)
            last: Any = connect(second.url)
            assert last.hget(KEYS.last(), "live_epoch_index") == "30"
            last.close()


def test_events_wait_while_there_is_no_server(server: RedisServer) -> None:
    server.stop()
    log = a_log(5)
    with publishing(log, server.url) as publisher:
        append(log, 6, 600)
        publisher.notify()
        assert publisher.delivery().waiting == 600
        assert not publisher.delivery().connected
        server.start()
        until_sent(publisher, 600)
    assert ids(server.url) == ids_of(1, 600)


def test_a_suspended_server_does_not_block_the_night(server: RedisServer) -> None:
    log = a_log(1)
    assert server.pid is not None
    # A call that waited for the server would wait for an hour: the test would time out.
    with publishing(log, server.url, socket_timeout_s=3600.0) as publisher:
        until_sent(publisher, 1)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for n in range(2, 302):
                append(log, n, n)
                publisher.notify()
                assert publisher.delivery().waiting == n - 1
            assert publisher.delivery().connected  # its thread still waits for the answer
        finally:
            os.kill(server.pid, signal.SIGCONT)
        until_sent(publisher, 301)
    assert ids(server.url) == ids_of(1, 301)


def test_a_transaction_that_timed_out_and_runs_later_counts_once(server: RedisServer) -> None:
    log = a_log(1)
    assert server.pid is not None
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 1)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            append(log, 2, 301)
            publisher.notify()
            until(lambda: not publisher.delivery().connected, "the time-out")
            assert publisher.delivery().waiting == 300
        finally:
            os.kill(server.pid, signal.SIGCONT)
        until_sent(publisher, 301)
    assert ids(server.url) == ids_of(1, 301)


def test_broken_connections_neither_lose_nor_double_an_event(server: RedisServer) -> None:
    log = MemoryEventLog()
    done = threading.Event()

    def break_connections() -> None:
        client: Any = connect(server.url)
        while not done.wait(0.004):
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.close()

    breaker = threading.Thread(target=break_connections)
    breaker.start()
    try:
        with publishing(log, server.url) as publisher:
            publisher._backoff._longest_s = 0.01  # so that many breaks fit in a short time
            for n in range(1, 1001):
                append(log, n, n)
                publisher.notify()
                time.sleep(0.0005)
            done.set()
            until_sent(publisher, 1000)
    finally:
        done.set()
        breaker.join()
    assert ids(server.url) == ids_of(1, 1000)


@pytest.mark.parametrize("fault", [ProxyFault.REPLY_LOST, ProxyFault.LATE])
def test_a_transaction_without_a_reply_counts_once(server: RedisServer, fault: ProxyFault) -> None:
    with Proxy(server.port, fault=fault) as proxy:
        log = a_log(5)
        with publishing(log, f"redis://127.0.0.1:{proxy.port}") as publisher:
            until_sent(publisher, 5)
            if fault is ProxyFault.LATE:
                until(lambda: proxy.late_runs == 1, "the late transaction to run")
            append(log, 6, 8)
            publisher.notify()
            until_sent(publisher, 8)
        assert proxy.faults_done == 1
    assert ids(server.url) == ids_of(1, 8)


CRASH = """
import os, signal, sys
from datetime import datetime
from monitor.clock import SystemClock
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.publisher import Publisher
from tests.sinks.peers import append

class CrashingLog(MemoryEventLog):
    def mark_published(self, sequence: int, utc: datetime) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

log = CrashingLog()
append(log, 1, 7)
Publisher(log, "night-1", sys.argv[1], SystemClock()).start()
"""


def test_a_crash_after_sending_and_before_marking_doubles_no_event(server: RedisServer) -> None:
    crashed = subprocess.run([sys.executable, "-c", CRASH, server.url], timeout=60)
    assert crashed.returncode == -signal.SIGKILL
    assert ids(server.url) == ids_of(1, 7)
    log = a_log(9)
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 9)
    assert ids(server.url) == ids_of(1, 9)
    assert log.published[-1] == 9


def test_two_publishers_of_one_session_do_not_double(server: RedisServer) -> None:
    # As if a process hangs and the user starts another one.
    log = MemoryEventLog()
    with publishing(log, server.url) as one, publishing(log, server.url) as two:
        for n in range(1, 201):
            append(log, n, n)
            one.notify()
            two.notify()
        until_sent(one, 200)
        until_sent(two, 200)
    assert ids(server.url) == ids_of(1, 200)


def test_a_recording_that_is_replayed_again_is_sent_again(server: RedisServer) -> None:
    for _ in range(2):
        log = a_log(3)
        with publishing(log, server.url) as publisher:
            until_sent(publisher, 3)
            append(log, 4, 10)
            publisher.notify()
            until_sent(publisher, 10)
    # The second run first finds a progress on the server that its log has not reached yet.
    assert ids(server.url) == ids_of(1, 10) * 2


def test_a_log_that_lost_its_end_is_sent_again_from_its_start(server: RedisServer) -> None:
    with publishing(a_log(10), server.url) as publisher:
        until_sent(publisher, 10)
    session, shorter = a_session(), a_log(8)
    for n in range(9, 13):
        shorter.append(stage_event(session, n, unscored(100 + n)))
    with publishing(shorter, server.url) as publisher:
        until_sent(publisher, 12)
    assert set(ids(server.url)) == {*ids_of(1, 10), *(e.id for e in shorter.events_after(8, 9))}


def test_two_sessions_share_a_server(server: RedisServer) -> None:
    left, right = MemoryEventLog(), MemoryEventLog()
    append(left, 1, 50, "left")
    right.append(session_started(a_session("right", sleeper="ben"), 1))
    append(right, 2, 59, "right")
    at = a_session().start_utc
    right.append(mark_event(a_session("right"), 60, MarkKind.LIGHTS_OFF, time=at))
    client: Any = connect(server.url)
    with (
        publishing(left, server.url, session_id="left") as one,
        publishing(right, server.url, session_id="right") as two,
    ):
        until_sent(one, 50)
        until_sent(two, 60)
        append(left, 51, 51, "left")
        one.notify()
        until_sent(one, 51)
        assert client.hget(KEYS.last("left"), "live_epoch_index") == "51"
        assert client.hget(KEYS.last("right"), "live_epoch_index") == "59"
        assert client.hexists(KEYS.last("right"), "lights_off_utc")
        # The shared hash belongs to one session as a whole, without fields of the other.
        assert client.hgetall(KEYS.last()) == client.hgetall(KEYS.last("left"))
        beat = json.loads(client.get(KEYS.heartbeat("right")))
        assert (beat["session"], beat["sleeper"]) == ("right", "ben")
        assert client.hget(KEYS.last("right"), "sleeper") == "ben"
    client.close()
    for name, first, n in (("left", 1, 51), ("right", 2, 59)):
        ids_of_session = [e["id"] for e in stream(server.url) if e["session"] == name]
        assert ids_of_session[first - 1 : n] == ids_of(first, n)


def test_the_last_value_is_the_state_after_the_newest_event(server: RedisServer) -> None:
    session, log = a_session(), MemoryEventLog()
    at = datetime(2026, 1, 1, 22, 5, tzinfo=UTC)
    log.append(session_started(session, 1))
    append(log, 2, 2)
    log.append(stage_event(session, 3, unscored(3)))
    log.append(mark_event(session, 4, MarkKind.LIGHTS_OFF, time=at))
    client: Any = connect(server.url)
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 4)
    assert client.hgetall(KEYS.last()) == {
        "mode": "live",
        "session": "night-1",
        "sequence": "4",
        "state": "started",
        "started_utc": "2026-01-01T22:00:00.000Z",
        "sleeper": "",
        "derivation": "EEG Fpz-Cz",
        "updated_utc": "2026-01-01T22:05:00.000Z",
        "live_epoch_index": "3",
        "live_utc": "2026-01-01T22:02:00.000Z",
        "live_stage": "",
        "live_reason": "flat",
        "live_confidence": "",
        "live_sleep_as_android": "",
        "lights_off_utc": "2026-01-01T22:05:00.000Z",
    }
    # A resumed session continues from the value that the server holds.
    append(log, 5, 5)
    off = ChannelState("TP9 ü", Contact.OFF, Reason.FLAT, 0.0)
    moved: dict[str, Any] = {"time": at, "epoch_index": 5}
    log.append(channels_event(session, 6, **moved, channels=[off]))
    log.append(
        derivation_event(
            session, 7, **moved, derivation="AF8", previous="EEG Fpz-Cz", reason=Reason.FLAT
        )
    )
    log.append(session_resumed(session, 8, **moved))
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 8)
    after = client.hgetall(KEYS.last("night-1"))
    assert after["live_stage"] == "N2"
    assert after["lights_off_utc"] == "2026-01-01T22:05:00.000Z"
    assert after["derivation"] == "AF8"
    assert json.loads(after["channels"])[0]["contact"] == "off"
    assert (after["state"], after["resumed_utc"]) == ("started", "2026-01-01T22:05:00.000Z")
    log.append(
        session_ended(
            session,
            9,
            time=at,
            statistics=sleep_statistics([]),
            revised=[],
            ledger=SampleLedger(),
            worn=(2, 4),
        )
    )
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 9)
    after = client.hgetall(KEYS.last("night-1"))
    client.close()
    assert after["state"] == "ended"
    assert after["worn_start_utc"] == "2026-01-01T22:01:00.000Z"
    assert after["worn_end_utc"] == "2026-01-01T22:02:00.000Z"


def test_the_stream_is_bounded(server: RedisServer) -> None:
    with publishing(a_log(2000), server.url, stream_length=100) as publisher:
        until_sent(publisher, 2000)
    kept = ids(server.url)
    # The bound is approximate: the server drops whole nodes of 100 entries.
    assert 100 <= len(kept) <= 200
    assert kept == ids_of(2001 - len(kept), 2000)


def test_the_heartbeat_follows_the_clock_and_expires(server: RedisServer) -> None:
    client: Any = connect(server.url)
    clock = ManualClock()
    options = {"clock": clock, "heartbeat_s": 0.05, "heartbeat_ttl_s": 1}
    with publishing(a_log(3), server.url, **options) as publisher:
        until_sent(publisher, 3)
        until(lambda: client.exists(KEYS.heartbeat()) == 1, "the first heartbeat")
        client.delete(KEYS.heartbeat(), KEYS.heartbeat("night-1"))
        clock.advance(0.05)
        until(lambda: client.exists(KEYS.heartbeat("night-1")) == 1, "the next heartbeat")
        assert json.loads(client.get(KEYS.heartbeat("night-1"))) == {
            "session": "night-1",
            "mode": "live",
            "utc": "2026-01-01T22:00:00.050Z",
            "recording_utc": "2026-01-01T22:00:00.050Z",
            "sequence": 3,
            "sleeper": "",
        }
        assert 0 < client.pttl(KEYS.heartbeat()) <= 1000
    until(lambda: client.exists(KEYS.heartbeat()) == 0, "the heartbeat to expire")
    client.close()


def test_a_password_works_and_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with RedisServer(0, password="s3cret@/:x") as server:
        with publishing(a_log(3), server.url) as publisher:
            until_sent(publisher, 3)
            assert publisher.delivery().url == f"redis://:***@127.0.0.1:{server.port}"
        wrong = f"redis://:wr0ng@127.0.0.1:{server.port}"
        with publishing(a_log(3), wrong) as publisher:
            until(lambda: len(caplog.records) >= 2, "the complaint")
            assert publisher.delivery().waiting == 3
        assert ids(server.url) == ids_of(1, 3)
    assert "does not take events" in caplog.text
    assert "s3cret" not in caplog.text
    assert "wr0ng" not in caplog.text


def test_drain_returns_how_many_events_are_left(server: RedisServer) -> None:
    with publishing(a_log(300), server.url) as publisher:
        assert publisher.drain(10.0) == 0
    assert ids(server.url) == ids_of(1, 300)
    server.stop()
    clock = ManualClock()
    with publishing(a_log(4), server.url, clock=clock) as publisher:
        assert publisher.drain(0.2) == 4
    # It tried again until the deadline, and not longer.
    assert clock.monotonic_s() == pytest.approx(0.2)


class ClockOfAReturn(ManualClock):
    """A clock whose second sleep starts the server: while `drain` waits, the server returns."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self._server = server
        self.sleeps = 0

    def sleep(self, duration_s: float) -> None:
        super().sleep(duration_s)
        self.sleeps += 1
        if self.sleeps == 2:
            self._server.start()


def test_drain_waits_for_a_server_that_comes_back(server: RedisServer) -> None:
    server.stop()
    clock = ClockOfAReturn(server)
    with publishing(a_log(4), server.url, clock=clock) as publisher:
        assert publisher.drain(10.0) == 0
    assert clock.sleeps == 2


def test_a_log_that_fails_is_read_again(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    class FailingLog(MemoryEventLog):
        failures = 3

        def events_after(self, sequence: int, limit: int) -> list[Any]:
            if self.failures:
                self.failures -= 1
                raise OSError("database is locked")
            return super().events_after(sequence, limit)

    log = FailingLog()
    append(log, 1, 5)
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 5)
    assert ids(server.url) == ids_of(1, 5)
    assert caplog.text.count("database is locked") == 1


def test_a_key_of_another_type_stops_sending_until_it_is_gone(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client: Any = connect(server.url)
    client.set(KEYS.events, "of another program")
    with publishing(a_log(5), server.url) as publisher:
        until(lambda: "delete it" in caplog.text, "the complaint")
        assert client.get(KEYS.events) == "of another program"
        assert client.exists(KEYS.published("night-1")) == 0
        client.delete(KEYS.events)
        until_sent(publisher, 5)
    client.close()
    assert ids(server.url) == ids_of(1, 5)


FORGETS = """
import sys
from monitor.clock import SystemClock
from monitor.sinks.publisher import Publisher
from tests.sinks.peers import a_log
Publisher(a_log(2), "night-1", sys.argv[1], SystemClock(), heartbeat_s=0.2).start()
raise SystemExit(3)
"""


def test_a_forgotten_publisher_does_not_keep_the_process(server: RedisServer) -> None:
    ended = subprocess.run([sys.executable, "-c", FORGETS, server.url], timeout=60)
    assert ended.returncode == 3
    assert ids(server.url) == ids_of(1, 2)


def test_a_wrong_url_is_one_clear_line() -> None:
    for url in ("http://host", "redis://h:port", "host:6379", "redis://:pw@h?nonsense=1", ""):
        with pytest.raises(InputError, match="is not valid: write redis://") as caught:
            connect(url)
        assert "pw" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_tls(server: RedisServer, tmp_path: Path) -> None:
    """A proxy adds TLS, because the embedded server is built without it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program, to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with Proxy(server.port, tls=context) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={certificate}"
        with publishing(a_log(5), url) as publisher:
            until_sent(publisher, 5)
            assert publisher.delivery().url == f"rediss://127.0.0.1:{proxy.port}"
        # A certificate that no authority has signed is refused.
        with publishing(a_log(6), f"rediss://127.0.0.1:{proxy.port}") as publisher:
            assert publisher.drain(0.3) == 6
    assert ids(server.url) == ids_of(1, 5)
