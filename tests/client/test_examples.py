"""The apps of EVENTS.md as they stand: the smart alarm in Python, the lights in Node."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import monitor.sinks
from models.contract import Stage
from monitor.clock import SystemClock
from monitor.night.events import session_started, stage_event
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import RedisServer
from tests.node_peer import FOLDER, node
from tests.pages import code_blocks, python_blocks
from tests.sinks.peers import KEYS, a_session, publishing, scored
from tests.sinks.waiting import until

PAGE = Path(monitor.sinks.__file__).parent / "EVENTS.md"


class Tonight:
    """A night on the machine's clock, whose epoch 1 ends now. It can stage that again and again."""

    def __init__(self, url: str) -> None:
        self.clock = SystemClock()
        start_utc = self.clock.utc() - timedelta(seconds=60)
        self._session = replace(a_session(), start_utc=start_utc)
        self._log = MemoryEventLog()
        self._log.append(session_started(self._session, 1))
        self._url = url

    @contextmanager
    def on(self) -> Iterator[None]:
        options = {"clock": self.clock, "heartbeat_s": 0.1, "heartbeat_ttl_s": 1}
        with publishing(self._log, self._url, **options) as publisher:
            self._publisher = publisher
            self.wait_for_heartbeat()
            yield

    def wait_for_heartbeat(self) -> None:
        client: Any = connect(self._url)
        until(lambda: client.exists(KEYS.heartbeat()) == 1, "the heartbeat")
        client.close()

    def stage(self, index: int, stage: Stage) -> None:
        sequence = self._log.last_sequence() + 1
        self._log.append(stage_event(self._session, sequence, scored(index, stage)))
        self._publisher.notify()


@contextmanager
def program(command: list[str], folder: Path) -> Iterator[Any]:
    """Run a program; yield a function that returns the whole lines that it has printed."""
    out = folder / "out"
    with out.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=folder)
    try:
        yield lambda: out.read_text(encoding="utf-8").split("\n")[:-1]
    finally:
        process.kill()
        process.wait()


def alarm(latest: datetime, url: str) -> list[str]:
    return [sys.executable, "-c", python_blocks(PAGE)[0], f"{latest:%H:%M:%S}", url]


def soon(duration_s: float) -> datetime:
    """Return a local time in ``duration_s``. The alarm means the next such time of day."""
    return datetime.now() + timedelta(seconds=duration_s)


def test_the_alarm_rings_in_light_sleep(server: RedisServer, tmp_path: Path) -> None:
    night = Tonight(server.url)
    with night.on(), program(alarm(soon(1700), server.url), tmp_path) as lines:
        night.stage(0, Stage.N3)
        night.stage(1, Stage.N1)
        until(lambda: len(lines()) == 1, "the alarm")
    assert lines() == ["ring: N1 with 80%"]


def test_the_alarm_rings_at_the_latest_without_a_server(
    server: RedisServer, tmp_path: Path
) -> None:
    server.stop()
    with program(alarm(soon(2), server.url), tmp_path) as lines:
        until(lambda: any(line.startswith("ring") for line in lines()), "the alarm")
    assert lines()[-1] == "ring: it is time"


def test_the_alarm_waits_for_its_half_hour(server: RedisServer, tmp_path: Path) -> None:
    night = Tonight(server.url)
    with night.on(), program(alarm(soon(1900), server.url), tmp_path) as lines:
        night.stage(1, Stage.N1)
        client: Any = connect(server.url)
        until(lambda: any(c["cmd"] == "xread" for c in client.client_list()), "the alarm to read")
        client.close()
        assert lines() == []


@pytest.fixture
def lights(server: RedisServer, tmp_path: Path) -> list[str]:
    """The command of the lights in Node. Without Node the test is skipped."""
    command = [node(), "lights.mjs", server.url]
    (script,) = code_blocks(PAGE, "javascript")
    (tmp_path / "lights.mjs").write_text(script, encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    return command


def test_the_lights_in_node_follow_the_stages(
    server: RedisServer, tmp_path: Path, lights: list[str]
) -> None:
    night, expected = Tonight(server.url), []

    def wait_for(colour: str) -> None:
        expected.append(colour)
        until(lambda: lines() == expected, f"{expected}")

    with program(lights, tmp_path) as lines:
        wait_for("off")  # there is no monitor
        with night.on():
            night.stage(1, Stage.W)
            wait_for("white")
            server.stop()
            wait_for("off")
            server.start()  # empty: the monitor sends the night again
            night.wait_for_heartbeat()
            night.stage(2, Stage.N1)
            until(lambda: lines()[-1:] == ["orange"], "the stage after the restart")
            assert lines()[:3] + lines()[-1:] == ["off", "white", "off", "orange"]
            expected[:] = lines()
        wait_for("off")  # the monitor is gone


def test_the_lights_in_node_ignore_history_and_replays(
    server: RedisServer, tmp_path: Path, lights: list[str]
) -> None:
    replayed = MemoryEventLog()
    replayed.append(session_started(a_session("old"), 1))
    replayed.append(stage_event(a_session("old"), 2, scored(0, Stage.W)))
    with (
        publishing(replayed, server.url, session_id="old", timeline=None, clock=SystemClock()),
        program(lights, tmp_path) as lines,
    ):
        client: Any = connect(server.url)
        until(lambda: client.exists(KEYS.heartbeat()) == 1, "the replay's heartbeat")
        until(lambda: any(c["cmd"] == "xread" for c in client.client_list()), "the lights to read")
        client.close()
        until(lambda: lines() == ["off"], "the lights to stay off")
