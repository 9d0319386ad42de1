"""Sends OSC messages by UDP, for Unity, Max, TouchDesigner and others."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.contract import STAGES
from monitor.closing import Closing
from monitor.config import OscConfig
from monitor.errors import one_line
from monitor.night.events import EventType
from monitor.sinks.ways.so_far import UNSCORED, is_asleep
from monitor.sinks.ways.way import (
    REPLAY,
    CarriedNight,
    WayError,
    check_package,
    is_live_stage,
    position_key,
)
from monitor.text import clean
from monitor.types import Event

FRESH_S = 60.0
"""Older events are not sent: an OSC message carries no time, and would pass for news."""

CODES = {stage.value: code for code, stage in enumerate(STAGES)}
"""The stages as numbers, as in the CSV file."""

UNSCORED_CODE = -2

if TYPE_CHECKING:
    from pythonosc.udp_client import SimpleUDPClient


class OscSender(Closing):
    """Sends to one host and port. UDP gives no receipt: a message may be lost without a word.

    Both methods raise `WayError` if this machine cannot send, such as without a network.
    """

    def __init__(self, config: OscConfig) -> None:
        check_package("pythonosc", "osc", "[osc]")
        self._config = config
        self._client: SimpleUDPClient | None = None

    @property
    def name(self) -> str:
        """The peer, for people: "OSC to HOST:PORT"."""
        return f"OSC to {self._config.host}:{self._config.port}"

    def connect(self) -> None:
        """Find the host's address, once: later sends never wait for the network's name service."""
        from pythonosc.udp_client import SimpleUDPClient

        if self._client is not None:
            return
        try:
            found = socket.getaddrinfo(self._config.host, self._config.port, type=socket.SOCK_DGRAM)
            self._client = SimpleUDPClient(str(found[0][4][0]), self._config.port)
        except (OSError, UnicodeError) as exc:
            raise WayError(f"{self.name} finds no host ({clean(one_line(exc))})") from exc

    def send(self, address: str, *values: int | float | str) -> None:
        """Send one message: int32, float32 and string values to ``address``, such as "/lamp/on"."""
        self.connect()
        assert self._client is not None
        try:
            self._client.send_message(address, list(values))
        except OSError as exc:
            raise WayError(f"{self.name} cannot send ({clean(one_line(exc))})") from exc

    def close(self) -> None:
        """Close the socket."""
        client, self._client = self._client, None
        if client is not None:
            client._sock.close()


class OscWay:
    """Fulfils `Way`: see WAYS.md for the addresses. It sends only what is new."""

    batch = 64
    longest_pause_s = 5.0

    def __init__(self, config: OscConfig, night: CarriedNight) -> None:
        self._night = night
        self._sender = OscSender(config)
        node = f"/{night.node}" if night.node else ""
        self._prefix = f"/sleep-monitor{'' if night.is_live else REPLAY}{node}"
        self.name = self._sender.name
        self.key = position_key("osc", config.host, config.port)
        self._n_epochs = 0

    def connect(self) -> None:
        """See `Way.connect`."""
        self._sender.connect()

    def wants(self, event: Event) -> bool:
        """See `Way.wants`."""
        is_revision = event.type == EventType.STAGE and not is_live_stage(event)
        return not is_revision and self._night.age_s(event) <= FRESH_S

    def send(self, events: Sequence[Event]) -> None:
        """See `Way.send`."""
        for event in events:
            self._send(event)

    def settle(self) -> None:
        """Say that the monitor lives: who listens cannot notice otherwise that it is gone."""
        self._sender.send(f"{self._prefix}/alive", self._n_epochs)

    def close(self) -> None:
        """See `Way.close`."""
        self._sender.close()

    def _send(self, event: Event) -> None:
        data, prefix, send = event.data, self._prefix, self._sender.send
        match event.type:
            case EventType.STAGE:
                stage, age_s = data["stage"], self._night.age_s(event)
                self._n_epochs = data["epoch_index"] + 1
                asleep = is_asleep(stage)
                if (p := data["probabilities"]) is not None:
                    send(f"{prefix}/probabilities", *(float(p[each]) for each in CODES))
                send(f"{prefix}/asleep", -1 if asleep is None else int(asleep))
                code = UNSCORED_CODE if stage is None else CODES[stage]
                confidence = float(data["confidence"] or 0.0)
                # The last of the epoch's messages: an app that reacts to it has the others.
                send(f"{prefix}/stage", code, stage or UNSCORED, confidence, age_s)
            case EventType.SIGNAL:
                send(f"{prefix}/signal", data["state"], data["reason"] or "")
            case EventType.CHANNELS:
                for channel in data["channels"]:
                    send(f"{prefix}/electrode", channel["name"], channel["contact"])
            case EventType.MARK:
                send(f"{prefix}/mark", data["kind"], data["text"] or "")
            case EventType.SESSION_STARTED | EventType.SESSION_RESUMED | EventType.SESSION_ENDED:
                send(f"{prefix}/session", event.type.split(".")[2])
