"""A server that answers but refuses, and keys that other programs change: each event comes once."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
import redis

from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import RedisServer
from tests.sinks.peers import KEYS, a_log, append, ids, ids_of, publishing, until_sent
from tests.sinks.waiting import until


def put(client: Any, command: str) -> None:
    client.execute_command(*command.split(" "))


REFUSALS = {
    "out of memory": ("CONFIG SET maxmemory 1mb", "CONFIG SET maxmemory 0"),
    "read-only": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    "no permission": ("ACL SETUSER default -xadd", "ACL SETUSER default +xadd"),
    "no scripts": ("ACL SETUSER default -eval", "ACL SETUSER default +eval"),
    "events of another type": (f"SET {KEYS.events} mine", f"DEL {KEYS.events}"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_one_line_and_one_change_of_state(
    server: RedisServer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    into, out_of = REFUSALS[name]
    log = a_log(20)
    client: Any = connect(server.url)
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 20)
        if name == "events of another type":
            client.delete(KEYS.events)
        put(client, into)
        append(log, 21, 30)
        publisher.notify()
        until(lambda: "does not take events" in caplog.text, "the complaint")
        states = set()
        for _ in range(60):
            states.add(publisher.delivery().connected)
            time.sleep(0.01)
        assert states == {False}
        put(client, out_of)
        until_sent(publisher, 30)
    client.close()
    assert ids(server.url) == ids_of(1, 30)
    assert len(caplog.records) == 3


@pytest.mark.parametrize(
    "command",
    [
        "SET {published} of-another-program",
        "SET {published} 999999999999999999999999|x|1-1",
        "SET {published} -5|stage/5/live/0|1-1",
        "SET {published} 20|stage/20/live/0|99999999999999999999999-0",
        "DEL {published}",
        "LPUSH {published} x",
        "LPUSH {last} x",
        "HSET {last_of_session} live_epoch_index abc",
        "LPUSH {last_of_session} x",
        "LPUSH {heartbeat} x",
    ],
)
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_what_others_write_into_the_keys_neither_blocks_nor_doubles(
    server: RedisServer, command: str, restarted: bool
) -> None:
    keys = {
        "published": KEYS.published("night-1"),
        "last": KEYS.last(),
        "last_of_session": KEYS.last("night-1"),
        "heartbeat": KEYS.heartbeat(),
    }
    words = [word.format(**keys).replace("|", " ") for word in command.split(" ")]
    client: Any = connect(server.url)
    log = a_log(20)

    def spoil() -> None:
        client.delete(words[1])
        client.execute_command(*words)

    with publishing(log, server.url) as publisher:
        until_sent(publisher, 20)
        if not restarted:
            spoil()
            append(log, 21, 30)
            publisher.notify()
            until(lambda: ids(server.url) == ids_of(1, 30), "the rest")
    if restarted:
        spoil()
        append(log, 21, 30)
        with publishing(log, server.url) as publisher:
            until_sent(publisher, 30)
    assert ids(server.url) == ids_of(1, 30)
    assert client.hget(KEYS.last("night-1"), "live_epoch_index") == "30"
    client.close()


def test_bytes_that_are_no_text_in_the_progress_do_not_block(server: RedisServer) -> None:
    client: Any = connect(server.url)
    client.set(KEYS.published("night-1"), b"1 \xff\xfe 1-1")
    client.close()
    with publishing(a_log(5), server.url) as publisher:
        until_sent(publisher, 5)
    assert ids(server.url) == ids_of(1, 5)


def test_an_evicted_stream_gets_the_session_again(server: RedisServer) -> None:
    client: Any = connect(server.url)
    log = a_log(20)
    with publishing(log, server.url) as publisher:
        until_sent(publisher, 20)
        client.delete(KEYS.events)
        client.xadd(KEYS.events, {"session": "another"})
        append(log, 21, 22)
        publisher.notify()
        until_sent(publisher, 22)
    client.close()
    assert ids_of(1, 22) == _ids_of_this_session(server.url)


def _ids_of_this_session(url: str) -> list[str]:
    client: Any = connect(url)
    try:
        entries = client.xrange(KEYS.events)
        return [fields["id"] for _, fields in entries if fields.get("session") == "night-1"]
    finally:
        client.close()


def test_the_rights_on_the_page_are_enough(server: RedisServer) -> None:
    from tests.pages import ROOT, code_blocks

    (rule,) = [
        block
        for block in code_blocks(ROOT / "monitor/sinks/EVENTS.md", "text")
        if block.startswith("ACL SETUSER")
    ]
    client: Any = connect(server.url)
    put(client, rule.strip())
    client.close()
    url = f"redis://monitor:PASSWORD@127.0.0.1:{server.port}"
    with publishing(a_log(5), url) as publisher:
        until_sent(publisher, 5)
    assert ids(url) == ids_of(1, 5)


@pytest.fixture
def protected() -> Any:
    with RedisServer(0, protected=True) as server:
        yield server


@pytest.mark.parametrize(
    "command",
    [
        "CONFIG SET bind 0.0.0.0",
        "CONFIG SET requirepass x",
        "CONFIG GET dir",
        "ACL SETUSER default allcommands",
        "ACL LIST",
        "SHUTDOWN NOSAVE",
        "FLUSHALL",
        "FLUSHDB",
        "REPLICAOF 127.0.0.1 1",
        "SAVE",
        "DEBUG SLEEP 1",
        "MODULE LIST",
        "SCRIPT KILL",
        "EVAL return(1) 0",
        "FUNCTION LIST",
        "CLIENT KILL TYPE normal",
        "CLIENT PAUSE 1000",
        "MONITOR",
        "KEYS *",
        "SET sleep-monitor:events mine",
        "DEL sleep-monitor:events",
        "XADD sleep-monitor:events * event forged",
        "XTRIM sleep-monitor:marks MAXLEN 0",
        "SET sleep-monitor:published:night-1 x",
        "GET another-key",
    ],
)
def test_other_programs_may_not_administer_the_embedded_server(
    protected: RedisServer, command: str
) -> None:
    client: Any = connect(protected.url)
    # DEBUG is off for everybody.
    with pytest.raises(redis.ResponseError, match=r"ermission|not allowed"):
        put(client, command)
    client.close()


def test_apps_read_and_leave_marks_without_a_password(protected: RedisServer) -> None:
    with publishing(a_log(3), protected.own_url) as publisher:
        until_sent(publisher, 3)
        shown = publisher.delivery().url
    assert shown == protected.url == f"redis://127.0.0.1:{protected.port}"
    assert ids(protected.url) == ids_of(1, 3)
    # As redis-py connects by default, and with its pipeline, which is a transaction.
    app: Any = redis.Redis(port=protected.port, decode_responses=True)
    app.xadd(KEYS.marks, {"kind": "lights_off"}, maxlen=1000)
    state, beat = app.pipeline().hgetall(KEYS.last()).get(KEYS.heartbeat()).execute()
    assert state["session"] == "night-1" and beat
    app.close()


def test_the_monitors_password_is_not_on_the_command_line(protected: RedisServer) -> None:
    import subprocess

    listed = subprocess.check_output(["ps", "-A", "-ww", "-o", "args="], text=True)
    password = protected.own_url.partition("@")[0].rpartition(":")[2]
    assert len(password) == 64
    assert password not in listed


def test_a_server_that_refuses_the_monitor_is_replaced(
    protected: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    owner: Any = connect(protected.own_url)
    before = protected.pid
    put(owner, "ACL SETUSER sleep-monitor-itself -ping")
    owner.close()
    until(protected.ensure_running, "the server to be replaced")
    assert protected.pid != before
    assert "refused the monitor" in caplog.text
    assert "was started again" in caplog.text


def test_a_server_that_hangs_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    import os
    import signal

    from monitor.clock import ManualClock

    clock = ManualClock()
    with RedisServer(0, protected=True, clock=clock) as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        tries = 0
        while not server.ensure_running():
            clock.advance(5.0)
            tries += 1
        assert tries == 5
    assert caplog.text.count("did not answer, and was started again") == 1
