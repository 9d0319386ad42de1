"""Sends events to Redis from a thread of its own, so that the night never waits for the network.

What has been sent is written where it was sent, in the transaction that sent it. So it does not
matter when the process, the server or the connection dies: whoever publishes next reads from the
server how far it got, and goes on from there.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from types import TracebackType
from typing import Any

import redis

from monitor.backoff import Backoff
from monitor.clock import Clock
from monitor.errors import MonitorError
from monitor.night.events import session_id_of, to_json, utc_text
from monitor.sinks.event_log import EventLog
from monitor.sinks.last_value import with_event
from monitor.sinks.redis_client import (
    PREFIX,
    SOCKET_TIMEOUT_S,
    Keys,
    connect,
    safe_text,
    safe_url,
)
from monitor.types import Delivery, Event

STREAM_LENGTH = 100_000
"""Events kept in the stream: some ten nights, about 60 MB."""

HEARTBEAT_S = 5.0
HEARTBEAT_TTL_S = 15
BATCH = 256
KEEP_S = 30 * 24 * 3600
"""How long the keys of one session outlive its last event."""

_log = logging.getLogger(__name__)


class Publisher:
    """Publishes one session's log, in order; each event once, as long as the server keeps its data.

    - ``notify`` never blocks. From there to the stream takes a few milliseconds.
    - The server away, slow or restarted: events wait in the log and are sent when it returns. A
      server that lost its data gets the whole session again; ids make the repeats harmless.
    - Start and close it from one thread, or use it as a context manager. It ends with the main
      thread even if nobody closes it.

    Raises InputError if ``url`` is wrong. A server that can't be reached is not an error.
    """

    def __init__(
        self,
        log: EventLog,
        session_id: str,
        url: str,
        clock: Clock,
        *,
        prefix: str = PREFIX,
        stream_length: int = STREAM_LENGTH,
        heartbeat_s: float = HEARTBEAT_S,
        heartbeat_ttl_s: int = HEARTBEAT_TTL_S,
        socket_timeout_s: float = SOCKET_TIMEOUT_S,
    ) -> None:
        self._log_of_events = log
        self._session_id = session_id
        self._url = url
        self._clock = clock
        self._keys = Keys(prefix)
        self._stream_length = stream_length
        self._heartbeat_s = heartbeat_s
        self._heartbeat_ttl_s = heartbeat_ttl_s
        self._client = connect(url, timeout_s=socket_timeout_s)
        self._backoff = Backoff()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline_s = 0.0
        self._thread: threading.Thread | None = None
        # Written by the thread alone; others only read them.
        self._connected = False
        self._published = 0
        self._known = False  # whether _published and _last are what the server says
        self._last: dict[str, str] = {}
        self._next_heartbeat_s = 0.0
        self._complaints: set[str] = set()

    def start(self) -> None:
        """Begin to send. What the log already holds goes first."""
        if self._thread is not None:
            raise MonitorError("the publisher was already started")
        # Not a daemon: an interpreter that exits under a running daemon may crash in it.
        self._thread = threading.Thread(target=self._run, name="publisher")
        self._thread.start()

    def notify(self) -> None:
        """There is something new in the log."""
        self._wake.set()

    def delivery(self) -> Delivery:
        """Where events go and how far they got, without asking the server."""
        published = self._published
        waiting = max(0, self._log_of_events.last_sequence() - published)
        return Delivery(safe_url(self._url), self._connected, published, waiting)

    def close(self, timeout_s: float = 5.0) -> int:
        """Send what can be sent within ``timeout_s``, then stop; how many events were left.

        Takes at most one socket timeout longer. What is left stays in the log.
        """
        self._deadline_s = time.monotonic() + timeout_s
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._client.close()
        return self.delivery().waiting

    def __enter__(self) -> Publisher:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            # Cleared before reading the log: what comes after this line wakes the next round.
            self._wake.clear()
            closing = self._must_close()
            pause_s = self._attempt()
            if closing and (pause_s is None or time.monotonic() >= self._deadline_s):
                return
            if pause_s is None:
                self._wake.wait(max(0.0, self._next_heartbeat_s - time.monotonic()))
            elif closing:
                time.sleep(max(0.0, min(pause_s, self._deadline_s - time.monotonic())))
            else:
                self._closing.wait(pause_s)

    def _must_close(self) -> bool:
        # Someone forgot to close, or died: without this the process would never end.
        return self._closing.is_set() or not threading.main_thread().is_alive()

    def _attempt(self) -> float | None:
        """Send all there is. None if all was sent, else how long to wait before the next try."""
        try:
            if not self._connected:
                self._check_types()
            while self._send_batch():
                self._beat()
                if self._must_close() and time.monotonic() >= self._deadline_s:
                    break
            self._beat()
        except redis.WatchError:
            # Someone else moved the session's progress: read it again.
            self._known = False
            return self._backoff.next_s()
        except MonitorError as exc:
            # The night store failed, not the server.
            if "store" not in self._complaints:
                self._complaints.add("store")
                _log.warning("events wait: %s", exc)
            return self._backoff.next_s()
        except Exception as exc:
            # Whatever it is, the night goes on, and so does this thread.
            self._went(exc)
            return self._backoff.next_s()
        self._complaints.discard("store")
        self._came()
        return None

    def _send_batch(self) -> bool:
        """One transaction: read the progress, send what follows it, write the progress.

        The progress key is watched. So if a transaction that timed out is executed after all, or
        another process publishes the same session, one of the two is refused as a whole.
        """
        pipe: Any  # redis-py's annotations hold for text and bytes at once
        with self._client.pipeline(transaction=True) as pipe:
            pipe.watch(self._keys.published(self._session_id))
            done, events = self._events_to_send(pipe.get(self._keys.published(self._session_id)))
            if done != self._published or not self._known:
                self._last = pipe.hgetall(self._keys.last(self._session_id)) if done else {}
                self._published = done
                self._known = True
            # Connected means that the server answered, not that it took everything.
            self._came()
            if not events:
                return False
            last = self._last
            pipe.multi()
            for event in events:
                last = with_event(last, event)
                pipe.xadd(
                    self._keys.events,
                    {
                        "id": event.id,
                        "type": event.type,
                        "session": session_id_of(event),
                        "event": to_json(event),
                    },
                    maxlen=self._stream_length,
                    approximate=True,
                )
            for key in (self._keys.last(self._session_id), self._keys.last()):
                # Deleted first: the shared one may hold another session's fields.
                pipe.delete(key)
                pipe.hset(key, mapping=last)
                pipe.expire(key, KEEP_S)
            newest = events[-1]
            progress = f"{newest.sequence} {newest.id}"
            pipe.set(self._keys.published(self._session_id), progress, ex=KEEP_S)
            self._known = False  # until the server has answered
            pipe.execute()
        self._last = last
        self._published = newest.sequence
        self._known = True
        self._log_of_events.mark_published(newest.sequence, self._clock.utc())
        return True

    def _events_to_send(self, progress: str | None) -> tuple[int, list[Event]]:
        """How far the server got with this log, and the events that come next."""
        if progress is not None:
            sequence_text, _, event_id = progress.partition(" ")
            sequence = int(sequence_text)
            events = self._log_of_events.events_after(sequence - 1, BATCH + 1)
            if events and events[0].sequence == sequence and events[0].id == event_id:
                return sequence, events[1:]
        # The server has nothing of this session, or something that this log does not hold (a
        # replay that begins anew, a log that lost its tail with the power): from the start.
        return 0, self._log_of_events.events_after(0, BATCH)

    def _beat(self) -> None:
        now_s = time.monotonic()
        if now_s < self._next_heartbeat_s:
            return
        beat = {
            "session": self._session_id,
            "utc": utc_text(self._clock.utc()),
            "sequence": self._published,
            "sleeper": self._last.get("sleeper", ""),
        }
        with self._client.pipeline(transaction=True) as pipe:
            for key in (self._keys.heartbeat(self._session_id), self._keys.heartbeat()):
                pipe.set(key, json.dumps(beat), ex=self._heartbeat_ttl_s)
            pipe.execute()
        self._next_heartbeat_s = now_s + self._heartbeat_s

    def _check_types(self) -> None:
        # A transaction runs on after a command that fails on a key of the wrong type: its events
        # would be counted as sent. So look before.
        last = (self._keys.last(), self._keys.last(self._session_id))
        for key, wanted in ((self._keys.events, "stream"), *((key, "hash") for key in last)):
            found = str(self._client.type(key))
            if found not in (wanted, "none"):
                raise redis.ResponseError(f"key {key} is a {found}, not a {wanted}: delete it")

    def _came(self) -> None:
        if not self._connected:
            self._connected = True
            self._next_heartbeat_s = 0.0
            waiting = self.delivery().waiting
            if self._complaints:
                _log.info("Redis at %s is back; sending %d events", safe_url(self._url), waiting)
            else:
                _log.info("events go to Redis at %s", safe_url(self._url))
            self._complaints.clear()
        self._backoff.reset()

    def _went(self, exc: Exception) -> None:
        self._connected = False
        self._known = False
        self._client.close()
        refused = isinstance(exc, redis.AuthenticationError | redis.exceptions.AuthorizationError)
        away = isinstance(exc, OSError | redis.ConnectionError | redis.TimeoutError) and not refused
        complaint = "away" if away else type(exc).__name__
        if complaint in self._complaints:
            return
        self._complaints.add(complaint)
        _log.warning(
            "Redis at %s does not take events (%s); they wait in the night store and are sent in "
            "order when it does",
            safe_url(self._url),
            safe_text(exc, self._url),
        )
