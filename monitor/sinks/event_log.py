"""`EventLog`: the source from which a sink reads the events of a night.

`NightStore` is an event log, and `MemoryEventLog` is one for tests.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Protocol

from monitor.types import Event


class EventLog(Protocol):
    """The events of one session.

    - They are numbered 1, 2, ... without gaps (``Event.sequence``).
    - Every method may be called from any thread.
    """

    def events_after(self, sequence: int, limit: int) -> list[Event]:
        """Return at most ``limit`` events with a greater sequence, in order."""
        ...

    def last_sequence(self) -> int:
        """Return the sequence of the newest event; 0 if there is none."""
        ...

    def mark_published(self, sequence: int, utc: datetime) -> None:
        """Record that the event server holds every event up to ``sequence``.

        After the server lost its data the publisher sends the night again, and calls this again
        with numbers it has used before.
        """
        ...

    def mark_sent(self, sink: str, sequence: int) -> None:
        """Keep that ``sink`` has sent every event up to ``sequence``, also for a restart."""
        ...

    def sent_to(self, sink: str) -> int:
        """Return the last sequence that `mark_sent` kept for ``sink``; 0 if there is none."""
        ...


class MemoryEventLog:
    """An event log that lasts as long as the process."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._lock = threading.Lock()
        self.published: list[int] = []
        """Every sequence that was passed to `mark_published`, in order."""
        self._sent: dict[str, int] = {}

    def append(self, event: Event) -> None:
        """Add the next event. Raises ValueError if its sequence is not the next one."""
        with self._lock:
            if event.sequence != len(self._events) + 1:
                raise ValueError(
                    f"sequence must be {len(self._events) + 1}, the next one, got {event.sequence}"
                )
            self._events.append(event)

    def events_after(self, sequence: int, limit: int) -> list[Event]:
        with self._lock:
            return self._events[sequence : sequence + limit]

    def last_sequence(self) -> int:
        with self._lock:
            return len(self._events)

    def mark_published(self, sequence: int, utc: datetime) -> None:
        with self._lock:
            self.published.append(sequence)

    def mark_sent(self, sink: str, sequence: int) -> None:
        with self._lock:
            self._sent[sink] = sequence

    def sent_to(self, sink: str) -> int:
        with self._lock:
            return self._sent.get(sink, 0)
