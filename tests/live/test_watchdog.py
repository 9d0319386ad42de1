"""What a service manager hears of a live night, over a real socket; and when it hears no more."""

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
from tests.lsl_peer import confine

ALIVE = "WATCHDOG=1"


class Manager:
    """The end of the socket that systemd holds."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening

    def hear(self) -> list[str]:
        """The lines of the next message."""
        return self._listening.recv(4096).decode().splitlines()

    def hear_until(self, line: str) -> list[list[str]]:
        """The messages up to the first with ``line`` in it."""
        heard = [self.hear()]
        while line not in heard[-1]:
            heard.append(self.hear())
        return heard


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


def test_without_a_manager_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


@pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="abstract sockets are Linux's own")
def test_a_socket_in_the_abstract_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"sleep-monitor-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with listening(f"\0{name}") as manager:
        notify("READY=1")
        assert manager.hear() == ["READY=1"]


def test_alive_is_said_for_as_long_as_everyone_turns(manager: Manager) -> None:
    clock = ManualClock()
    watchdog = Watchdog(clock)
    anna = ben = 0.0

    def tick() -> list[str]:
        clock.advance(EVERY_S)
        watchdog.tick([anna, ben], "anna: streaming")
        return manager.hear()

    anna, ben = 4.0, 3.0
    assert tick() == ["STATUS=anna: streaming", ALIVE]
    anna, ben = 9.0, 3.0  # who hangs
    assert tick() == ["STATUS=anna: streaming"]
    anna, ben = 14.0, 3.0
    assert tick() == ["STATUS=anna: streaming"]
    anna, ben = 19.0, 16.0  # goes on
    assert ALIVE in tick()
    anna, ben = 24.0, 81.0  # waits for a minute, to try again
    assert ALIVE in tick()
    anna = 29.0
    assert ALIVE in tick()
    anna, ben = 34.0, math.inf  # has given up
    assert ALIVE in tick()


def test_between_two_messages_nothing_is_said(manager: Manager) -> None:
    clock = ManualClock()
    watchdog = Watchdog(clock)
    for _ in range(7):
        clock.advance(EVERY_S / 2)
        watchdog.tick([], f"at {clock.monotonic_s():g} s")
    assert [manager.hear()[0] for _ in range(3)] == [
        "STATUS=at 5 s",
        "STATUS=at 10 s",
        "STATUS=at 15 s",
    ]


def test_a_status_is_one_line(manager: Manager) -> None:
    """A stream may call itself what it likes."""
    clock = ManualClock()
    watchdog = Watchdog(clock)
    clock.advance(EVERY_S)
    watchdog.tick([], "waiting for\nSTOPPING=1")
    assert manager.hear() == ["STATUS=waiting for STOPPING=1", ALIVE]


class Quicksand(SystemClock):
    """A clock that runs 20 times as fast, and in which who sleeps can get stuck, all or one."""

    def __init__(self) -> None:
        self.solid = threading.Event()
        self.solid.set()
        self.stuck = ""

    def monotonic_s(self) -> float:
        return 20.0 * super().monotonic_s()

    def sleep(self, duration_s: float) -> None:
        super().sleep(duration_s)
        if threading.current_thread().name == self.stuck:
            self.solid.wait()


def test_a_sleeper_who_hangs_silences_the_heart_of_all(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's stream is there; both look for it until one thread gets stuck, and again after."""
    confine(tmp_path)
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
        assert manager.hear() == ["READY=1"]
        status = manager.hear_until(ALIVE)[-1][0]
        assert status.startswith("STATUS=anna: waiting for an LSL stream")
        assert "; ben: waiting for" in status
        clock.solid.clear()
        clock.stuck = "sleeper ben"
        while ALIVE in manager.hear():  # those that were under way
            pass
        assert [ALIVE in manager.hear() for _ in range(10)] == [False] * 10
        clock.stuck = ""
        clock.solid.set()
        manager.hear_until(ALIVE)
    finally:
        clock.solid.set()
        stop.set()
        night.join()
    assert manager.hear_until("STOPPING=1")
