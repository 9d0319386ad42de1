"""Reports to a service manager, in systemd's notification protocol (sd_notify(3)).

Without ``NOTIFY_SOCKET`` (in a terminal or a container) nobody listens, and nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress

from monitor.clock import Clock

EVERY_S = 5.0
"""Interval of the messages; `deploy/sleep-monitor.service` waits for minutes."""


def notify(message: str) -> None:
    """Send ``message``: lines such as ``READY=1``. A manager that refuses it is no error."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket, not a file
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)  # the night never waits for the manager
        manager.sendto(message.encode(errors="replace"), address)


class Watchdog:
    """Reports that the monitor is alive, and stops reporting while a part of it hangs.

    ``WATCHDOG=1`` means that since the last one every sleeper made a turn of its loop, and so did
    the loop that calls `tick`. If a sleeper hangs, in a driver or on a GPU, no ``WATCHDOG=1`` is
    sent; after a while the manager ends the process and starts it again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tick_s = self._alive_s = clock.monotonic_s()

    def tick(self, turns_s: Iterable[float], status: str) -> None:
        """Send a message if one is due. Call it often; ``turns_s``: see `Sleeper.turn_s`."""
        now_s = self._clock.monotonic_s()
        if now_s - self._tick_s < EVERY_S:
            return
        self._tick_s = now_s
        message = f"STATUS={' '.join(status.split())}"
        if all(turn_s > self._alive_s for turn_s in turns_s):
            self._alive_s = now_s
            message += "\nWATCHDOG=1"
        notify(message)
