"""A session on a Redis server: its events, its last value, its heartbeat and its progress.

The stream itself says how far the session was sent. The progress key is a bookmark in it: one
script on the server adds events and moves the bookmark, and the bookmark counts only while the
stream holds the event that it names. So the process, the server or the connection may die at any
moment, and other programs may delete or overwrite the keys: the next publisher continues after the
last event that is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis

from monitor.night.envelope import Mode
from monitor.night.events import from_json, session_id_of, to_json, utc_text
from monitor.sinks.event_log import EventLog
from monitor.sinks.last_value import with_event
from monitor.sinks.redis_client import Keys
from monitor.types import Event

BATCH = 256
"""Events in one transaction."""

KEEP_S = 30 * 24 * 3600
"""The keys of a session expire this long after its last event."""

SEARCHED = 10_000
"""Newest entries in which a session without a bookmark is looked for: about a night's events."""

_PAGE = 1000

_BOOKMARK = re.compile(r"([0-9]+) ([!-~]+) ([0-9]+)-([0-9]+)")
"""Sequence and id of an event, and its entry in the stream. Any other text counts as none."""

_LONGEST_BOOKMARK = 250
_MAX_ENTRY = 2**64 - 1

# A Lua function: true if the state of the whole server belongs to a live night. Another program may
# have written anything under these keys, of any type.
_IS_LIVE = """
local function is_live(last, heartbeat)
  if redis.pcall('HGET', last, 'mode') == 'live' then return true end
  local text = redis.pcall('GET', heartbeat)
  local read, beat = pcall(cjson.decode, type(text) == 'string' and #text < 10000 and text or '')
  return read and type(beat) == 'table' and beat.mode == 'live'
end
"""

# A script, because a transaction continues after a command that fails: if another program had
# changed the type of the stream, the bookmark would move without the events.
#
# KEYS: stream, bookmark, last value of the session, last value, heartbeat.
# ARGV: bookmark as it was read, entry that it names (both "" for none), length of the stream,
#   seconds to keep the keys, mode, number of texts in the last value, these texts, then five texts
#   for each event.
# Returns the newest entry, and the error of the last value or "". The reply "OUTOFSTEP" means that
# nothing was added.
_ADD = (
    _IS_LIVE
    + """
local stream, bookmark = KEYS[1], KEYS[2]
local before, entry, length, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local is_replay = ARGV[5] == 'replay'
local found = redis.pcall('GET', bookmark)
if type(found) ~= 'string' or #found > 250
  or not string.match(found, '^[0-9]+ [!-~]+ [0-9]+-[0-9]+$') then found = '' end
if found ~= before then return redis.status_reply('OUTOFSTEP') end
if entry ~= '' and redis.call('XLEN', stream) < length
  and #redis.call('XRANGE', stream, entry, entry) == 0 then
  return redis.status_reply('OUTOFSTEP')
end
-- Written as it was: if the server refuses writes it says so here, before anything has changed.
local ready = redis.pcall('SET', bookmark, before, 'EX', keep)
if ready.err then return ready end
local first_event, newest = 7 + tonumber(ARGV[6]), ''
for i = first_event, #ARGV, 5 do
  local added = redis.pcall('XADD', stream, 'MAXLEN', '~', length, '*', 'id', ARGV[i + 1],
    'type', ARGV[i + 2], 'session', ARGV[i + 3], 'event', ARGV[i + 4])
  if type(added) ~= 'string' then return added end
  newest = added
  redis.call('SET', bookmark, ARGV[i] .. ' ' .. ARGV[i + 1] .. ' ' .. added, 'EX', keep)
end
-- The events are there, whatever happens to the last value, which only repeats them.
local n_keys = is_replay and is_live(KEYS[4], KEYS[5]) and 3 or 4
for i = 3, n_keys do
  redis.pcall('DEL', KEYS[i])
  local written = redis.pcall('HSET', KEYS[i], unpack(ARGV, 7, first_event - 1))
  if type(written) == 'table' then return {newest, written.err} end
  redis.pcall('EXPIRE', KEYS[i], keep)
end
return {newest, ''}
"""
)

