"""Tells a service manager how the night goes, in systemd's notification protocol (sd_notify(3)).

Where nothing listens (``NOTIFY_SOCKET`` is not set: a terminal, a container), nothing is done.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress

from monitor.clock import Clock

EVERY_S = 5.0
"""How often the manager hears; `deploy/sleep-monitor.service` waits for minutes."""


def notify(message: str) -> None:
    """Send ``message``, lines such as ``READY=1``. A manager that does not take it is no error."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # in the abstract namespace, not a file
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)  # the night waits for nobody
        manager.sendto(message.encode(errors="replace"), address)


class Watchdog:
    """Says that the monitor is alive for as long as it is.

    A ``WATCHDOG=1`` says that since the one before every sleeper made a turn of its loop, and that
    so did the loop that calls `tick`. It stays out while one hangs, in a driver or on a GPU, until
    that goes on or the manager ends the process and starts it again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tick_s = self._alive_s = clock.monotonic_s()

    def tick(self, turns_s: Iterable[float], status: str) -> None:
        """Call it often. ``turns_s``: the monotonic time of every sleeper's last turn, of its next
        one while it waits to try again, infinite for one that has ended."""
        now_s = self._clock.monotonic_s()
        if now_s - self._tick_s < EVERY_S:
            return
        self._tick_s = now_s
        message = f"STATUS={' '.join(status.split())}"
        if all(turn_s > self._alive_s for turn_s in turns_s):
            self._alive_s = now_s
            message += "\nWATCHDOG=1"
        notify(message)
