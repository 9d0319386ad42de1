"""The contract of a way out, and what all of them share: the error, the limit, the packages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from typing import Protocol

from monitor.errors import InputError, MonitorError
from monitor.night.events import EventType
from monitor.types import Event, Session, Track

LIMIT_S = 5.0
"""Time limit of each call that waits for a peer: to connect, or for its receipt. A webhook in a
cloud may need seconds to start, and a live night has 10 s to end."""


REPLAY = "-replay"
"""Follows the first word of a replay's topics, addresses and streams: no app takes it for news."""


class WayError(MonitorError):
    """The peer of a way out is away or refuses; the text names it and says how, without secrets."""


@dataclass(frozen=True, slots=True)
class CarriedNight:
    """The night that a way carries.

    ``now_utc`` returns the time on the night's clock, which nobody sets; None: a replay, whose
    events have no place in today's time.
    """

    session: Session
    now_utc: Callable[[], datetime] | None

    @property
    def is_live(self) -> bool:
        """False for a replay."""
        return self.now_utc is not None

    @property
    def node(self) -> str:
        """The sleeper's part of topics, addresses and stream names; "" if it has no name.

        It holds only ASCII letters, digits, ``_`` and ``-``. If the name holds others, some digits
        of its hash keep it apart from similar names.
        """
        name = self.session.sleeper
        node = re.sub("[^A-Za-z0-9_-]", "_", name)
        return node if node == name else f"{node}_{hashlib.sha256(name.encode()).hexdigest()[:4]}"

    def age_s(self, event: Event) -> float:
        """Return how long ago ``event`` happened, in seconds; 0 in a replay."""
        if self.now_utc is None:
            return 0.0
        return (self.now_utc() - event.time).total_seconds()


def is_live_stage(event: Event) -> bool:
    """Return True if ``event`` is a prediction of the live track."""
    return event.type == EventType.STAGE and event.data["track"] == Track.LIVE


class Way(Protocol):
    """A way out for the events of one night. One thread calls it.

    Every method waits for `LIMIT_S` at most, and raises `WayError` if the peer is away or refuses.
    Then the caller closes the way, and connects again later.
    """

    name: str
    """The way and its peer, for people: "MQTT at HOST:PORT". It holds no secret."""

    key: str
    """The name under which the night's file keeps how far the events were sent."""

    batch: int
    """Events that are sent before their place is kept. So many may be sent twice after a kill."""

    longest_pause_s: float
    """The longest pause between two attempts."""

    def connect(self) -> None:
        """Be ready to send."""
        ...

    def wants(self, event: Event) -> bool:
        """Return True if ``event`` is sent at all."""
        ...

    def send(self, events: Sequence[Event]) -> None:
        """Send at most ``batch`` events; return once the peer has them, if it gives receipts."""
        ...

    def settle(self) -> None:
        """Bring what depends on time up to date: all events are sent. It is called every 5 s."""
        ...

    def close(self) -> None:
        """Leave the peer. It never raises, and a second call does nothing."""
        ...


def position_key(kind: str, *peer: object) -> str:
    """Return `Way.key`: ``kind``, and a hash of the peer, whose address may hold a secret."""
    digest = hashlib.sha256("\n".join(map(str, peer)).encode()).hexdigest()
    return f"{kind} {digest[:12]}"


def check_package(module: str, extra: str, needed_by: str) -> None:
    """Raise `InputError` with the pip command if the package of ``module`` is not installed.

    ``extra``: the extra of this project that installs it. ``needed_by``: "[mqtt]", for people.
    """
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing
        found = False
    if not found:
        raise InputError(
            f"{needed_by} needs a package that is not installed: run pip install '.[{extra}]' in "
            "the monitor's source folder"
        )