# KEYS: heartbeat of the session, last value, heartbeat. ARGV: text, seconds to keep it, mode.
_BEAT = (
    _IS_LIVE
    + """
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
if ARGV[3] ~= 'replay' or not is_live(KEYS[2], KEYS[3]) then
  redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[2])
end
"""
)


@dataclass(frozen=True, slots=True)
class _Place:
    """The last event of the session that the stream holds; by default there is none."""

    sequence: int = 0
    entry: str = ""


class SessionStream:
    """Sends the events of ``log`` to ``client`` in order, one script a batch.

    - Each event is sent once, as long as the server keeps its data. A server that lost its data
      gets the whole session again.
    - A replay writes the last value and the heartbeat of the whole server only while they do not
      belong to a live night.
    - The stream is never overwritten. A bookmark, a last value or a heartbeat of another type, or
      with a text that the monitor did not write, is replaced.
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
        mode: Mode,
    ) -> None:
        self._client = client
        self._keys = keys
        self._session_id = session_id
        self._log = log
        self._stream_length = stream_length
        self._heartbeat_ttl_s = heartbeat_ttl_s
        self._mode = mode
        self.published = 0
        self.last_value_error = ""
        """Why the server refused the newest last value; "" if it did not."""
        self._place = _Place()
        self._bookmark = ""  # the text on the server
        self._in_step = False  # True while the two above equal the server's
        # The last value after event `_last_sequence`.
        self._last = {"mode": mode.value}
        self._last_sequence = 0

    def forget(self) -> None:
        """Read the place from the server again before the next batch."""
        self._in_step = False

    def send_batch(self) -> bool:
        """Send the next events; return False if the server has all of them.

        Raises redis.WatchError if nothing was sent because another publisher of this session was
        quicker, or because the server no longer holds the events that it had.
        """
        try:
            if not self._in_step:
                self._find_place()
            events = self._log.events_after(self._place.sequence, BATCH)
            if not events:
                known = self._place
                self._find_place()
                return self._place != known
            self._send(events)
        except redis.ResponseError as exc:
            if _is_of_another_type(exc):  # only the stream can be: all else is replaced
                raise redis.ResponseError(
                    f"key {self._keys.events} is not a stream: delete it"
                ) from exc
            raise
        return True

    def _send(self, events: Sequence[Event]) -> None:
        last, newest = self._last_after(events), events[-1]
        self._in_step = False  # until the server has answered
        reply = self._client.eval(_ADD, 5, *self._script_keys(), *self._arguments(events, last))
        if reply == "OUTOFSTEP":
            raise redis.WatchError("the session's place in the stream has changed")
        entry, self.last_value_error = reply
        self._bookmark = f"{newest.sequence} {newest.id} {entry}"
        self._place = _Place(newest.sequence, entry)
        self._last, self._last_sequence = last, newest.sequence
        self.published = newest.sequence
        self._in_step = True

    def _find_place(self) -> None:
        """Read from the server how far the session was sent."""
        self._bookmark = self._read_bookmark()
        self._place = self._place_of(self._bookmark) or self._search() or _Place()
        self.published = self._place.sequence
        self._in_step = True

    def beat(self, utc: datetime, night_utc: datetime | None) -> None:
        """Write the heartbeat. It expires by itself if no other follows.

        ``night_utc``: the time on the clock of a live night's events; None: a replay.
        """
        keys = self._keys
        beat = {
            "session": self._session_id,
            "mode": self._mode.value,
            "utc": utc_text(utc),
            "recording_utc": None if night_utc is None else utc_text(night_utc),
            "sequence": self.published,
            "sleeper": self._sleeper(),
        }
        self._client.eval(
            _BEAT,
            3,
            *(keys.heartbeat(self._session_id), keys.last(), keys.heartbeat()),
            *(json.dumps(beat), str(self._heartbeat_ttl_s), self._mode.value),
        )

    def _sleeper(self) -> str:
        """Return the sleeper's name, also while no event was sent since a restart."""
        if "sleeper" not in self._last:
            started = self._log.events_after(0, 1)
            return str(started[0].data.get("sleeper", "")) if started else ""
        return self._last["sleeper"]

    def _script_keys(self) -> tuple[str, ...]:
        keys, session_id = self._keys, self._session_id
        own = keys.events, keys.published(session_id), keys.last(session_id)
        return *own, keys.last(), keys.heartbeat()

    def _arguments(self, events: Sequence[Event], last: dict[str, str]) -> list[str]:
        """Return the arguments of the script that adds ``events``."""
        texts = [text for pair in last.items() for text in pair]
        arguments = [self._bookmark, self._place.entry, str(self._stream_length), str(KEEP_S)]
        arguments += [self._mode.value, str(len(texts)), *texts]
        for event in events:
            arguments += [str(event.sequence), event.id, event.type, session_id_of(event)]
            arguments.append(to_json(event))
        return arguments

    def _last_after(self, events: Sequence[Event]) -> dict[str, str]:
        """Return the last value after ``events``, which follow the place in the log."""
        place = self._place.sequence
        if self._last_sequence > place:
            self._last, self._last_sequence = {"mode": self._mode.value}, 0
        while self._last_sequence < place:
            # Made from the log and not read from the server, where others may have changed it.
            missed = self._log.events_after(
                self._last_sequence, min(BATCH, place - self._last_sequence)
            )
            self._last = _folded(self._last, missed)
            self._last_sequence = missed[-1].sequence
        return _folded(self._last, events)

    def _read_bookmark(self) -> str:
        try:
            text = self._client.get(self._keys.published(self._session_id)) or ""
        except redis.ResponseError as exc:
            if _is_of_another_type(exc):
                return ""
            raise
        is_ours = len(text) <= _LONGEST_BOOKMARK and _BOOKMARK.fullmatch(text)
        return text if is_ours else ""

    def _place_of(self, bookmark: str) -> _Place | None:
        """Return the place that ``bookmark`` names, if log and stream hold its event."""
        match = _BOOKMARK.fullmatch(bookmark)
        if match is None:
            return None
        sequence, entry = int(match[1]), f"{match[3]}-{match[4]}"
        if max(int(match[3]), int(match[4])) > _MAX_ENTRY or not self._log_holds(
            sequence, match[2]
        ):
            return None
        is_there = self._client.xrange(self._keys.events, entry, entry)
        # A full stream drops its oldest entries: there the event was sent, and is gone since.
        if is_there or self._client.xlen(self._keys.events) >= self._stream_length:
            return _Place(sequence, entry)
        return None

    def _search(self) -> _Place | None:
        """Return the place of the session's newest event in the stream, if the log holds it.

        Another event there is of a replay that starts again, or of a log that lost its end in a
        power cut. Then all of the log is sent.
        """
        newest = "+"
        for _ in range(SEARCHED // _PAGE):
            entries = self._client.xrevrange(self._keys.events, max=newest, count=_PAGE)
            for entry, fields in entries:
                if fields.get("session") != self._session_id:
                    continue
                try:
                    event = from_json(fields.get("event", ""))
                except ValueError:
                    continue
                if self._log_holds(event.sequence, event.id):
                    return _Place(event.sequence, entry)
                return None
            if len(entries) < _PAGE:
                return None
            newest = f"({entries[-1][0]}"
        return None

    def _log_holds(self, sequence: int, event_id: str) -> bool:
        # A greater number is none of ours, and SQLite would refuse it.
        if not 1 <= sequence <= self._log.last_sequence():
            return False
        events = self._log.events_after(sequence - 1, 1)
        return bool(events) and (events[0].sequence, events[0].id) == (sequence, event_id)


def _is_of_another_type(exc: redis.ResponseError) -> bool:
    return "WRONGTYPE" in str(exc)


def _folded(last: dict[str, str], events: Sequence[Event]) -> dict[str, str]:
    for event in events:
        last = with_event(last, event)
    return last
