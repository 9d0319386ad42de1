"""Sends OSC messages by UDP, for Unity, Max, TouchDesigner and others."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from monitor.closing import Closing
from monitor.config import OscConfig
from monitor.errors import one_line
from monitor.sinks.ways.way import WayError, check_package
from monitor.text import clean

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
