"""Services that all sleepers of a run share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from monitor.clock import Clock
from monitor.config import LiveOptions
from monitor.sinks.marks import MarkAnswer
from monitor.staging.backend import Backend

AT_FULL_PACE = 16
"""This many sleepers take a fifth of one core (`sleep-deploy benchmark live`)."""


@dataclass(frozen=True, slots=True)
class SharedServices:
    """The network, the clock and the event server of a run.

    - ``redis_url``: None in a run that publishes no events.
    - ``answer_mark`` answers a mark that somebody left on the event server; it never waits.
    - ``closing`` is set when the run ends: every sleeper then closes the night in order.
    """

    options: LiveOptions
    backend: Backend
    redis_url: str | None
    clock: Clock
    closing: threading.Event
    answer_mark: Callable[[MarkAnswer], None]

    @property
    def pace(self) -> float:
        """Factor by which the intervals of each sleeper's work grow if there are many sleepers.

        One process has one core's worth of Python. Without this, the work that waits for that core
        would come late for every sleeper.
        """
        return max(1.0, len(self.options.sleepers) / AT_FULL_PACE)
