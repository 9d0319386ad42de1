"""Carries a night's events over a way out, from a thread of its own: the night never waits."""

from __future__ import annotations

import logging
import threading
from typing import Self

from monitor.backoff import Backoff
from monitor.clock import Clock
from monitor.closing import Closing
from monitor.errors import MonitorError, one_line
from monitor.sinks.event_log import EventLog
from monitor.sinks.ways.way import LIMIT_S, Way, WayError

READ = 8
"""Events that are read from the log at once, if a way sends fewer: some of them are passed over."""

SETTLE_S = 5.0
"""Interval at which a way without new events shows that it lives."""

DRAIN_S = 3.0
"""Time limit at the end of a night for the events that wait. With one call in progress it is still
less than the 10 s in which a live night must end."""

QUIET_S = 60.0
"""The same complaint is logged once in this time, even if the peer recovers in between."""

_log = logging.getLogger(__name__)


class Carrier(Closing):
    """Sends the events of ``log`` over ``way``, in order, and keeps how far it got in the log.

    - `notify` never waits for the peer.
    - While the peer is away, slow or refuses, events wait in the log. They are sent in order when
      it accepts them again; and after a restart from the place that was kept.
    - It also ends when the main thread ends.
    """

    def __init__(self, log: EventLog, way: Way, clock: Clock) -> None:
        self._events = log
        self._way = way
        self._clock = clock
        self._backoff = Backoff(longest_s=way.longest_pause_s)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._ends_s = 0.0
        self._thread: threading.Thread | None = None
        # The thread alone writes these.
        self._sent: int | None = None
        self._connected = False
        self._complaint = ""
        self._quiet_until_s = 0.0

    @property
    def name(self) -> str:
        """The way and its peer, for people."""
        return self._way.name

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start to send, from the first event in the log that was not sent."""
        # A daemon: a name service that hangs has no time limit, and must not keep the process.
        self._thread = threading.Thread(target=self._run, name=self._way.name, daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Wake the carrier: the log holds something new."""
        self._wake.set()

    def waiting(self) -> int:
        """Return the number of events that were not sent."""
        return max(0, self._events.last_sequence() - self._events.sent_to(self._way.key))

    def end(self, timeout_s: float = DRAIN_S) -> None:
        """Begin to end: send for at most ``timeout_s``, then stop for good. Returns at once."""
        if not self._closing.is_set():
            self._ends_s = self._clock.monotonic_s() + timeout_s
            self._closing.set()
            self._wake.set()

    def finish(self) -> int:
        """End, and wait for it; return how many events are left. They stay in the log."""
        self.close()
        return self.waiting()

    def close(self) -> None:
        """End, and wait for it: no longer than for a call in progress, which has its limit."""
        if self._thread is None:
            return
        self.end()
        left_s = max(0.0, self._ends_s - self._clock.monotonic_s())
        self._thread.join(left_s + LIMIT_S + 0.5)
        self._thread = None

    def _run(self) -> None:
        while True:
            # Clear before the log is read: an event that comes later starts another round.
            self._wake.clear()
            closing = self._must_close()
            pause_s = self._attempt()
            if closing and (pause_s is None or self._time_is_up()):
                break
            if pause_s is None:
                self._wake.wait(SETTLE_S)
            elif closing:
                self._clock.sleep(max(0.0, min(pause_s, self._ends_s - self._clock.monotonic_s())))
            else:
                self._closing.wait(pause_s)
        self._way.close()

    def _must_close(self) -> bool:
        return self._closing.is_set() or not threading.main_thread().is_alive()

    def _time_is_up(self) -> bool:
        return self._clock.monotonic_s() >= self._ends_s

    def _attempt(self) -> float | None:
        """Send the events that wait.

        Returns None; after a failure, the pause in seconds before the next attempt.
        """
        try:
            self._way.connect()
            while self._send_new():
                if self._must_close() and self._time_is_up():
                    return None
            self._way.settle()
        except WayError as exc:
            self._note_failed(f"{exc}; events wait in the night's file")
        except MonitorError as exc:
            self._note_failed(f"events wait: {exc}")  # the night's file failed, not the peer
        except Exception as exc:
            # No exception may end the night or this thread.
            self._note_failed(f"{self._way.name} failed ({one_line(exc)}); trying again")
        else:
            self._note_done()
            return None
        return self._backoff.next_s()

    def _send_new(self) -> bool:
        """Send the next batch, and keep its place; return False if all events are sent."""
        if self._sent is None:
            self._sent = self._events.sent_to(self._way.key)
        events = self._events.events_after(self._sent, max(READ, self._way.batch))
        if not events:
            return False
        wanted = [event for event in events if self._way.wants(event)]
        batch = wanted[: self._way.batch]
        if batch:
            self._way.send(batch)
        # What follows the last wanted event is passed over with it.
        sent = events[-1] if len(batch) == len(wanted) else batch[-1]
        self._events.mark_sent(self._way.key, sent.sequence)
        self._sent = sent.sequence
        return True

    def _note_done(self) -> None:
        self._backoff.reset()
        if self._complaint:
            _log.info("%s is back and has all events", self._way.name)
            self._complaint = ""
        elif not self._connected:
            _log.info("events go out by %s", self._way.name)
        self._connected = True

    def _note_failed(self, complaint: str) -> None:
        """Log a failure once until all is well again, and then at most every `QUIET_S`."""
        self._way.close()
        self._sent = None  # the file may have lost its end
        now_s = self._clock.monotonic_s()
        if not self._complaint and now_s >= self._quiet_until_s:
            self._complaint = complaint
            self._quiet_until_s = now_s + QUIET_S
            _log.warning("%s", complaint)
