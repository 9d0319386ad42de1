"""A session on a Redis server: its events, its last value, its heartbeat and its progress.

The progress (how far the session was sent) is kept on the server, and each transaction that sends
events also writes it. So the process, the server or the connection may die at any moment: the next
publisher reads the progress from the server and continues from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import redis

from monitor.night.events import session_id_of, to_json, utc_text
from monitor.sinks.event_log import EventLog
from monitor.sinks.last_value import with_event
from monitor.sinks.redis_client import Keys
from monitor.types import Event

BATCH = 256
"""Events in one transaction."""

KEEP_S = 30 * 24 * 3600
"""The keys of a session expire this long after its last event."""


class SessionStream:
    """Sends the events of ``log`` to ``client`` in order, one transaction a batch.

    - Each event is sent once, as long as the server keeps its data. A server that lost its data
      gets the whole session again.
    - `published` is the sequence of the last event that the server has. Any thread may read it;
      all else is for one thread.
    - Every method raises redis.RedisError or OSError if the server does not answer or refuses.
    """

    def __init__(
        self,
        client: Any,  # redis-py's annotations are for text and bytes at once
        keys: Keys,
        session_id: str,
        log: EventLog,
        stream_length: int,
        heartbeat_ttl_s: int,
    ) -> None:
        self._client = client
        self._keys = keys
        self._session_id = session_id
        self._log = log
        self._stream_length = stream_length
        self._heartbeat_ttl_s = heartbeat_ttl_s
        self.published = 0
        self._last: dict[str, str] = {}
        self._in_step = False  # True while `published` and `_last` equal the server's

    def forget(self) -> None:
        """Read the progress from the server again before the next batch."""
        self._in_step = False

    def check_types(self) -> None:
        """Raise redis.ResponseError if a key of the monitor holds another type of value.

        Redis continues a transaction after a command that fails on such a key. Without this check
        the events would count as sent.
        """
        last = (self._keys.last(), self._keys.last(self._session_id))
        for key, wanted in ((self._keys.events, "stream"), *((key, "hash") for key in last)):
            found = str(self._client.type(key))
            if found not in (wanted, "none"):
                raise redis.ResponseError(f"key {key} is a {found}, not a {wanted}: delete it")

    def send_batch(self, on_answer: Callable[[], None]) -> bool:
        """Send the next events in one transaction; return False if there are none.

        The transaction reads the progress, adds the events that follow it, and writes the new
        progress. ``on_answer`` is called once the server has answered with the progress. Raises
        redis.WatchError if another publisher of this session was quicker.
        """
        progress_key = self._keys.published(self._session_id)
        with self._client.pipeline(transaction=True) as pipe:
            # The watch lets only one of two transactions succeed: that of another process which
            # publishes the same session, or one that timed out here and is executed after all.
            pipe.watch(progress_key)
            done, events = self._events_to_send(pipe.get(progress_key))
            if done != self.published or not self._in_step:
                self._last = pipe.hgetall(self._keys.last(self._session_id)) if done else {}
                self.published = done
                self._in_step = True
            on_answer()
            if not events:
                return False
            pipe.multi()
            last = self._add(pipe, events)
            newest = events[-1]
            pipe.set(progress_key, f"{newest.sequence} {newest.id}", ex=KEEP_S)
            self._in_step = False  # until the server has answered
            pipe.execute()
        self._last = last
        self.published = newest.sequence
        self._in_step = True
        return True

    def beat(self, utc: datetime) -> None:
        """Write the heartbeat. It expires by itself if no other follows."""
        beat = {
            "session": self._session_id,
            "utc": utc_text(utc),
            "sequence": self.published,
            "sleeper": self._last.get("sleeper", ""),
        }
        with self._client.pipeline(transaction=True) as pipe:
            for key in (self._keys.heartbeat(self._session_id), self._keys.heartbeat()):
                pipe.set(key, json.dumps(beat), ex=self._heartbeat_ttl_s)
            pipe.execute()

    def _add(self, pipe: Any, events: list[Event]) -> dict[str, str]:
        """Queue ``events`` and the last value after them; return that value."""
        last = self._last
        for event in events:
            last = with_event(last, event)
            fields = {
                "id": event.id,
                "type": event.type,
                "session": session_id_of(event),
                "event": to_json(event),
            }
            pipe.xadd(self._keys.events, fields, maxlen=self._stream_length, approximate=True)
        for key in (self._keys.last(self._session_id), self._keys.last()):
            # Delete first: the shared key may hold fields of another session.
            pipe.delete(key)
            pipe.hset(key, mapping=last)
            pipe.expire(key, KEEP_S)
        return last

    def _events_to_send(self, progress: str | None) -> tuple[int, list[Event]]:
        """Return the sequence that the server has of this log, and the events that follow it."""
        if progress is not None:
            sequence_text, _, event_id = progress.partition(" ")
            sequence = int(sequence_text)
            events = self._log.events_after(sequence - 1, BATCH + 1)
            if events and events[0].sequence == sequence and events[0].id == event_id:
                return sequence, events[1:]
        # The server has nothing of this session, or an event that this log does not hold: a replay
        # that starts again, or a log that lost its end in a power cut. Send all of the log.
        return 0, self._log.events_after(0, BATCH)
