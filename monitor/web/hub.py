"""Follows a running monitor and keeps what the page shows, for any number of readers: `Hub`."""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Self

import redis

from monitor.clock import Clock
from monitor.closing import Closing
from monitor.errors import MonitorError, one_line
from monitor.night.events import utc_text
from monitor.sinks.follower import Follower
from monitor.sinks.redis_client import PREFIX, Keys, connect
from monitor.sinks.sleepers_key import SleeperNow, read_sleepers
from monitor.text import clean
from monitor.types import Event
from monitor.web.now import Json, Phase, night_json, sleeper_json, waiting_json
from monitor.web.tonight import FollowedSession

LOG_EVENTS = 20_000
"""Events in memory, for readers that come back: two nights of one sleeper, or two hours of
sixteen; about 20 MB."""

MOST_SESSIONS = 64
"""Sessions in memory; the oldest one goes first."""

LOOK_S = 2.0
"""Interval of the looks at the heartbeats and at the key of the sleepers."""

SOON_S = 0.1
"""Events of one epoch come together: the page is brought up to date after this pause."""

SHOWN_FOR = timedelta(hours=18)
"""A night that is over, or whose monitor is gone, is shown for so long: until the next evening."""

FRESH = timedelta(seconds=5)
"""A session with an event that came so recently goes on, before its heartbeat was looked at."""

_log = logging.getLogger(__name__)

_NONE, _MINUTE = timedelta(), timedelta(minutes=1)

Place = tuple[int, int]
"""The id of an entry of the event stream, as numbers: milliseconds and a count."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event as it is sent to readers; ``place`` is its entry in the event stream."""

    place: Place
    text: str

    @property
    def id(self) -> str:
        return place_text(self.place)


def place_text(place: Place) -> str:
    """Return ``place`` as the server writes it."""
    return f"{place[0]}-{place[1]}"


def read_place(text: str) -> Place | None:
    """Return the place that ``text`` names; None if it is no id of an entry."""
    time_ms, dash, count = text.partition("-")
    digits = time_ms.isascii() and count.isascii() and time_ms.isdigit() and count.isdigit()
    if not (dash and digits and len(text) <= 41):
        return None
    return int(time_ms), int(count)


