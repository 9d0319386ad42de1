"""`Following`: everything that `follow` decides, without a connection and without waiting.

It is a conversation: `steps` yields what it wants from the server, a pause, or a value for the app,
and gets the answers sent back. So the same code serves a thread and an event loop.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import redis

from models.reading import UnreadableError, parsed_json
from monitor.backoff import Backoff
from monitor.client.items import Back, Gone, StagedEpoch, staged_epoch
from monitor.client.position import Place, Position
from monitor.clock import Clock
from monitor.errors import InputError, MonitorError
from monitor.night.envelope import Envelope, Mode, envelope, session_of
from monitor.sinks.deadline import Deadline
from monitor.sinks.redis_client import Keys, safe_text, safe_url
from monitor.text import clean

TRACKS = ("live", "revised")

STAGE = "sleep-monitor.stage.v1"
STARTED = "sleep-monitor.session.started.v1"
RESUMED = "sleep-monitor.session.resumed.v1"
ENDED = "sleep-monitor.session.ended.v1"
"""The types of events that count here. `EventType` has all of them, but needs numpy."""

BLOCK_MS = 500
"""Time for which the server holds a read open until an entry comes."""

LOOK_S = 1.0
"""Interval between two looks at the heartbeats."""

GONE_S = 15.0
"""A monitor without a new heartbeat for this long is gone. It writes one every 5 s."""

SESSIONS = 64
"""Sessions that are remembered, those with the newest events."""

NEWEST = 200
"""Entries that are looked at for running sessions: 16 sleepers write about as many in a minute."""

LOG_EVERY_S = 60.0
"""Shortest time between two lines of one kind in the log."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """A command for the server. Its answer is sent back, or its exception is thrown in."""

    command: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait of ``duration_s``."""

    duration_s: float


Step = Ask | Wait | StagedEpoch | Gone | Back


@dataclass(frozen=True, slots=True)
class Wanted:
    """The epochs that an app wants, see `follow`. Raises `InputError` for a value that is wrong."""

    track: str
    min_confidence: float
    fresh_s: float | None
    sleeper: str | None
    unscored: bool
    replays: bool

    def __post_init__(self) -> None:
        if self.track not in TRACKS:
            raise InputError(f"track must be one of {', '.join(TRACKS)}, got {self.track!r}")
        if not 0.0 <= self.min_confidence <= 1.0:
            raise InputError(f"min_confidence must be 0 to 1, got {self.min_confidence!r}")
        if self.fresh_s is not None and not self.fresh_s > 0.0:
            raise InputError(f"fresh_s must be above 0 (None: no limit), got {self.fresh_s!r}")

    def includes(self, sleeper: str, mode: str) -> bool:
        """Return True if sessions of this sleeper and mode are wanted."""
        return self.sleeper in (None, sleeper) and (self.replays or mode != Mode.REPLAY)

    def accepts(self, confidence: float | None) -> bool:
        """Return True if epochs of this confidence are wanted; None: unscored."""
        return self.unscored if confidence is None else confidence >= self.min_confidence


@dataclass(slots=True)
class _Session:
    """A session as far as it is known. An earlier version of the monitor states no mode."""

    id: str
    place: Place = (0, "")
    sleeper: str = ""
    mode: str = ""
    is_known: bool = False  # its sleeper and mode
    ended: bool = False
    moment: datetime | None = None  # the latest end of an epoch, on the recording's clock
    beat: str = ""
    clock_offset_s: float | None = None  # its clock minus this machine's steady clock


@dataclass(slots=True)
class _Quiet:
    """Logs lines of one kind at most every `LOG_EVERY_S`."""

    clock: Clock
    next_s: float = field(default=float("-inf"))

    def warn(self, text: str, *values: object) -> None:
        now_s = self.clock.monotonic_s()
        if now_s >= self.next_s:
            self.next_s = now_s + LOG_EVERY_S
            _log.warning(text, *values)


