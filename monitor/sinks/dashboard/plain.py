"""The nights of all sleepers as plain lines, with a name in front if there are several.

anna 22:30:04 waiting for an LSL stream of type EEG
anna 22:30:11 streaming
anna 23:14:30 epoch 128 N2 0.91 (live)
ben 23:14:32 failed: no room on the disk
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import IO

from monitor.clock import Clock
from monitor.closing import Closing
from monitor.night.state import NightState, SleeperState
from monitor.sinks.dashboard.health import is_streaming
from monitor.sinks.log import Lines
from monitor.sinks.news import NightNews

_REPEAT_S = 600.0
"""Shortest time between two reports of one status that comes and goes."""

_FIRST_AGAIN_S = 60.0
"""A status that stays is reported again after this time; after twice as long each time, at most
`_REPEAT_S`. So the reader of a journal sees that the monitor still waits."""


class SleepersLog(Closing):
    """A live view that writes what is new about each sleeper to ``stream``.

    - It never raises because of the stream: see `Lines`.
    - ``timezone`` None: local time.
    - A night that has epochs when it first appears was resumed: these epochs are not repeated.
    """

    def __init__(self, stream: IO[str], clock: Clock, *, timezone: tzinfo | None = None) -> None:
        self._lines = Lines(stream)
        self._clock = clock
        self._timezone = timezone
        self._statuses: dict[str, _StatusNews] = {}
        self._nights: dict[tuple[str, str], NightNews] = {}

    def update(self, sleepers: Sequence[SleeperState]) -> None:
        """Write what changed since the last update."""
        for state in sleepers:
            name = f"{state.sleeper} " if len(sleepers) > 1 else ""
            self._lines.write(name + line for line in self._news(state))

    def skip(self, sleepers: Sequence[SleeperState]) -> None:
        """Write nothing for ``sleepers``: lines begin with the changes after them."""
        for state in sleepers:
            for _ in self._news(state):
                pass

    def close(self) -> None:
        """Do nothing: every line is flushed as it is written."""

    def _news(self, state: SleeperState) -> Iterator[str]:
        status = self._statuses.setdefault(state.sleeper, _StatusNews())
        due = status.is_due(state, self._clock.monotonic_s())
        # If the only sleeper's monitor fails, the program prints the reason as its last line.
        if due and not (state.failed and not state.sleeper):
            yield f"{self._time_text()} {'failed: ' if state.failed else ''}{state.status}"
        if state.night is not None:
            yield from self._night_news(state.sleeper, state.night)

    def _night_news(self, sleeper: str, night: NightState) -> Iterator[str]:
        key = (sleeper, night.session.id)
        if key not in self._nights:
            self._nights[key] = NightNews(self._timezone)
            if night.live:
                self._nights[key].skip(night)
                yield f"{self._time_text()} the night continues after {len(night.live)} epochs"
        yield from self._nights[key].of(night)

    def _time_text(self) -> str:
        return self._clock.utc().astimezone(self._timezone).strftime("%H:%M:%S")


class _StatusNews:
    """Decides when to report what a source does.

    A countdown is reported once. A source that fails again and again is reported every
    `_REPEAT_S` seconds. A source that waits is reported again (`_FIRST_AGAIN_S`).
    """

    def __init__(self) -> None:
        self._now = ""
        self._reported_s: dict[str, float] = {}
        self._again_s = math.inf  # when the status is reported again if it stays
        self._pause_s = _FIRST_AGAIN_S

    def is_due(self, state: SleeperState, now_s: float) -> bool:
        # "in 4 s" and "in 3 s" are one status.
        status = re.sub(r"\d+", "#", f"{state.failed} {state.status}")
        if not state.status:
            return False
        if status == self._now:
            return self._is_due_again(state, status, now_s)
        self._now = status
        self._pause_s = _FIRST_AGAIN_S
        stays = not state.failed and not is_streaming(state.status)
        self._again_s = now_s + self._pause_s if stays else math.inf
        if is_streaming(state.status):
            self._reported_s.clear()
        due = now_s - self._reported_s.get(status, -_REPEAT_S) >= _REPEAT_S
        if due:
            self._reported_s[status] = now_s
        return due

    def _is_due_again(self, state: SleeperState, status: str, now_s: float) -> bool:
        """Return True if a status that stays must be reported again."""
        if now_s < self._again_s:
            return False
        self._pause_s = min(_REPEAT_S, 2.0 * self._pause_s)
        self._again_s = now_s + self._pause_s
        self._reported_s[status] = now_s
        return True
