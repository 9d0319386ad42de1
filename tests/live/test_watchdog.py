"""Messages of a live night to a service manager, over a real socket, and when they stop."""

from __future__ import annotations

import io
import math
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from monitor.clock import ManualClock, SystemClock
from monitor.config import LiveOptions, LslConfig, SleeperOptions
from monitor.live import run_live
from monitor.live.watchdog import EVERY_S, Watchdog, notify

ALIVE = "WATCHDOG=1"


class Manager:
    """A service manager: the end of the socket that systemd holds."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening

    def receive(self) -> list[str]:
        """Return the lines of the next message."""
        return self._listening.recv(4096).decode().splitlines()

    def receive_until(self, line: str) -> list[str]:
        """Return the lines of the first message that holds ``line``."""
        message = self.receive()
        while line not in message:
            message = self.receive()
        return message


@contextmanager
def listening(address: str | bytes) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(20.0)
        listening.bind(address)
        yield Manager(listening)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with listening(path) as manager:
        yield manager


def test_without_a_manager_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


@pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="only Linux has abstract sockets")
def test_a_message_reaches_a_socket_in_the_abstract_namespace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"sleep-monitor-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with listening(f"\0{name}") as manager:
        notify("READY=1")
        assert manager.receive() == ["READY=1"]


def test_alive_is_sent_while_every_sleepers_loop_turns(manager: Manager) -> None:
    clock = ManualClock()
    watchdog = Watchdog(clock)
    anna = ben = 0.0

    def tick() -> list[str]:
        clock.advance(EVERY_S)
        watchdog.tick([anna, ben], "anna: streaming")
        return manager.receive()

    anna, ben = 4.0, 3.0
    assert tick() == ["STATUS=anna: streaming", ALIVE]
    anna, ben = 9.0, 3.0  # Ben hangs
    assert tick() == ["STATUS=anna: streaming"]
    anna, ben = 14.0, 3.0
    assert tick() == ["STATUS=anna: streaming"]
    anna, ben = 19.0, 16.0  # Ben turns again
    assert ALIVE in tick()
    anna, ben = 24.0, 81.0  # Ben waits for a minute before he tries again
    assert ALIVE in tick()
    anna = 29.0
    assert ALIVE in tick()
    anna, ben = 34.0, math.inf  # Ben has given up
    assert ALIVE in tick()


def test_no_message_is_sent_before_its_time(manager: Manager) -> None:
    clock = ManualClock()
    watchdog = Watchdog(clock)
    for _ in range(7):
        clock.advance(EVERY_S / 2)
        watchdog.tick([], f"at {clock.monotonic_s():g} s")
    assert [manager.receive()[0] for _ in range(3)] == [
        "STATUS=at 5 s",
        "STATUS=at 10 s",
        "STATUS=at 15 s",
    ]


def test_a_status_is_one_line(manager: Manager) -> None:
    """The name of a stream, which is in the status, may hold any character."""
    clock = ManualClock()
    watchdog = Watchdog(clock)
    clock.advance(EVERY_S)
    watchdog.tick([], "waiting for\nSTOPPING=1")
    assert manager.receive() == ["STATUS=waiting for STOPPING=1", ALIVE]


class Quicksand(SystemClock):
    """A clock 40 times as fast as real time; the thread named ``stuck`` hangs in its next sleep.

    At this speed a message is due in every turn of the monitor's main loop.
    """

    def __init__(self) -> None:
        self.released = threading.Event()
        self.released.set()
        self.stuck = ""

    def monotonic_s(self) -> float:
        return 40.0 * super().monotonic_s()

    def sleep(self, duration_s: float) -> None:
        super().sleep(duration_s)
        if threading.current_thread().name == self.stuck:
            self.released.wait()


def test_alive_is_not_sent_while_one_sleeper_hangs(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sleepers look for streams that do not exist, until the thread of one hangs."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    sleepers = [
        SleeperOptions(LslConfig(source_id=f"nobody-{name}"), name) for name in ("anna", "ben")
    ]
    options = LiveOptions(tuple(sleepers), no_redis=True, dashboard=False)
    clock, stop = Quicksand(), threading.Event()
    night = threading.Thread(
        target=run_live, args=(options, Console(file=io.StringIO()), clock, stop)
    )
    night.start()
    try:
        assert manager.receive() == ["READY=1"]
        status = manager.receive_until(ALIVE)[0]
        assert status.startswith("STATUS=anna: waiting for an LSL stream")
        assert "; ben: waiting for" in status
        clock.released.clear()
        clock.stuck = "sleeper ben"
        while ALIVE in manager.receive():  # sent before the thread hung
            pass
        assert [ALIVE in manager.receive() for _ in range(10)] == [False] * 10
        clock.stuck = ""
        clock.released.set()
        manager.receive_until(ALIVE)
    finally:
        clock.released.set()
        stop.set()
        night.join()
    assert manager.receive_until("STOPPING=1")
