"""A replay on the server of a live night: nobody takes its state for that of the live night."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from models.contract import Stage
from monitor.clock import ManualClock
from monitor.errors import MonitorError
from monitor.night.envelope import Mode
from monitor.night.events import session_started, stage_event
from monitor.night.live_night import LiveNight
from monitor.night.store import NightStore
from monitor.pipeline import begin
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.mark_sender import make_mark, send_mark
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import RedisServer
from monitor.types import Montage
from tests.sinks.peers import KEYS, a_session, publishing, scored, until_sent
from tests.sinks.waiting import until

LIVE = LiveNight("lsl", Montage.of_one("EEG Fpz-Cz"), "boot", 0.0, None, "")


@pytest.fixture
def client(server: RedisServer) -> Iterator[Any]:
    client = connect(server.url)
    yield client
    client.close()


def a_night(session_id: str, mode: Mode, stage: Stage, n_epochs: int = 3) -> MemoryEventLog:
    session, log = a_session(session_id), MemoryEventLog()
    log.append(session_started(session, 1, mode))
    for n in range(2, 2 + n_epochs):
        log.append(stage_event(session, n, scored(n, stage)))
    return log


def add(log: MemoryEventLog, session_id: str, stage: Stage) -> None:
    n = log.last_sequence() + 1
    log.append(stage_event(a_session(session_id), n, scored(n, stage)))


def state(client: Any) -> tuple[str | None, str | None, str | None]:
    """Return the mode and stage of `last`, and the mode of the heartbeat."""
    beat = json.loads(client.get(KEYS.heartbeat()) or "{}")
    return *client.hmget(KEYS.last(), "mode", "live_stage"), beat.get("mode")


def test_a_replay_alone_has_the_keys_of_the_server(server: RedisServer, client: Any) -> None:
    log = a_night("replay", Mode.REPLAY, Stage.N3)
    with publishing(log, server.url, session_id="replay", timeline=None) as publisher:
        until_sent(publisher, 4)
        assert state(client) == ("replay", "N3", "replay")
        beat = json.loads(client.get(KEYS.heartbeat("replay")))
        assert beat["recording_utc"] is None


@pytest.mark.parametrize("first", list(Mode))
def test_a_replay_never_overwrites_the_state_of_a_live_night(
    server: RedisServer, client: Any, first: Mode
) -> None:
    live = a_night("live", Mode.LIVE, Stage.W)
    replay = a_night("replay", Mode.REPLAY, Stage.N3)
    clock = ManualClock()
    publishers = {
        Mode.LIVE: publishing(live, server.url, session_id="live", clock=clock),
        Mode.REPLAY: publishing(
            replay, server.url, session_id="replay", clock=clock, timeline=None
        ),
    }
    (second,) = set(Mode) - {first}
    with publishers[first] as one:
        until_sent(one, 4)
        with publishers[second] as other:
            until_sent(other, 4)
            assert state(client) == ("live", "W", "live")
            for n in range(5, 8):  # each with events and a heartbeat
                add(replay, "replay", Stage.R)
                clock.advance(5.0)
                for each in (one, other):
                    each.notify()
                until(lambda n=n: client.hget(KEYS.last("replay"), "sequence") == str(n), "replay")
                assert state(client) == ("live", "W", "live")
    assert client.hget(KEYS.last("replay"), "live_stage") == "R"
    assert json.loads(client.get(KEYS.heartbeat("replay")))["mode"] == "replay"


def test_the_state_stays_after_the_live_monitor_has_died(server: RedisServer, client: Any) -> None:
    live = a_night("live", Mode.LIVE, Stage.W)
    with publishing(live, server.url, session_id="live", heartbeat_ttl_s=1) as publisher:
        until_sent(publisher, 4)
    until(lambda: not client.exists(KEYS.heartbeat()), "the heartbeat to expire")
    replay = a_night("replay", Mode.REPLAY, Stage.N3)
    with publishing(replay, server.url, session_id="replay", timeline=None) as publisher:
        until_sent(publisher, 4)
        # Nobody takes the replay's heartbeat for a sign of life of the live night.
        assert state(client) == ("live", "W", None)


def test_the_heartbeat_alone_shows_a_live_night(server: RedisServer, client: Any) -> None:
    """Another program deleted `last`: it is there again with the live night's next event."""
    live = a_night("live", Mode.LIVE, Stage.W)
    replay = a_night("replay", Mode.REPLAY, Stage.N3)
    with publishing(live, server.url, session_id="live") as publisher:
        until_sent(publisher, 4)
        client.delete(KEYS.last())
        with publishing(replay, server.url, session_id="replay", timeline=None) as other:
            until_sent(other, 4)
            assert state(client) == (None, None, "live")


@pytest.mark.parametrize("text", ["[1]", "null", "{", '{"mode": 1}', "[" * 9000, "x" * 20_000])
def test_what_another_program_wrote_is_replaced(
    server: RedisServer, client: Any, text: str
) -> None:
    client.set(KEYS.heartbeat(), text)
    client.set(KEYS.last(), text)
    log = a_night("replay", Mode.REPLAY, Stage.N3)
    with publishing(log, server.url, session_id="replay", timeline=None) as publisher:
        until_sent(publisher, 4)
        assert state(client) == ("replay", "N3", "replay")


def test_a_mark_does_not_wait_for_the_answer_of_a_replay(server: RedisServer) -> None:
    log, out = a_night("replay", Mode.REPLAY, Stage.N3), Console(file=io.StringIO())
    with publishing(log, server.url, session_id="replay", timeline=None) as publisher:
        until_sent(publisher, 4)
        clock = ManualClock()
        mark = make_mark("lights-off", None, None, clock)
        with pytest.raises(MonitorError, match=r"no running monitor .* now: nobody"):
            send_mark(out, server.url, mark, None, clock, wait_s=0.1)


@pytest.mark.parametrize("live", [None, LIVE], ids=["replay", "live"])
def test_a_night_begins_with_its_mode(tmp_path: Path, live: LiveNight | None) -> None:
    with closing(NightStore.open(tmp_path / "night.sqlite", durable=False)) as store:
        begin(store, a_session(), ManualClock().utc(), live)
        (started,) = store.events_after(0, 10)
    assert started.data["mode"] == ("replay" if live is None else "live")
