"""Services that all sleepers of a run share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.clock import Clock
from monitor.config import LiveOptions
from monitor.errors import InputError
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
    - ``owners``: the sleeper of each device that was found, by its identity.
    """

    options: LiveOptions
    backend: Backend
    redis_url: str | None
    clock: Clock
    closing: threading.Event
    answer_mark: Callable[[MarkAnswer], None]
    owners: dict[str, str] = field(default_factory=dict)

    def claim(self, identity: str, sleeper: str) -> None:
        """Note that ``sleeper`` has the device ``identity``; "" if the source does not know it.

        Raises `InputError` if another sleeper has it: their options can name one stream in two
        ways, and only the stream shows it.
        """
        # Called from each sleeper's thread; `setdefault` is atomic.
        if identity and (owner := self.owners.setdefault(identity, sleeper)) != sleeper:
            raise InputError(
                f"{owner} and {sleeper} have one source, {identity}: one headband gives one "
                "sleeper's EEG, so give each a source of their own"
            )

    @property
    def pace(self) -> float:
        """Factor by which the intervals of each sleeper's work grow if there are many sleepers.

        One process has one core's worth of Python. Without this, the work that waits for that core
        would come late for every sleeper.
        """
        return max(1.0, len(self.options.sleepers) / AT_FULL_PACE)
