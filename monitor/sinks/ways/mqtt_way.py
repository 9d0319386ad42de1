"""Carries a night to an MQTT broker: its events, its state, its availability, its announcement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from monitor.clock import Clock
from monitor.config import MqttConfig
from monitor.night.events import to_json
from monitor.sinks.event_log import EventLog
from monitor.sinks.ways.home_assistant import announcements
from monitor.sinks.ways.mqtt import MqttSender
from monitor.sinks.ways.so_far import NightSoFar
from monitor.sinks.ways.way import REPLAY, CarriedNight, WayError, position_key
from monitor.types import Event

NAMELESS = "sleeper"
"""The part of the topics of a sleeper without a name."""


class MqttWay:
    """Fulfils `Way`: see WAYS.md for the topics.

    - The state is folded from the events that the broker has. It is published when all of them are
      there, so history never passes for news.
    - A live night's state, availability and announcement are retained. A replay is not announced,
      leaves nothing at the broker, and has topics of its own.
    """

    batch = 64
    longest_pause_s = 5.0

    def __init__(
        self, config: MqttConfig, night: CarriedNight, log: EventLog, clock: Clock | None = None
    ) -> None:
        self._config = config
        self._night = night
        self._log = log
        self._base = f"{config.topic}{'' if night.is_live else REPLAY}/{night.node or NAMELESS}"
        will_topic = f"{self._base}/availability" if night.is_live else None
        self._sender = MqttSender(config, will_topic, clock=clock)
        self.name = self._sender.name
        self.key = position_key("mqtt", config.host, config.port, self._base)
        self._is_open = False
        self._so_far = NightSoFar(night.session.channels)
        self._folded = 0
        self._sent = 0
        self._state = ""  # as it was published

    def connect(self) -> None:
        """See `Way.connect`. The broker may have lost what it retained: it gets it again."""
        if self._is_open:
            return
        self._sender.connect()
        self._is_open, self._state = True, ""
        self._sent = self._log.sent_to(self.key)
        session, config = self._night.session, self._config
        if self._night.is_live:
            if config.discovery:
                for topic, payload in announcements(
                    config.discovery, self._base, session.sleeper, session.channels
                ).items():
                    self._sender.send(topic, payload, retain=True)
            self._sender.flush()

    def wants(self, event: Event) -> bool:
        """See `Way.wants`."""
        return True

    def send(self, events: Sequence[Event]) -> None:
        """See `Way.send`."""
        for event in events:
            self._sender.send(f"{self._base}/events", to_json(event))
        self._sender.flush()
        self._sent = events[-1].sequence

    def settle(self) -> None:
        """Publish the state if it has changed; notice a connection that broke."""
        while self._folded < self._sent:
            limit = min(256, self._sent - self._folded)
            for event in self._log.events_after(self._folded, limit):
                self._so_far.add(event)
                self._folded = event.sequence
        mode = "live" if self._night.is_live else "replay"
        values = {**self._so_far.values(), "mode": mode, "sleeper": self._night.session.sleeper}
        state = json.dumps(values, ensure_ascii=False)
        if state != self._state and self._folded:
            self._sender.send(f"{self._base}/state", state, retain=self._night.is_live)
            # After the state: else what is retained of the night before would pass for news.
            if self._night.is_live and not self._state:
                self._sender.send(f"{self._base}/availability", "online", retain=True)
            self._state = state
        self._sender.flush()

    def close(self) -> None:
        """See `Way.close`."""
        if self._sender.is_connected and self._night.is_live:
            with suppress(WayError):  # the broker then publishes the last will
                self._sender.send(f"{self._base}/availability", "offline", retain=True)
                self._sender.flush()
        self._sender.close()
        self._is_open = False
