"""The people monitored as plain lines, with their name first where there are several.

anna 22:30:04 waiting for an LSL stream of type EEG
anna 22:30:11 streaming
anna 23:14:30 epoch 128 N2 0.91 (live)
ben 23:14:32 failed: no room on the disk
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from types import TracebackType
from typing import IO, Self

from monitor.clock import Clock
from monitor.night.state import NightState, SleeperState
from monitor.sinks.dashboard.health import is_streaming
from monitor.sinks.log import Lines, NightNews

_REPEAT_S = 600.0


class SleepersLog:
    """Writes what is new of each sleeper to ``stream``; never raises because of the stream.

    - ``timezone`` None: local time.
    - A night that has epochs when it is first seen is a continued one: they are not repeated.
    """

    def __init__(self, stream: IO[str], clock: Clock, *, timezone: tzinfo | None = None) -> None:
        self._lines = Lines(stream)
        self._clock = clock
        self._timezone = timezone
        self._statuses: dict[str, _StatusNews] = {}
        self._nights: dict[tuple[str, str], NightNews] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, sleepers: Sequence[SleeperState]) -> None:
        """Write what changed since the last update."""
        for state in sleepers:
            name = f"{state.sleeper} " if len(sleepers) > 1 else ""
            self._lines.write(name + line for line in self._news(state))

    def skip(self, sleepers: Sequence[SleeperState]) -> None:
        """Take ``sleepers`` as already told."""
        for state in sleepers:
            for _ in self._news(state):
                pass

    def close(self) -> None:
        """Nothing is held back: every line is flushed as it is written."""

    def _news(self, state: SleeperState) -> Iterator[str]:
        status = self._statuses.setdefault(state.sleeper, _StatusNews())
        # Of a single sleeper the program says in its last line why it failed.
        told = status.is_due(state, self._clock.monotonic_s())
        if told and not (state.failed and not state.sleeper):
            at = self._clock.utc().astimezone(self._timezone).strftime("%H:%M:%S")
            yield f"{at} {'failed: ' if state.failed else ''}{state.status}"
        if state.night is not None:
            yield from self._night_news(state.sleeper, state.night)

    def _night_news(self, sleeper: str, night: NightState) -> Iterator[str]:
        key = (sleeper, night.session.id)
        if key not in self._nights:
            self._nights[key] = NightNews(self._timezone)
            if night.live:
                self._nights[key].skip(night)
                at = self._clock.utc().astimezone(self._timezone).strftime("%H:%M:%S")
                yield f"{at} the night goes on after {len(night.live)} epochs"
        yield from self._nights[key].of(night)


class _StatusNews:
    """When to tell what a source does: a countdown is told once, and a source that is tried
    again and again every ten minutes."""

    def __init__(self) -> None:
        self._now = ""
        self._told_s: dict[str, float] = {}

    def is_due(self, state: SleeperState, now_s: float) -> bool:
        status = re.sub(r"\d+", "#", f"{state.failed} {state.status}")
        if status == self._now or not state.status:
            return False
        self._now = status
        if is_streaming(state.status):
            self._told_s.clear()
        due = now_s - self._told_s.get(status, -_REPEAT_S) >= _REPEAT_S
        if due:
            self._told_s[status] = now_s
        return due
