"""Follows the events of a server as another app would: the events so far, then the new ones."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import redis

from monitor.backoff import Backoff
from monitor.clock import Clock, SystemClock
from monitor.errors import MonitorError
from monitor.night.events import EventType, from_json, session_id_of
from monitor.sinks.deadline import Deadline
from monitor.sinks.redis_client import PREFIX, Keys, connect, safe_text, safe_url
from monitor.text import clean
from monitor.types import Event

BLOCK_S = 0.5
"""Time for which the server holds a read open until an entry comes."""

READ_TIMEOUT_S = 5.0
"""Time limit for an answer: longer than `BLOCK_S`, so that a read without entries does not fail."""

REMEMBERED = 200_000
"""Events remembered in order to drop repeats: twice as many as the stream holds."""


class Follower:
    """Iterates over the events of a server: the events so far, then the new ones as they come.

    - Iterating yields (event, its JSON text) until ``stop`` is set, without ``stop`` for ever.
    - A repeated event is yielded once. Exception: a session that starts again after it ended is a
      replay that is run again, and all its events are yielded again.
    - If the server is away or restarts, the follower waits for it. ``notice`` is called once when
      it goes, and once when it is back. After ``wait_limit_s`` away it raises `MonitorError`.
    - Raises `MonitorError` if the server refuses the login, `InputError` if ``url`` is wrong.
    - `entry` is the id, in the stream, of the event that was yielded last. `is_away` is True while
      the server does not answer. Any thread may read it.

    ``clock`` is the machine's if None.
    """

    def __init__(
        self,
        url: str,
        *,
        notice: Callable[[str], None],
        wait_limit_s: float | None = None,
        stop: threading.Event | None = None,
        prefix: str = PREFIX,
        clock: Clock | None = None,
    ) -> None:
        self._url = url
        self._notice = notice
        self._wait_limit_s = wait_limit_s
        self._stop = stop or threading.Event()
        self._clock = clock or SystemClock()
        self._stream = Keys(prefix).events
        self._client: Any = connect(url, timeout_s=READ_TIMEOUT_S)
        self._last_entry = self.entry = "0-0"
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._ended: set[str] = set()
        # While the server is away: when to give up. None while it is there.
        self._give_up: Deadline | None = None

    @property
    def is_away(self) -> bool:
        return self._give_up is not None

    def __iter__(self) -> Iterator[tuple[Event, str]]:
        backoff = Backoff(first_s=0.1, longest_s=2.0)
        connected = False
        try:
            while not self._stop.is_set():
                try:
                    if not connected:
                        self._rewind_if_lost()
                    entries = self._read()
                except redis.AuthenticationError as exc:
                    raise MonitorError(
                        f"{safe_url(self._url)} refuses the login: {safe_text(exc, self._url)}"
                    ) from None
                # ValueError: another program listens there, and its answer is no Redis protocol.
                except (redis.RedisError, OSError, ValueError) as exc:
                    connected = False
                    self._wait_for_server(exc, backoff.next_s())
                    continue
                if self._give_up is not None:
                    self._notice(f"{safe_url(self._url)} is back")
                connected, self._give_up = True, None
                backoff.reset()
                yield from self._new_events(entries)
        finally:
            self._client.close()

    def _wait_for_server(self, exc: Exception, pause_s: float) -> None:
        """Pause before the next attempt. Raises `MonitorError` once ``wait_limit_s`` has passed."""
        address = f"{safe_url(self._url)} ({safe_text(exc, self._url)})"
        if self._give_up is None:
            limit_s = float("inf") if self._wait_limit_s is None else self._wait_limit_s
            self._give_up = Deadline(self._clock, limit_s)
            self._notice(f"no events from {address}; waiting for it")
        if self._give_up.left_s <= 0:
            raise MonitorError(
                f"no event server in {self._wait_limit_s:g} s at {address}."
                f" Is a monitor running, and with this --redis URL?"
            ) from None
        self._stop.wait(pause_s)
        self._give_up.waited(pause_s)

    def _read(self) -> list[tuple[str, str]]:
        answer = self._client.xread(
            {self._stream: self._last_entry}, count=500, block=round(1000 * BLOCK_S)
        )
        entries = answer[0][1] if answer else []
        if entries:
            self._last_entry = entries[-1][0]
        return [(entry, fields.get("event", "")) for entry, fields in entries]

    def _rewind_if_lost(self) -> None:
        """Read from the start if the server lost its data: its stream is empty or behind."""
        newest = self._client.xrevrange(self._stream, count=1)
        if not newest or _entry_id(newest[0][0]) < _entry_id(self._last_entry):
            self._last_entry = "0-0"

    def _new_events(self, entries: list[tuple[str, str]]) -> Iterator[tuple[Event, str]]:
        """Yield the events in ``entries`` that are no repeats, each with its text."""
        skipped: list[str] = []
        for entry, text in entries:
            try:
                event = from_json(text)
            except ValueError as exc:
                skipped.append(str(exc))
                continue
            if self._is_new(event):
                self.entry = entry
                yield event, text
        if skipped:
            # One line for all of them: another program may write thousands.
            number = "an entry" if len(skipped) == 1 else f"{len(skipped)} entries"
            self._notice(f"skipped {number} of {self._stream}: {skipped[0]}")

    def _is_new(self, event: Event) -> bool:
        """Return False if ``event`` is a repeat; remember it."""
        key = (event.source, event.id)
        if key in self._seen:
            if event.type != EventType.SESSION_STARTED:
                return False
            name = clean(session_id_of(event))
            if event.source not in self._ended:
                self._notice(f"{name} is sent again; events already shown are left out")
                return False
            self._notice(f"{name} starts again")
            self._seen = OrderedDict((k, None) for k in self._seen if k[0] != event.source)
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        if event.type == EventType.SESSION_ENDED:
            self._ended.add(event.source)
        else:
            self._ended.discard(event.source)
        return True


def _entry_id(text: str) -> tuple[int, int]:
    milliseconds, _, count = text.partition("-")
    return int(milliseconds), int(count)
