"""Posts messages to a URL, signed as Standard Webhooks (https://www.standardwebhooks.com) says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import quote, urlsplit

from monitor.clock import Clock
from monitor.closing import Closing
from monitor.config import HttpConfig
from monitor.errors import one_line
from monitor.night.events import EventType, to_json
from monitor.sinks.ways.way import (
    LIMIT_S,
    CarriedNight,
    WayError,
    is_live_stage,
    position_key,
)
from monitor.text import clean
from monitor.types import Event

CLOUD_EVENT = "application/cloudevents+json; charset=utf-8"

SECRET_PREFIX = "whsec_"
"""Begins a secret in Base64. Any other secret stands for its UTF-8 bytes."""


class WebhookSender(Closing):
    """Posts to the URL of ``config``, or to another one.

    - A post is delivered if the answer is 2xx. A redirect is not followed: the events of a night
      must not go elsewhere.
    - Each post is a connection of its own, and ends after ``limit_s`` whatever the server does.
    - With a secret each post is signed: HMAC-SHA256 over "ID.TIMESTAMP.BODY".

    `send` raises `WayError` if the post was not delivered. The server may have it nevertheless, and
    then knows the message again by its id.
    """

    def __init__(self, config: HttpConfig, clock: Clock, limit_s: float = LIMIT_S) -> None:
        self._config = config
        self._clock = clock
        self._limit_s = limit_s

    @property
    def name(self) -> str:
        """The server, for people: "HTTP at HOST". The rest of a URL may be a secret."""
        return _name(self._config.url.get_secret_value())

    def connect(self) -> None:
        """Do nothing: each post connects."""

    def send(
        self,
        message_id: str,
        body: str,
        content_type: str = "application/json",
        *,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Post ``body`` to ``url`` (None: that of the configuration); return once it is delivered.

        Send a message again under the same ``message_id``, which is ASCII without line breaks.
        """
        target = self._config.url.get_secret_value() if url is None else url
        data = body.encode()
        sent = {**(headers or {}), "Content-Type": content_type, "User-Agent": "sleep-monitor"}
        sent |= self._signature(message_id, data)
        try:
            status = _post(target, data, sent, self._limit_s)
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise WayError(f"{_name(target)} does not answer ({clean(one_line(exc))})") from exc
        if 300 <= status < 400:
            raise WayError(
                f"{_name(target)} answers {status}, a redirect, which is not followed: name the "
                "URL that it leads to"
            )
        if not 200 <= status < 300:
            raise WayError(f"{_name(target)} does not take the event: it answers {status}")

    def close(self) -> None:
        """Do nothing: no connection is open."""

    def _signature(self, message_id: str, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._clock.utc().timestamp()))
        headers = {"webhook-id": message_id, "webhook-timestamp": timestamp}
        if self._config.secret is not None:
            signed = f"{message_id}.{timestamp}.".encode() + body
            key = secret_bytes(self._config.secret.get_secret_value())
            digest = hmac.new(key, signed, hashlib.sha256).digest()
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return headers


def secret_bytes(secret: str) -> bytes:
    """Return the key that ``secret`` stands for."""
    if secret.startswith(SECRET_PREFIX):
        with suppress(binascii.Error):
            return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    return secret.encode()


def _name(url: str) -> str:
    return f"HTTP at {clean(urlsplit(url).hostname or '')}"


def _post(url: str, body: bytes, headers: dict[str, str], limit_s: float) -> int:
    """Return the status of the answer. Raises OSError, HTTPException or ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the URL must begin with http:// or https://, and name a host")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=limit_s, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=limit_s)
    # The socket's own limit is for each read: a server that sends a byte now and then resets it.
    cutter = threading.Timer(limit_s, _cut, [connection])
    cutter.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers)
        return connection.getresponse().status
    finally:
        cutter.cancel()
        connection.close()


def _cut(connection: http.client.HTTPConnection) -> None:
    if isinstance(connection.sock, socket.socket):
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


class WebhookWay:
    """Fulfils `Way`: posts each event as CloudEvents JSON.

    The id of a message names the session and the event, also when the event is sent again.
    """

    batch = 1
    longest_pause_s = 30.0

    def __init__(self, config: HttpConfig, night: CarriedNight, clock: Clock) -> None:
        self._revised = config.revised
        self._sender = WebhookSender(config, clock)
        self._headers = {"sleep-monitor-mode": "live" if night.is_live else "replay"}
        self.name = self._sender.name
        self.key = position_key("http", config.url.get_secret_value())

    def connect(self) -> None:
        """See `Way.connect`."""
        self._sender.connect()

    def wants(self, event: Event) -> bool:
        """See `Way.wants`."""
        return self._revised or event.type != EventType.STAGE or is_live_stage(event)

    def send(self, events: Sequence[Event]) -> None:
        """See `Way.send`."""
        for event in events:
            message_id = quote(f"{event.source}/{event.id}", safe="/%")
            self._sender.send(message_id, to_json(event), CLOUD_EVENT, headers=self._headers)

    def settle(self) -> None:
        """Do nothing: nobody listens between two posts."""

    def close(self) -> None:
        """See `Way.close`."""
        self._sender.close()
