"""A real mosquitto on a free port, and a client that records what it publishes."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from monitor.closing import Closing
from tests.sinks.waiting import until

PLACES = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
"""Folders of mosquitto that are often not in a user's PATH."""


def mosquitto() -> str | None:
    """Return the path of the program; None if it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=PLACES)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker(Closing):
    """A broker that keeps sessions and retained messages in ``folder``, also over a `kill`."""

    def __init__(self, folder: Path, lines: str = "allow_anonymous true") -> None:
        self.port = free_port()
        self._file = folder / "mosquitto.conf"
        self._file.write_text(
            f"listener {self.port} 127.0.0.1\n{lines}\n"
            # Without limits: a subscriber that is away misses nothing. Saved after each change.
            f"max_queued_messages 0\npersistence true\npersistence_location {folder}/\n"
            "autosave_interval 1\nautosave_on_changes true\nuser root\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = mosquitto()
        assert program is not None
        self._process = subprocess.Popen(
            [program, "-c", str(self._file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, "mosquitto")

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Subscriber(Closing):
    """Records every message from now on, and the retained ones; it outlives the broker.

    It has a session at the broker: what is published while it is away comes later.
    """

    def __init__(self, port: int, topic: str = "#") -> None:
        self.messages: list[tuple[str, str, bool]] = []
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="subscriber", clean_session=False
        )
        ready: list[Any] = []
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: ready.append(True)
        self._client.on_message = lambda _, __, message: self.messages.append(
            (message.topic, message.payload.decode(), message.retain)
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        until(lambda: bool(ready), "the subscription")

    def on(self, topic: str) -> list[str]:
        """Return the payloads on ``topic``, in order."""
        return [payload for found, payload, _ in self.messages if found == topic]

    def sequences(self, topic: str = "sleep-monitor/sleeper/events") -> list[int]:
        return [int(json.loads(payload)["sequence"]) for payload in self.on(topic)]

    def state(self, topic: str = "sleep-monitor/sleeper/state") -> dict[str, Any]:
        """Return the newest state; {} if there is none."""
        states = self.on(topic)
        return json.loads(states[-1]) if states else {}

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def retained(port: int) -> dict[str, str]:
    """Return what the broker retains, by topic."""
    with Subscriber(port) as subscriber:
        until(lambda: _is_quiet(subscriber), "the retained messages")
        return {topic: payload for topic, payload, retain in subscriber.messages if retain}


def _is_quiet(subscriber: Subscriber) -> bool:
    import time

    before = len(subscriber.messages)
    time.sleep(0.1)
    return len(subscriber.messages) == before
