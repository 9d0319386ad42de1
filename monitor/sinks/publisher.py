"""Sends events to Redis from a thread of its own, so that the night never waits for the network."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import Self

import redis

from monitor.backoff import Backoff
from monitor.clock import Clock, Timeline
from monitor.closing import Closing
from monitor.errors import MonitorError
from monitor.night.envelope import Mode
from monitor.sinks.event_log import EventLog
from monitor.sinks.redis_client import (
    PREFIX,
    SOCKET_TIMEOUT_S,
    Keys,
    connect,
    safe_text,
    safe_url,
)
from monitor.sinks.session_stream import SessionStream
from monitor.text import clean
from monitor.types import Delivery

STREAM_LENGTH = 100_000
"""Events kept in the stream: about ten nights, about 60 MB."""

HEARTBEAT_S = 5.0
HEARTBEAT_TTL_S = 15
"""Three heartbeats: one late heartbeat does not look like the end of the monitor."""

QUIET_S = 60.0
"""The same complaint is logged once in this time, even if the server recovers in between."""

DRAIN_S = 5.0
"""Time limit of `Publisher.close` for the events that wait."""

_log = logging.getLogger(__name__)


class Publisher(Closing):
    """Publishes the events of one session in order, each once; see `SessionStream`.

    - `notify` and `delivery` never wait for the network. An event reaches the stream a few
      milliseconds after `notify`.
    - While the server is away, slow or refuses, events wait in the log. They are sent in order
      when it accepts them again.
    - ``timeline`` is the time of a live night; None: a replay, which leaves the keys `last` and
      `heartbeat` to a live night on the same server.
    - Start and close it from one thread, or use it as a context manager. It also ends when the
      main thread ends.

    Raises `InputError` if ``url`` is wrong. A server that cannot be reached is not an error.
    """

    def __init__(
        self,
        log: EventLog,
        session_id: str,
        url: str,
        clock: Clock,
        *,
        timeline: Timeline | None = None,
        prefix: str = PREFIX,
        stream_length: int = STREAM_LENGTH,
        heartbeat_s: float = HEARTBEAT_S,
        heartbeat_ttl_s: int = HEARTBEAT_TTL_S,
        socket_timeout_s: float = SOCKET_TIMEOUT_S,
    ) -> None:
        self._events = log
        self._url = url
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._client = connect(url, timeout_s=socket_timeout_s)
        self._timeline = timeline
        self._stream = SessionStream(
            self._client,
            Keys(prefix),
            session_id,
            log,
            stream_length,
            heartbeat_ttl_s,
            Mode.REPLAY if timeline is None else Mode.LIVE,
        )
        self._backoff = Backoff()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline_s = 0.0
        self._thread: threading.Thread | None = None
        # The thread alone writes these; other threads only read `_connected`.
        self._connected = False
        self._next_heartbeat_s = 0.0
        self._complaints: set[str] = set()
        self._quiet_until_s: dict[str, float] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start to send, from the first event in the log that the server does not have."""
        if self._thread is not None:
            raise MonitorError("the publisher was already started")
        # Not a daemon: an interpreter that exits while a daemon thread runs may crash in it.
        self._thread = threading.Thread(target=self._run, name="publisher")
        self._thread.start()

    def notify(self) -> None:
        """Wake the publisher: the log holds something new."""
        self._wake.set()

    def delivery(self) -> Delivery:
        """Return where events go and how many were sent, without a request to the server."""
        published = self._stream.published
        waiting = max(0, self._events.last_sequence() - published)
        return Delivery(safe_url(self._url), self._connected, published, waiting)

    def drain(self, timeout_s: float = DRAIN_S) -> int:
        """Send for at most ``timeout_s``, then stop for good; return how many events are left.

        It may take one socket timeout longer. The events that are left stay in the log.
        """
        self._deadline_s = self._clock.monotonic_s() + timeout_s
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._client.close()
        return self.delivery().waiting

    def close(self) -> None:
        """Send waiting events for at most `DRAIN_S`, then stop for good."""
        self.drain()

    def _run(self) -> None:
        while True:
            # Clear before the log is read: an event that comes later starts another round.
            self._wake.clear()
            closing = self._must_close()
            pause_s = self._attempt()
            if closing and (pause_s is None or self._deadline_has_passed()):
                return
            now_s = self._clock.monotonic_s()
            if pause_s is None:
                self._wake.wait(max(0.0, self._next_heartbeat_s - now_s))
            elif closing:
                self._clock.sleep(max(0.0, min(pause_s, self._deadline_s - now_s)))
            else:
                self._closing.wait(pause_s)

    def _must_close(self) -> bool:
        # If the main thread ended without a call of `close`, this thread would keep the process
        # alive for ever.
        return self._closing.is_set() or not threading.main_thread().is_alive()

    def _deadline_has_passed(self) -> bool:
        return self._clock.monotonic_s() >= self._deadline_s

    def _attempt(self) -> float | None:
        """Send the events that wait.

        Returns None; after a failure, the pause in seconds before the next attempt.
        """
        try:
            while self._stream.send_batch():
                self._events.mark_published(self._stream.published, self._clock.utc())
                if error := self._stream.last_value_error:
                    self._complain(
                        "last value",
                        "Redis at %s takes events, but not the last value: %s",
                        safe_url(self._url),
                        clean(error),
                    )
                self._beat()
                if self._must_close() and self._deadline_has_passed():
                    break
            self._beat()
        except redis.WatchError:
            self._stream.forget()
            return self._backoff.next_s()
        except MonitorError as exc:
            # The night store failed, not the server.
            self._complain("store", "events wait: %s", exc)
            return self._backoff.next_s()
        except Exception as exc:
            # No exception may end the night or this thread.
            self._note_failed(exc)
            return self._backoff.next_s()
        self._note_done()
        return None

    def _beat(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s >= self._next_heartbeat_s:
            night_utc = (
                None
                if self._timeline is None
                else datetime.fromtimestamp(self._timeline.now_s(), UTC)
            )
            self._stream.beat(self._clock.utc(), night_utc)
            self._next_heartbeat_s = now_s + self._heartbeat_s

    def _note_done(self) -> None:
        """Note that the server took all events and a heartbeat.

        An answer alone does not count, nor does one batch: a server that is full still answers, and
        takes a batch now and then.
        """
        self._backoff.reset()
        if self._connected:
            return
        self._connected = True
        if self._complaints:
            _log.info(
                "Redis at %s is back and has all %d events",
                safe_url(self._url),
                self._stream.published,
            )
        elif not self._quiet_until_s:
            _log.info("events go to Redis at %s", safe_url(self._url))
        self._complaints.clear()

    def _note_failed(self, exc: Exception) -> None:
        self._connected = False
        self._next_heartbeat_s = 0.0
        self._stream.forget()
        self._client.close()
        refused = isinstance(exc, redis.AuthenticationError | redis.exceptions.AuthorizationError)
        away = isinstance(exc, OSError | redis.ConnectionError | redis.TimeoutError) and not refused
        self._complain(
            "away" if away else type(exc).__name__,
            "Redis at %s does not take events (%s); they wait in the night store and are sent in "
            "order when it does",
            safe_url(self._url),
            safe_text(exc, self._url),
        )

    def _complain(self, kind: str, text: str, *values: object) -> None:
        """Log a complaint once until all is well again, and then at most every `QUIET_S`."""
        now_s = self._clock.monotonic_s()
        if kind not in self._complaints and now_s >= self._quiet_until_s.get(kind, now_s):
            self._complaints.add(kind)
            self._quiet_until_s[kind] = now_s + QUIET_S
            _log.warning(text, *values)
