"""Serves the page and the API until it is stopped: `serve`, and `run_web` for the command line."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from monitor.clock import Clock
from monitor.config import WebAddress, default_nights_folder
from monitor.errors import InputError, MonitorError
from monitor.web.api import WebParts, web_app
from monitor.web.connections import BoundedConnection
from monitor.web.hub import Hub
from monitor.web.link import print_link, token_for
from monitor.web.marks import MarkDesk
from monitor.web.nights import StoredNights
from monitor.web.stream import EventStreams

MOST_CONNECTIONS = 300
"""Connections at once; more are answered with 503. A page has two."""

LONGEST_REQUEST = 16 * 1024
"""Bytes of a request's first line and headers."""

END_S = 5.0
"""Time limit for the server to end; it cuts off readers after two seconds."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServedPage:
    """A page that is served at ``address``, by ``thread``."""

    address: WebAddress
    thread: threading.Thread


@contextmanager
def serve(
    address: WebAddress,
    redis_url: str,
    clock: Clock,
    *,
    token: str | None,
    hosts: Sequence[str] = (),
    nights: Path | None = None,
) -> Iterator[ServedPage]:
    """Serve the page at ``address`` while the block runs; yield it, with its real port.

    Port 0 means any that is free. ``token`` None: everybody who can connect may read and mark, so
    this is for loopback alone. ``nights``: the folder of stored nights; None: the user's. Raises
    `InputError` if the address cannot be used, or if ``redis_url`` is wrong.
    """
    if token is None and not address.is_loopback:
        raise InputError(f"{address} can be reached from other machines: the page needs a token")
    with _listening(address) as listener, Hub(redis_url, clock) as hub:
        streams = EventStreams(hub, clock)
        parts = WebParts(
            hub,
            MarkDesk(redis_url, clock),
            StoredNights(nights or default_nights_folder(), clock),
            streams,
        )
        server = uvicorn.Server(
            uvicorn.Config(
                web_app(parts, token, hosts),
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,  # a line would hold the token of a link
                server_header=False,
                proxy_headers=False,
                date_header=True,
                limit_concurrency=MOST_CONNECTIONS,
                h11_max_incomplete_event_size=LONGEST_REQUEST,
                timeout_graceful_shutdown=2,
            )
        )
        # In a thread of its own, uvicorn leaves the signals to the command line.
        thread = threading.Thread(
            target=asyncio.run, args=[server.serve([listener])], name="page server"
        )
        thread.start()
        try:
            yield ServedPage(WebAddress(address.host, listener.getsockname()[1]), thread)
        finally:
            streams.close()
            server.should_exit = True
            thread.join(END_S)


@contextmanager
def _listening(address: WebAddress) -> Iterator[socket.socket]:
    """Yield a socket that listens at ``address``. Raises `InputError` if it cannot."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        if os.name == "posix":  # on Windows it would let two programs share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address.host, address.port))
            listener.listen(128)
        except OSError as exc:
            raise InputError(
                f"the page cannot be served at {address}: {exc.strerror}; name another address or "
                f"port, such as {WebAddress(address.host, address.port % 65535 + 1)}"
            ) from exc
        yield listener


def run_web(
    address: WebAddress,
    redis_url: str,
    clock: Clock,
    stop: threading.Event,
    *,
    hosts: Sequence[str],
    beside: bool,
) -> None:
    """Serve the page until ``stop`` is set. ``beside``: also until standard input ends.

    A live night starts it ``beside`` itself: then it prints no link, and the night comes first
    where the machine is busy.
    """
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # a scanner of ports is no news
    with serve(address, redis_url, clock, token=token_for(address), hosts=hosts) as served:
        if beside:
            # The monitor itself says when its event server is away.
            logging.getLogger().setLevel(logging.WARNING)
            if hasattr(os, "nice"):
                os.nice(5)
            threading.Thread(target=_end_with_input, args=[stop], daemon=True).start()
        else:
            print_link(served.address, sys.stdout)
            sys.stdout.flush()
        while not stop.wait(1.0):
            if not served.thread.is_alive():
                raise MonitorError("the page's server ended by itself; start it again")


def _end_with_input(stop: threading.Event) -> None:
    # Not from the buffer: its lock would be held when the interpreter ends.
    with suppress(OSError):
        while os.read(sys.stdin.fileno(), 1024):
            pass
    stop.set()
