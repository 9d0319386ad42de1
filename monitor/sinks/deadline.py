"""A limit on a wait, measured with the clock that was passed in."""

from __future__ import annotations

from monitor.clock import Clock


class Deadline:
    """The moment ``limit_s`` after its creation, on ``clock``.

    Some waits are real whatever the clock is: for an `Event`, a process, an answer of the server.
    The caller reports them with `waited`. Without that, a `ManualClock` that nobody advances would
    make the wait endless.
    """

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._start_s = clock.monotonic_s()
        self._waited_s = 0.0

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; 0 or less once it has passed."""
        elapsed_s = self._clock.monotonic_s() - self._start_s
        return self._limit_s - max(elapsed_s, self._waited_s)

    def waited(self, duration_s: float) -> None:
        """Count a real wait of ``duration_s``."""
        self._waited_s += duration_s
