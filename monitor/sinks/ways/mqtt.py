"""Publishes messages at an MQTT broker, each with the broker's receipt (QoS 1)."""

from __future__ import annotations

import secrets
import ssl
import threading
from typing import TYPE_CHECKING, Any

from monitor.clock import Clock, SystemClock
from monitor.closing import Closing
from monitor.config import MqttConfig
from monitor.errors import one_line
from monitor.sinks.deadline import Deadline
from monitor.sinks.ways.way import LIMIT_S, WayError, check_package
from monitor.text import clean

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

KEEPALIVE_S = 15
"""After one and a half times as long without a word from a client its last will is published."""


LOOK_S = 0.1
"""Interval at which a wait for a receipt looks whether the connection is still there."""


class MqttSender(Closing):
    """A connection to a broker.

    - ``will_topic``: the broker publishes "offline" there, retained, if the connection breaks.
    - `send` returns before the receipt; `flush` waits for the receipts of all messages.
    - Messages arrive in order. A message may arrive twice if the connection broke before its
      receipt: that is the promise of QoS 1.

    Every method raises `WayError` if the broker is away or refuses. The connection is then closed,
    the next call makes another one, and messages without a receipt are the caller's to send again.
    """

    def __init__(
        self,
        config: MqttConfig,
        will_topic: str | None = None,
        *,
        limit_s: float = LIMIT_S,
        clock: Clock | None = None,
    ) -> None:
        check_package("paho.mqtt", "mqtt", "[mqtt]")
        self._config = config
        self._will_topic = will_topic
        self._limit_s = limit_s
        self._clock = clock or SystemClock()
        self._client: Client | None = None
        self._answered = threading.Event()
        # The thread of paho writes these two.
        self._refusal = ""
        self._lost = ""
        self._unconfirmed: list[MQTTMessageInfo] = []

    @property
    def name(self) -> str:
        """The broker, for people: "MQTT at HOST:PORT"."""
        return f"MQTT at {self._config.host}:{self._config.port}"

    @property
    def is_connected(self) -> bool:
        """True if the broker took the connection, and it has not broken since."""
        return self._client is not None and self._answered.is_set() and not self._lost

    def connect(self) -> None:
        """Connect, unless it is connected."""
        if self.is_connected:
            return
        self.close()
        client = self._client = self._new_client()
        limit = Deadline(self._clock, self._limit_s)
        self._answered.clear()
        self._refusal = self._lost = ""
        try:
            client.connect(self._config.host, self._config.port, KEEPALIVE_S)
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            raise self._error(f"does not answer ({clean(one_line(exc))})") from exc
        client.loop_start()
        if not self._answered.wait(max(0.0, limit.left_s)):
            raise self._error("does not answer in MQTT")
        if self._refusal:
            raise self._error(f"refuses the connection ({self._refusal}): check [mqtt]")
        if self._lost:
            raise self._error(self._lost)

    def send(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish ``payload``; it is on its way when this returns."""
        client = self._connected()
        try:
            self._unconfirmed.append(client.publish(topic, payload, qos=1, retain=retain))
        except ValueError as exc:  # a topic with a wildcard, or a payload of 256 MB
            raise self._error(f"cannot take a message to {clean(topic)} ({exc})") from exc

    def flush(self) -> None:
        """Wait until the broker has confirmed every message."""
        self._connected()
        limit = Deadline(self._clock, self._limit_s)
        for message in self._unconfirmed:
            try:
                # paho does not end the wait if the connection breaks.
                while not (message.is_published() or self._lost) and limit.left_s > 0.0:
                    message.wait_for_publish(min(limit.left_s, LOOK_S))
            except (RuntimeError, ValueError) as exc:
                raise self._error(f"does not take messages ({one_line(exc)})") from exc
            if not message.is_published():
                raise self._error(self._lost or f"gave no receipt within {self._limit_s:g} s")
        self._unconfirmed.clear()

    def close(self) -> None:
        """Disconnect in order: the broker does not publish the last will."""
        client, self._client = self._client, None
        self._unconfirmed.clear()
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _connected(self) -> Client:
        if self._client is None:
            self.connect()
        if self._lost:
            raise self._error(self._lost)
        assert self._client is not None
        return self._client

    def _new_client(self) -> Client:
        from paho.mqtt.client import Client, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(
            CallbackAPIVersion.VERSION2,
            # A broker ends the older of two clients with one id.
            client_id=f"sleep-monitor-{secrets.token_hex(8)}",
            # Every broker speaks 3.1.1.
            protocol=MQTTv311,
            # Whoever uses this class decides when to try again, and what to send then.
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._limit_s
        config = self._config
        if config.username is not None:
            password = None if config.password is None else config.password.get_secret_value()
            client.username_pw_set(config.username, password)
        if config.tls:
            client.tls_set_context(ssl.create_default_context())
        if self._will_topic is not None:
            client.will_set(self._will_topic, "offline", qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        return client

    def _on_connect(self, client: Client, data: Any, flags: Any, reason: Any, more: Any) -> None:
        self._refusal = clean(str(reason)) if reason.is_failure else ""
        self._answered.set()

    def _on_disconnect(self, client: Client, data: Any, flags: Any, reason: Any, more: Any) -> None:
        self._lost = f"broke the connection ({clean(str(reason))})"
        self._answered.set()

    def _error(self, what: str) -> WayError:
        self.close()
        return WayError(f"{self.name} {what}")
