"""Time is passed in: the system clock in the product, a manual one in tests."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Wall time for people and events, monotonic time for intervals."""

    def utc(self) -> datetime: ...

    def monotonic_s(self) -> float: ...

    def sleep(self, duration_s: float) -> None: ...


class SystemClock:
    """The machine's clocks. Monotonic time goes on while the machine is suspended."""

    # On Linux CLOCK_MONOTONIC stands still in suspend; elsewhere the monotonic clock does not.
    _steady = getattr(time, "CLOCK_BOOTTIME", None) or getattr(time, "CLOCK_MONOTONIC", None)

    def utc(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic() if self._steady is None else time.clock_gettime(self._steady)

    def sleep(self, duration_s: float) -> None:
        time.sleep(duration_s)


class Timeline:
    """Unix seconds that never step: the wall clock read once, carried on by the monotonic clock.

    Everything live is timed by it, so that a wall clock that is set, or a machine that sleeps,
    moves no epoch. ``offset_s`` (unix time minus monotonic time) continues an earlier timeline,
    within the same boot of the machine.
    """

    def __init__(self, clock: Clock, offset_s: float | None = None) -> None:
        self.clock = clock
        self.offset_s = (
            clock.utc().timestamp() - clock.monotonic_s() if offset_s is None else offset_s
        )

    def now_s(self) -> float:
        return self.clock.monotonic_s() + self.offset_s


def boot_id() -> str:
    """What differs after every start of the machine; "" where that cannot be told (not Linux)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


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