class Following:
    """The state of one `follow`: its place in the stream, the sessions, the monitor's presence.

    - Within a session, events have the sequence 1, 2, ...: an event that does not go beyond the
      place in its session is a repeat.
    - An epoch is yielded while it is fresh at that moment, however long the app took for the one
      before.
    - The place is saved when the app has handled what was yielded.
    """

    def __init__(
        self, url: str, wanted: Wanted, position: Position, wait_s: float | None, clock: Clock
    ) -> None:
        self._url = url
        self._wanted = wanted
        self._position = position
        self._wait_s = float("inf") if wait_s is None else wait_s
        self._clock = clock
        self._keys = Keys()
        self._backoff = Backoff(first_s=0.1, longest_s=2.0)
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        for name, place in position.places.items():
            self._session(name).place = place
        # While the server is away: since when, and when to give up.
        self._away_since_s = 0.0
        self._give_up: Deadline | None = None
        self._history = (0, 0)  # the newest entry when this connection began
        self._is_there: bool | None = None  # the monitor; None: nobody has looked yet
        self._beat_s = 0.0  # when a heartbeat last changed
        self._looked_s = float("-inf")  # when the heartbeats were last read
        self._stale = _Quiet(clock)
        self._skipped = _Quiet(clock)
        self._missing = _Quiet(clock)

    def steps(self) -> Generator[Step, Any, None]:
        """Yield what to do, for ever. Raises `MonitorError` as `follow` does."""
        try:
            while True:
                try:
                    yield from self._read()
                except (
                    redis.AuthenticationError,
                    redis.exceptions.AuthorizationError,
                    redis.exceptions.NoPermissionError,
                ) as exc:
                    raise MonitorError(
                        f"{safe_url(self._url)} refuses this user: {safe_text(exc, self._url)}"
                    ) from None
                except (redis.RedisError, OSError, ValueError) as exc:
                    yield from self._wait_for_server(exc)
        finally:
            self._save()

    # --- the server

    def _read(self) -> Generator[Step, Any, None]:
        """Read until the connection fails."""
        newest = yield Ask(("XREVRANGE", self._keys.events, "+", "-", "COUNT", NEWEST))
        self._note_server_is_there()
        self._choose_start([entry for entry, _ in newest])
        for _, fields in reversed(newest):
            self._session(fields.get("session", ""))
        look_s = self._clock.monotonic_s()
        while True:
            if self._clock.monotonic_s() >= look_s:
                yield from self._look_at_heartbeats()
                look_s = self._clock.monotonic_s() + LOOK_S
            stream = ("STREAMS", self._keys.events, self._position.entry)
            answer = yield Ask(("XREAD", "COUNT", 500, "BLOCK", BLOCK_MS, *stream))
            for entry, fields in answer[0][1] if answer else ():
                yield from self._receive(entry, fields)

    def _choose_start(self, newest: list[str]) -> None:
        """Go on at the place that was reached. Without one, begin with what may still be fresh.

        A server that lost its data has a stream that is empty or behind: read it from its start.
        """
        position, fresh_s = self._position, self._wanted.fresh_s
        self._history = _entry_id(newest[0]) if newest else (0, 0)
        if position.entry:
            if not newest or _entry_id(newest[0]) < _entry_id(position.entry):
                position.entry = "0-0"
        elif fresh_s is None or not newest:
            position.entry = "0-0"
        else:
            newest_ms, _ = _entry_id(newest[0])
            position.entry = f"{max(0, newest_ms - round(1000 * fresh_s))}-0"

    def _note_server_is_there(self) -> None:
        if self._give_up is not None:
            _log.warning("%s is back", safe_url(self._url))
        self._give_up = None
        self._backoff.reset()

    def _wait_for_server(self, exc: Exception) -> Iterator[Step]:
        now_s, pause_s = self._clock.monotonic_s(), self._backoff.next_s()
        address = f"{safe_url(self._url)} ({safe_text(exc, self._url)})"
        if self._give_up is None:
            self._give_up, self._away_since_s = Deadline(self._clock, self._wait_s), now_s
            _log.warning("no events from %s; waiting for it", address)
        if self._give_up.left_s <= 0:
            raise MonitorError(
                f"no event server in {self._wait_s:g} s at {address}. Is a monitor running, and "
                "with this URL?"
            ) from None
        # While the app was busy nobody looked, so the time before the failure does not count.
        if self._is_there is None or now_s - max(self._beat_s, self._away_since_s) >= GONE_S:
            yield from self._note_gone(f"no answer from {safe_url(self._url)}")
        yield Wait(pause_s)
        self._give_up.waited(pause_s)

    # --- events

    def _receive(self, entry: str, fields: dict[str, str]) -> Generator[Step, Any, None]:
        """Take in one entry of the stream; yield what it means for the app."""
        try:
            event = envelope(fields.get("event", ""))
            session = self._session(session_of(event["source"]))
            if self._is_repeat(session, event):
                return
            if event["type"] == STAGE and not session.is_known:
                yield from self._learn(session)
            session.place = (event["sequence"], event["id"])
            epoch = self._note(session, event, entry)
        except ValueError as exc:
            self._skipped.warn("skipped an entry of %s: %s", self._keys.events, exc)
            return
        finally:
            self._position.entry = entry
        if event["type"] == ENDED and self._includes(session) and not self._running():
            yield from self._note_gone("the night has ended")
        if epoch is not None:
            try:
                yield epoch
            finally:  # the app has handled it, or ended its loop
                self._save()

    def _is_repeat(self, session: _Session, event: Envelope) -> bool:
        """Return True if the event was read before. A replay that is run again is none."""
        sequence, event_id = session.place
        now = event["sequence"]
        if event["type"] == STARTED and session.ended and session.mode == Mode.REPLAY:
            return False
        if now <= sequence:
            # The same number with another id: the night's file lost its end in an accident.
            return now < sequence or event["id"] == event_id
        if sequence and now > sequence + 1:
            self._missing.warn(
                "%d events of %s are missing: the server holds them no more",
                now - sequence - 1,
                clean(session.id),
            )
        return False

    def _note(self, session: _Session, event: Envelope, entry: str) -> StagedEpoch | None:
        """Note what an event says about its session; return the epoch in it, if it is wanted.

        Raises ValueError if the event is not as EVENTS.md says.
        """
        if event["type"] == STARTED:
            self._set_known(session, event["data"].get("sleeper"), event["data"].get("mode"))
            session.moment = None
        if event["type"] in (STARTED, RESUMED, ENDED):
            session.ended = event["type"] == ENDED
        return self._staged(session, event, entry) if event["type"] == STAGE else None

    def _staged(self, session: _Session, event: Envelope, entry: str) -> StagedEpoch | None:
        """Return the epoch in a stage event, if it is wanted. Raises ValueError as `_note`."""
        session.moment = max(event["time"], session.moment or event["time"])
        if event["data"].get("track") != self._wanted.track or not self._includes(session):
            return None
        age_s = self._age_s(session, entry)
        epoch = staged_epoch(
            event, session=session.id, sleeper=session.sleeper, mode=session.mode, age_s=age_s
        )
        if not self._wanted.accepts(epoch.confidence):
            return None
        if self._wanted.fresh_s is None or abs(age_s) <= self._wanted.fresh_s:
            return epoch
        if _entry_id(entry) > self._history:
            self._stale.warn(
                "left out epoch %d of %s: it is %.0f s old. It was sent late, or the clocks of the"
                " machines differ",
                epoch.epoch_index,
                clean(session.id),
                age_s,
            )
        return None

    def _age_s(self, session: _Session, entry: str) -> float:
        """Return the seconds since the epoch was staged; of a replay, since it was sent."""
        if session.clock_offset_s is None:
            now_s = self._clock.utc().timestamp()
        else:
            now_s = self._clock.monotonic_s() + session.clock_offset_s
        assert session.moment is not None
        sent_s = _entry_id(entry)[0] / 1000
        return now_s - (sent_s if session.mode == Mode.REPLAY else session.moment.timestamp())

    # --- sessions and heartbeats

    def _session(self, name: str) -> _Session:
        session = self._sessions.setdefault(name, _Session(name))
        self._sessions.move_to_end(name)
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def _includes(self, session: _Session) -> bool:
        return self._wanted.includes(session.sleeper, session.mode)

    def _running(self) -> list[_Session]:
        """Return the wanted sessions that have sent a heartbeat and have not ended."""
        return [s for s in self._sessions.values() if s.beat and not s.ended and self._includes(s)]

    def _learn(self, session: _Session) -> Generator[Step, Any, None]:
        """Read sleeper and mode of a session whose start was not read."""
        key = self._keys.last(session.id)
        sleeper, mode = yield Ask(("HMGET", key, "sleeper", "mode"))
        self._set_known(session, sleeper, mode)

    def _set_known(self, session: _Session, sleeper: object, mode: object) -> None:
        session.sleeper = clean(sleeper) if isinstance(sleeper, str) else ""
        session.mode = mode if isinstance(mode, str) and mode in list(Mode) else ""
        session.is_known = True

    def _look_at_heartbeats(self) -> Generator[Step, Any, None]:
        names = [name for name, session in self._sessions.items() if not session.ended]
        keys = [self._keys.heartbeat(), *map(self._keys.heartbeat, names)]
        texts = yield Ask(("MGET", *keys))
        now_s = self._clock.monotonic_s()
        looked_lately = now_s - self._looked_s <= 2 * LOOK_S
        self._looked_s = now_s
        beating = None
        for text in texts:
            session = self._note_beat(text, looked_lately) if text else None
            beating = session or beating
        if beating is not None:
            self._beat_s = now_s
            if self._is_there is False:
                yield Back(beating.id, beating.sleeper)
            self._is_there = True
        elif self._is_there is None:
            yield from self._note_gone(f"no monitor sends to {safe_url(self._url)}")
        elif now_s - self._beat_s >= GONE_S:
            yield from self._note_gone(f"no heartbeat for {GONE_S:g} s")

    def _note_beat(self, text: str, looked_lately: bool) -> _Session | None:
        """Note a heartbeat; return its session if it is wanted, runs, and the heartbeat is new."""
        try:
            beat = parsed_json(text)
            now = datetime.fromisoformat(beat.get("recording_utc") or beat["utc"])
            session = self._session(str(beat["session"]))
        except (UnreadableError, AttributeError, KeyError, TypeError, ValueError):
            return None  # another program wrote it
        if text == session.beat:
            return None
        if session.beat and looked_lately:
            # It came since the last look. The first one that is seen may be old.
            session.clock_offset_s = now.timestamp() - self._clock.monotonic_s()
        session.beat = text
        if not session.mode:
            self._set_known(session, beat.get("sleeper"), beat.get("mode"))
        return session if self._includes(session) and not session.ended else None

    def _note_gone(self, reason: str) -> Iterator[Step]:
        if self._is_there is not False:
            self._is_there = False
            yield Gone(reason)

    def _save(self) -> None:
        self._position.save({s.id: s.place for s in self._sessions.values() if s.place[0]})


def _entry_id(text: str) -> tuple[int, int]:
    milliseconds, _, count = text.partition("-")
    return int(milliseconds), int(count)