class Hub(Closing):
    """The content of the page: the sessions, their events, and the sleepers now.

    - Two threads fill it: one follows the events, one looks at the heartbeats every `LOOK_S`.
    - Every method may be called from any thread, and never waits for the server.
    - The listeners are called in these threads after each change; they must return at once.
    - The server may be away, restart empty, or hold other programs' entries: see `Follower`.
    """

    def __init__(self, url: str, clock: Clock, prefix: str = PREFIX) -> None:
        self._clock = clock
        self._keys = Keys(prefix)
        self._client: Any = connect(url)
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.RLock()
        self._sessions: OrderedDict[str, FollowedSession] = OrderedDict()
        self._seen_utc: dict[str, datetime] = {}  # when the server got a session's newest event
        self._events: deque[LoggedEvent] = deque(maxlen=LOG_EVENTS)
        self._dropped: Place = (0, 0)  # the newest place that is no longer in memory
        self._heartbeats: set[str] = set()
        self._sleepers: dict[str, SleeperNow] = {}
        self._answers = self._caught_up = self._was_caught_up = False
        self._problem = ""
        self._complaints: set[str] = set()
        self._now: dict[str, str] = {}
        self._listeners: list[Callable[[], None]] = []
        self._follower = Follower(
            url, notice=self._notice, stop=self._closing, prefix=prefix, clock=clock
        )
        self._threads = [
            threading.Thread(target=self._follow, name="page events"),
            threading.Thread(target=self._look_after, name="page heartbeats"),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def close(self) -> None:
        self._closing.set()
        self._wake.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._client.close()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each change, from another thread."""
        self._listeners.append(listener)

    def now(self) -> Json:
        """Return the sleepers now, and if a monitor runs."""
        with self._lock:
            return {**self._head(), "sleepers": [json.loads(text) for text in self._now.values()]}

    def parts(self) -> dict[str, str]:
        """Return the JSON texts of `now`: of each sleeper by its key, and of the rest by ""."""
        with self._lock:
            head = self._head()
            del head["utc"]  # a part is sent again if it changed
            return {"": json.dumps({**head, "keys": list(self._now)}), **self._now}

    def night(self, session_id: str) -> Json | None:
        """Return the session so far, with the place of the newest event; None if it is unknown."""
        with self._lock:
            found = self._sessions.get(session_id)
            if found is None:
                return None
            return {**night_json(found), "last_event": place_text(self._newest())}

    @property
    def has_caught_up(self) -> bool:
        """True once the events that were on the server at the start are read."""
        return self._caught_up

    def events_after(self, place: Place, limit: int) -> tuple[list[LoggedEvent], bool]:
        """Return at most ``limit`` events after ``place``, and if some are missing.

        They are missing if they are no longer in memory, or if the server lost its data and counts
        anew, so that ``place`` lies ahead of it.
        """
        with self._lock:
            if place == self._newest():
                return [], False
            if place > self._newest():
                return list(islice(self._events, limit)), bool(self._events)
            missing = place < self._dropped
            # Readers are nearly always near the end.
            new: deque[LoggedEvent] = deque()
            for event in reversed(self._events):
                if event.place <= place:
                    break
                new.appendleft(event)
            return list(islice(new, limit)), missing

    def newest(self) -> Place:
        """Return the place of the newest event."""
        with self._lock:
            return self._newest()

    def _newest(self) -> Place:
        return self._events[-1].place if self._events else self._dropped

    def _head(self) -> Json:
        now_utc = self._clock.utc()
        runs = self._sleepers or any(self._runs(key, now_utc) for key in self._sessions)
        monitor = "running" if runs else "gone"
        return {
            "utc": utc_text(now_utc),
            "monitor": monitor if self._answers else "away",
            "problem": self._problem,
            "utc_offset_min": round((now_utc.astimezone().utcoffset() or _NONE) / _MINUTE),
        }

    def _notice(self, text: str) -> None:
        _log.info("The page: %s", text)

    def _follow(self) -> None:
        while not self._closing.is_set():
            try:
                for event, text in self._follower:
                    self._take(event, text)
            except MonitorError as exc:  # the login is refused
                self._problem = one_line(exc)
            except Exception as exc:  # nothing may end this thread
                self._complain("an event cannot be read", exc)
            self._closing.wait(LOOK_S)

    def _complain(self, problem: str, exc: Exception) -> None:
        """Log each problem once."""
        if problem not in self._complaints and len(self._complaints) < MOST_SESSIONS:
            self._complaints.add(problem)
            _log.warning("The page: %s (%s)", problem, one_line(exc))

    def _take(self, event: Event, text: str) -> None:
        place = read_place(self._follower.entry) or (0, 0)
        with self._lock:
            self._problem = ""
            if place <= self._newest():  # the server lost its data, and its clock was set back
                self._events.clear()
                self._dropped = (0, 0)
            if len(self._events) == LOG_EVENTS:
                self._dropped = self._events[0].place
            self._events.append(LoggedEvent(place, text))
            session = self._session_of(event)
            seen_utc = datetime.fromtimestamp(min(place[0] / 1000, 4e9), UTC)
            session.take(event, seen_utc)
            self._seen_utc[session.session_id] = seen_utc
        self._wake.set()

    def _session_of(self, event: Event) -> FollowedSession:
        made = FollowedSession(event)
        session = self._sessions.setdefault(made.session_id, made)
        self._sessions.move_to_end(made.session_id)
        if len(self._sessions) > MOST_SESSIONS:
            gone, _ = self._sessions.popitem(last=False)
            self._seen_utc.pop(gone, None)
        return session

    def _look_after(self) -> None:
        look_s = 0.0
        while not self._closing.is_set():
            now_s = self._clock.monotonic_s()
            if now_s >= look_s:
                self._look()
                look_s = now_s + (LOOK_S if self._caught_up else SOON_S)
            self._refresh()
            if self._wake.wait(LOOK_S if self._caught_up else SOON_S):
                self._closing.wait(SOON_S)
                self._wake.clear()

    def _look(self) -> None:
        """Read the heartbeats and the key of the sleepers."""
        with self._lock:
            sessions = [key for key, each in self._sessions.items() if not each.ended]
        try:
            beats = self._client.mget([*map(self._keys.heartbeat, sessions), self._keys.sleepers])
            if not self._caught_up:
                newest = self._client.xrevrange(self._keys.events, count=1)
                last = (read_place(newest[0][0]) or (0, 0)) if newest else (0, 0)
                self._caught_up = self.newest() >= last
        except (redis.RedisError, OSError, ValueError):
            self._client.close()
            with self._lock:
                self._answers, self._heartbeats, self._sleepers = False, set(), {}
            return
        with self._lock:
            self._answers = True
            self._heartbeats = {key for key, beat in zip(sessions, beats, strict=False) if beat}
            seen = read_sleepers(beats[-1] or "")
            self._sleepers = {each.session or f"waiting {each.sleeper}": each for each in seen}
            for each in seen:
                if (session := self._sessions.get(each.session)) is not None:
                    session.note_live()

    def _refresh(self) -> None:
        """Make the JSON of the sleepers again, and call the listeners if it changed."""
        with self._lock:
            before = (self._now, self._newest(), self._answers)
            self._now = dict(self._rows())
            changed = (self._now, self._newest(), self._answers) != before
        if changed or not self._was_caught_up:
            self._was_caught_up = self._caught_up
            for listener in self._listeners:
                listener()

    def _rows(self) -> Iterable[tuple[str, str]]:
        now_utc = self._clock.utc()
        rows: dict[str, Json] = {}
        for session in self._shown(now_utc):
            seen = self._sleepers.get(session.session_id)
            clock_utc = now_utc if not session.is_replay else session.reached_utc
            try:
                row = sleeper_json(session, seen, clock_utc, self._phase(session, now_utc))
            except Exception as exc:
                # Another program may have written a session with times beyond the calendar.
                self._complain(f"the session {clean(session.session_id)} cannot be shown", exc)
            else:
                rows[session.session_id] = row
        for key, each in self._sleepers.items():
            # A session that the events do not know yet has only just begun.
            if each.session not in rows:
                same = [k for k, row in rows.items() if row["sleeper"] == each.sleeper]
                for other in same:
                    del rows[other]
                rows[key] = waiting_json(each)
        ordered = sorted(rows.items(), key=lambda item: (item[1]["sleeper"], item[0]))
        return [
            (key, json.dumps({"key": key, **row}, separators=(",", ":"))) for key, row in ordered
        ]

    def _phase(self, session: FollowedSession, now_utc: datetime) -> Phase:
        if session.ended:
            return Phase.ENDED
        return Phase.RUNNING if self._runs(session.session_id, now_utc) else Phase.GONE

    def _runs(self, session_id: str, now_utc: datetime) -> bool:
        """Return True if a monitor has this session now, by its heartbeat or a fresh event."""
        if not self._answers or self._sessions[session_id].ended:
            return False
        fresh = now_utc - self._seen_utc[session_id] < FRESH
        return fresh or session_id in self._heartbeats

    def _shown(self, now_utc: datetime) -> list[FollowedSession]:
        """Return the newest session of each sleeper: those that go on; else live ones; else all."""
        running = {key for key in self._sessions if self._runs(key, now_utc)}
        newest: dict[tuple[str, bool], FollowedSession] = {}
        for key, session in self._sessions.items():  # the one with the newest event comes last
            if key in running or now_utc - self._seen_utc[key] < SHOWN_FOR:
                sleeper = (session.session.sleeper, session.is_replay)
                other = newest.get(sleeper)
                if other is None or key in running or other.session_id not in running:
                    newest[sleeper] = session
        found = list(newest.values())
        going_on = [each for each in found if each.session_id in running]
        return going_on or [each for each in found if not each.is_replay] or found
