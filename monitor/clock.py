"""Time is passed in: the system clock in the product, a manual one in tests."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Wall time for people and events, monotonic time for intervals."""

    def utc(self) -> datetime:
        """Return the wall time, with its time zone."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start; they never step back."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Wait for ``duration_s``."""
        ...


class SystemClock:
    """The machine's clocks. The monotonic clock also counts the time of a suspended machine."""

    # On Linux CLOCK_MONOTONIC stops during suspend; on other systems it goes on.
    _steady = getattr(time, "CLOCK_BOOTTIME", None) or getattr(time, "CLOCK_MONOTONIC", None)

    def utc(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic() if self._steady is None else time.clock_gettime(self._steady)

    def sleep(self, duration_s: float) -> None:
        time.sleep(duration_s)


class Timeline:
    """Unix seconds that never step: it reads the wall clock once, then follows the monotonic clock.

    A live night uses it for all times. So no epoch moves when somebody sets the wall clock or the
    machine is suspended. ``offset_s`` (Unix time minus monotonic time) continues an earlier
    timeline within the same boot of the machine.
    """

    def __init__(self, clock: Clock, offset_s: float | None = None) -> None:
        self.clock = clock
        self.offset_s = (
            clock.utc().timestamp() - clock.monotonic_s() if offset_s is None else offset_s
        )

    def now_s(self) -> float:
        """Return the time in Unix seconds."""
        return self.clock.monotonic_s() + self.offset_s


def boot_id() -> str:
    """Return an id that differs after every boot of the machine; "" if the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class ManualClock:
    """A clock for tests: only `advance`, `sleep` and `set_utc` move it. Safe across threads."""

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

    def set_utc(self, utc: datetime) -> None:
        """Set the wall clock, as a person does. Monotonic time does not change."""
        with self._lock:
            self._start = utc - timedelta(seconds=self._elapsed_s)

    def advance(self, duration_s: float) -> None:
        """Move the clock forward by ``duration_s``."""
        with self._lock:
            self._elapsed_s += max(0.0, duration_s)
