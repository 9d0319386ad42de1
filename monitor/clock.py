"""Time is passed in: the system clock in the product, a manual one in tests."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time for people and events, monotonic time for intervals."""

    def utc(self) -> datetime: ...

    def monotonic_s(self) -> float: ...

    def sleep(self, duration_s: float) -> None: ...


class SystemClock:
    """The machine's clocks."""

    def utc(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        time.sleep(duration_s)


class ManualClock:
    """A clock that moves only when told, or by exactly what is slept. Safe across threads."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, 22, 0, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._lock = threading.Lock()

    def utc(self) -> datetime:
        with self._lock:
            return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic_s(self) -> float:
        with self._lock:
            return self._elapsed_s

    def sleep(self, duration_s: float) -> None:
        self.advance(duration_s)

    def advance(self, duration_s: float) -> None:
        with self._lock:
            self._elapsed_s += max(0.0, duration_s)
