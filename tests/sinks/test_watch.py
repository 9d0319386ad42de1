"""`watch` and `Follower` with a real server, the words for events, and safe URLs."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import monitor.sinks
from models.contract import Stage
from monitor.clock import ManualClock
from monitor.errors import InputError, MonitorError
from monitor.night.events import (
    backend_event,
    channels_event,
    derivation_event,
    from_json,
    mark_event,
    session_ended,
    session_resumed,
    session_started,
    signal_event,
    stage_event,
    to_json,
)
from monitor.night.statistics import sleep_statistics
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.event_text import event_line
from monitor.sinks.redis_client import connect, safe_text, safe_url
from monitor.sinks.redis_server import RedisServer
from monitor.sinks.watch import watch
from monitor.types import (
    ChannelState,
    Contact,
    MarkKind,
    Reason,
    SampleLedger,
    SignalState,
    Track,
)
from tests.pages import python_blocks
from tests.sinks.peers import (
    KEYS,
    a_log,
    a_session,
    append,
    events,
    publishing,
    scored,
    unscored,
    until_sent,
)
from tests.sinks.waiting import until


class Watching:
    """`watch` in a thread, and the lines that it has printed."""

    def __init__(self, url: str, as_json: bool, wait_limit_s: float | None = None) -> None:
        self._out, self._notices = io.StringIO(), io.StringIO()
        self.stop = threading.Event()
        self.thread = threading.Thread(
            target=watch,
            args=(
                Console(file=self._out, width=40),
                Console(file=self._notices, width=40),
                ManualClock(),
            ),
            kwargs={
                "url": url,
                "as_json": as_json,
                "wait_limit_s": wait_limit_s,
                "stop": self.stop,
            },
        )

    @property
    def lines(self) -> list[str]:
        return self._out.getvalue().splitlines()

    @property
    def notices(self) -> list[str]:
        return self._notices.getvalue().splitlines()


@contextmanager
def watching(url: str, as_json: bool = True) -> Iterator[Watching]:
    watcher = Watching(url, as_json)
    watcher.thread.start()
    try:
        yield watcher
    finally:
        watcher.stop.set()
        watcher.thread.join(10)
        assert not watcher.thread.is_alive()


def test_prints_the_backlog_then_new_events(server: RedisServer) -> None:
    log = a_log(700)
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 700)
        with watching(server.url) as watcher:
            until(lambda: len(watcher.lines) == 700, "the backlog")
            append(log, 701, 710)
            publisher.notify()
            until(lambda: len(watcher.lines) == 710, "the live events")
    assert watcher.lines == [to_json(event) for event in events(1, 710)]
    assert watcher.notices == []


def test_a_restart_is_noticed_once_and_repeats_are_dropped(
    server: RedisServer,
) -> None:
    log = a_log(5)
    with publishing(log, server.url) as publisher, watching(server.url) as watcher:
        until(lambda: len(watcher.lines) == 5, "the backlog")
        server.stop()
        until(lambda: len(watcher.notices) == 1, "the notice")
        append(log, 6, 9)
        server.start()
        publisher.notify()
        until(lambda: len(watcher.lines) == 9, "the rest")
        until_sent(publisher, 9)
    assert [from_json(line) for line in watcher.lines] == events(1, 9)
    assert len(watcher.notices) == 2
    assert watcher.notices[0].startswith(f"no events from {server.url} (")
    assert watcher.notices[1] == f"{server.url} is back"


def test_reads_from_the_start_on_a_server_that_is_behind(server: RedisServer) -> None:
    client: Any = connect(server.url)
    far = "99999999999999-1"
    client.xadd(KEYS.events, {"event": to_json(events(1, 1)[0])}, id=far)
    with watching(server.url) as watcher:
        until(lambda: len(watcher.lines) == 1, "the first event")
        server.stop()
        until(lambda: len(watcher.notices) == 1, "the notice")
        server.start()
        client.xadd(KEYS.events, {"event": to_json(events(2, 2)[0])}, id="1-1")
        until(lambda: len(watcher.lines) == 2, "an event with an earlier entry id")
    client.close()


def replay(url: str, n_epochs: int, ended: bool = True) -> None:
    """Publish a session as a replay does: it begins with an empty log."""
    session, log = a_session(), MemoryEventLog()
    log.append(session_started(session, 1))
    with publishing(log, url) as publisher:
        until_sent(publisher, 1)
        append(log, 2, n_epochs + 1)
        if ended:
            log.append(
                session_ended(
                    session,
                    n_epochs + 2,
                    time=session.start_utc,
                    statistics=sleep_statistics([]),
                    revised=[],
                    ledger=SampleLedger(),
                )
            )
        assert publisher.drain(10.0) == 0


def test_a_replay_that_is_run_again_is_shown_again(server: RedisServer) -> None:
    with watching(server.url) as watcher:
        replay(server.url, 3)
        replay(server.url, 3)
        until(lambda: len(watcher.lines) == 10, "two runs on the same server")
        assert watcher.notices == ["night-1 starts again"]
        server.stop()
        until(lambda: len(watcher.notices) == 2, "the notice that the server is away")
        server.start()
        replay(server.url, 3)
        until(lambda: len(watcher.lines) == 15, "a run on a server of its own")
    assert watcher.lines == watcher.lines[:5] * 3
    assert watcher.notices[3:] == ["night-1 starts again"]


def test_a_replay_that_broke_off_continues_where_it_was(server: RedisServer) -> None:
    with watching(server.url) as watcher:
        replay(server.url, 3, ended=False)
        replay(server.url, 6)
        until(lambda: len(watcher.lines) == 8, "both runs")
    assert [from_json(line).sequence for line in watcher.lines] == list(range(1, 9))
    assert watcher.notices == ["night-1 is sent again; events already shown are left out"]


def test_a_name_of_a_thousand_words_leaves_room_for_the_events(server: RedisServer) -> None:
    client: Any = connect(server.url)
    session = a_session(sleeper="a name " * 1000)
    for event in (session_started(session, 1), stage_event(session, 2, scored(7))):
        client.xadd(KEYS.events, {"event": to_json(event)})
    client.close()
    with watching(server.url, as_json=False) as watcher:
        until(lambda: len(watcher.lines) == 2, "both events")
    assert "epoch    7  N2" in watcher.lines[1] and len(watcher.lines[1]) < 300


def test_each_line_has_the_name_of_its_sleeper(server: RedisServer) -> None:
    with watching(server.url, as_json=False) as watcher:
        for sleeper in ("anna", "ben"):
            session, log = a_session(f"night-{sleeper}", sleeper), MemoryEventLog()
            log.append(session_started(session, 1))
            log.append(stage_event(session, 2, scored(0)))
            with publishing(log, server.url, session_id=session.id) as publisher:
                until_sent(publisher, 2)
        until(lambda: len(watcher.lines) == 4, "all four")
    assert [line.split()[1] for line in watcher.lines] == ["anna:", "anna:", "ben:", "ben:"]


def test_waits_for_a_server(server: RedisServer) -> None:
    server.stop()
    with watching(server.url, as_json=False) as watcher:
        until(lambda: len(watcher.notices) == 1, "the notice")
        server.start()
        with publishing(a_log(1), server.url):
            until(lambda: len(watcher.lines) == 1, "the event")
    assert watcher.lines == ["22:01:00  epoch    1  N2   80%  (live)"]


def test_gives_up_after_the_limit(server: RedisServer) -> None:
    server.stop()
    quiet = Console(file=io.StringIO())
    with pytest.raises(MonitorError, match=r"no event server in 0\.2 s at redis://127"):
        watch(quiet, quiet, ManualClock(), url=server.url, wait_limit_s=0.2)


def test_wrong_password_and_wrong_url_fail_at_once() -> None:
    quiet = Console(file=io.StringIO())
    with RedisServer(0, password="right") as server:
        url = f"redis://:wr0ng@127.0.0.1:{server.port}"
        with pytest.raises(MonitorError, match="refuses the login") as caught:
            watch(quiet, quiet, ManualClock(), url=url)
    assert "wr0ng" not in str(caught.value)
    with pytest.raises(InputError):
        watch(quiet, quiet, ManualClock(), url="nonsense")


def test_skips_an_entry_that_is_no_event(server: RedisServer) -> None:
    client: Any = connect(server.url)
    client.xadd(KEYS.events, {"hello": "[bold]"})
    future = to_json(events(1, 1)[0]).replace("sleep-monitor.stage.v1", "sleep-monitor.dream.v2")
    client.xadd(KEYS.events, {"event": future})
    client.xadd(KEYS.events, {"event": to_json(events(2, 2)[0])})
    client.close()
    with watching(server.url, as_json=False) as watcher:
        until(lambda: len(watcher.lines) == 2, "both events")
    assert watcher.lines[0] == "22:01:00  sleep-monitor.dream.v2"
    assert len(watcher.notices) == 1
    assert watcher.notices[0].startswith("skipped an entry of sleep-monitor:events")


def test_lines_for_people() -> None:
    session = a_session()
    at = session.start_utc + timedelta(minutes=3)
    night = [scored(0), unscored(1)]
    statistics = sleep_statistics([prediction.stage for prediction in night])
    made = [
        session_started(session, 1),
        stage_event(session, 2, unscored(1, Reason.MAINS)),
        stage_event(session, 3, scored(204, Stage.R, Track.REVISED)),
        signal_event(session, 4, SignalState.POOR, time=at, epoch_index=6, reason=Reason.RAILED),
        signal_event(session, 5, SignalState.GOOD, time=at, epoch_index=6),
        mark_event(session, 6, MarkKind.LIGHTS_OFF, time=at),
        mark_event(session, 7, MarkKind.NOTE, time=at, text="woke :cat: [b]"),
        channels_event(
            session,
            8,
            time=at,
            epoch_index=6,
            channels=[
                ChannelState("AF7", Contact.OFF, Reason.RAILED, 0.0),
                ChannelState("AF8", Contact.GOOD, None, 21.0),
            ],
        ),
        derivation_event(
            session,
            9,
            time=at,
            epoch_index=6,
            derivation="AF8",
            previous="AF7",
            reason=Reason.RAILED,
        ),
        derivation_event(
            session, 10, time=at, epoch_index=9, derivation="AF7", previous="AF8", reason=None
        ),
        backend_event(
            session,
            11,
            time=at,
            epoch_index=7,
            backend="torch",
            previous="cuda",
            reason="cuda: out of memory",
        ),
        session_resumed(session, 11, time=at, epoch_index=7),
        session_ended(
            session, 12, time=at, statistics=statistics, revised=night, ledger=SampleLedger()
        ),
        session_ended(
            session,
            13,
            time=at,
            statistics=statistics,
            revised=night,
            ledger=SampleLedger(),
            worn=(1, 3),
        ),
    ]
    assert [event_line(event) for event in made] == [
        "22:00:00  session night-1 started: replay night.edf, EEG Fpz-Cz",
        "22:01:00  epoch    1  ?   unscored: mains  (live)",
        "23:42:30  epoch  204  R    80%  (revised 1, final)",
        "22:03:00  signal poor: railed",
        "22:03:00  signal good",
        "22:03:00  mark: lights off",
        "22:03:00  mark: note: woke :cat: [b]",
        "22:03:00  contact: AF7 off (railed), AF8 good",
        "22:03:00  AF8 staged from epoch 6 on (AF7: railed)",
        "22:03:00  AF7 staged from epoch 9 on (the preferred one)",
        "22:03:00  torch runs the network from epoch 7 on: cuda: out of memory",
        "22:03:00  session night-1 resumed with epoch 7",
        "22:03:00  session night-1 ended: 2 epochs, 1 unscored, TST 0.5 min, SE 50 % (recording)",
        "22:03:00  session night-1 ended: 2 epochs, 1 unscored, TST 0.5 min, SE 50 % (recording), "
        "worn 22:00:30 to 22:01:30",
    ]
    assert event_line(made[4], "anna") == "22:03:00  anna: signal good"


WATCH = """
import sys
from rich.console import Console
from monitor.clock import SystemClock
from monitor.sinks.watch import watch
watch(Console(), Console(stderr=True), SystemClock(), url=sys.argv[1])
"""


def test_ctrl_c_ends_cleanly(server: RedisServer) -> None:
    command = [sys.executable, "-c", WATCH, server.url]
    with (
        publishing(a_log(1), server.url),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"22:01:00  epoch    1")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 0


def test_the_example_on_the_page_works_as_it_stands(server: RedisServer) -> None:
    example = python_blocks(Path(monitor.sinks.__file__).parent / "EVENTS.md")[1]
    assert "redis://127.0.0.1:16379" in example
    example = example.replace("redis://127.0.0.1:16379", server.url)
    session, log = a_session(), MemoryEventLog()
    log.append(session_started(session, 1))
    log.append(stage_event(session, 2, scored(0, Stage.W)))
    log.append(stage_event(session, 3, unscored(1)))
    log.append(stage_event(session, 4, scored(0, Stage.N1, Track.REVISED)))
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 4)
        with subprocess.Popen([sys.executable, "-c", example], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"2026-01-01T22:00:30.000Z W 0.8\n"
                # A repeat, as after the server lost its data, and then a new event.
                client: Any = connect(server.url)
                client.xadd(KEYS.events, client.xrange(KEYS.events)[1][1])
                client.close()
                append(log, 5, 5)
                publisher.notify()
                assert process.stdout.readline() == b"2026-01-01T22:03:00.000Z N2 0.8\n"
            finally:
                process.kill()


def test_the_example_on_the_page_outlives_a_server_that_stalls(server: RedisServer) -> None:
    example = python_blocks(Path(monitor.sinks.__file__).parent / "EVENTS.md")[1]
    # A short limit for an answer stands in for a long stall.
    url = f'"{server.url}", socket_timeout=1.2'
    example = example.replace('"redis://127.0.0.1:16379"', url)
    log = a_log(1)
    assert server.pid is not None
    with (
        publishing(log, server.url, socket_timeout_s=5.0) as publisher,
        subprocess.Popen([sys.executable, "-c", example], stdout=subprocess.PIPE) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline().endswith(b" N2 0.8\n")
            os.kill(server.pid, signal.SIGSTOP)
            time.sleep(2.0)
            os.kill(server.pid, signal.SIGCONT)
            append(log, 2, 2)
            publisher.notify()
            assert process.stdout.readline() == b"2026-01-01T22:01:30.000Z N2 0.8\n"
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:secret@host", "redis://:***@host"),
        ("rediss://me:secret@host:1/2?ssl_ca_certs=x", "rediss://me:***@host:1/2"),
        ("redis://me:se@cr/et?#@host:1", "redis://me:***@host:1"),
        ("redis://host?password=secret", "redis://host"),
        ("redis://:secret", "redis://***"),
        ("redis://[::1]:6379", "redis://[::1]:6379"),
        ("redis://:secret@[::1", "redis://:***@***"),
        ("unix://me:secret@/run/redis.sock?db=1", "unix://me:***@/run/redis.sock"),
        ("secret", "***"),
        ("redis://", "redis://"),
    ],
)
def test_safe_url(url: str, shown: str) -> None:
    assert safe_url(url) == shown
    assert "secret" not in safe_url(url)


def test_safe_text_is_one_line_without_the_password() -> None:
    error = ValueError("no good:\n  'secret'")
    assert safe_text(error, "redis://:secret@host") == "ValueError: no good: '***'"
    assert json.loads(json.dumps(safe_text(OSError(), "redis://host"))) == "OSError"
