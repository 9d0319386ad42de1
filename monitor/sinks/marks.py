"""Reads the marks that other terminals and apps leave on the server, and answers each of them.

The stream that holds them outlives a restart of the monitor, so no mark is lost. See EVENTS.md;
`mark_sender.py` leaves marks.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import redis

from monitor.backoff import Backoff
from monitor.clock import Clock
from monitor.closing import Closing
from monitor.errors import MonitorError
from monitor.night.events import utc_text
from monitor.sinks.redis_client import PREFIX, Keys, connect, safe_text, safe_url
from monitor.text import clean
from monitor.types import Mark, MarkKind

KEPT = 1000
"""Marks kept in their stream, and answers in theirs. As many wait in memory at most."""

A_MINUTE = 60
"""Marks of one kind that a sleeper may get in a minute: an app may note a thing each second. More
come from an app in a loop, and would fill the night's file."""

READ_AT_ONCE = 200
READ_PAUSE_S = 0.02
"""A read of `READ_AT_ONCE` marks takes some milliseconds. With the pause after it, a flood of
marks leaves the other threads most of their core."""

MAX_TEXT = 1000
"""Characters of a note."""

MAX_NAME = 40
"""Characters of a sleeper's name, as in the configuration."""

BLOCK_S = 0.5
"""Time for which the server holds a read open until an entry comes."""

READ_TIMEOUT_S = 2.0
"""Time limit for an answer: longer than `BLOCK_S`, so that a read without entries does not fail."""

LOG_EVERY_S = 60.0
"""Interval of the lines about refused marks."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeftMark:
    """A mark that somebody left on the server.

    - ``sleeper``: the name of the sleeper that it is for; "" means all sleepers.
    - ``entry``: the id of its entry in the stream. The answer names it.
    """

    mark: Mark
    sleeper: str
    entry: str


@dataclass(frozen=True, slots=True)
class MarkAnswer:
    """An answer to the mark in ``entry``.

    - ``session``, ``sleeper``: who answers; both are "" if no session saw the mark.
    - ``refusal``: why the mark was refused; "" if it is recorded.
    """

    entry: str
    session: str
    sleeper: str
    refusal: str

    def fields(self) -> dict[str, str]:
        """Return the entry of the stream of answers."""
        return {
            "mark": self.entry,
            "session": self.session,
            "sleeper": self.sleeper,
            "answer": "refused" if self.refusal else "recorded",
            "reason": self.refusal,
        }


class MarkReader(Closing):
    """Reads the marks that others leave at ``url``, for all sleepers of this process.

    - `take` returns each mark made at ``since_utc`` or later once, also those left while no
      monitor ran. After a restart of the monitor it returns them again: the night store knows
      which it has.
    - It refuses an entry that is no mark, and marks beyond `A_MINUTE`. If `KEPT` marks wait to be
      taken, the others stay on the server until there is room.
    - `answer` never waits. In a minute at most `KEPT` answers go out: more would push each other
      out of their stream unread.
    - Refusals are counted and logged in one line a minute. A mark of an earlier night that was
      left before the reader began is refused without a word: it was answered then.
    - While the server is away it waits and logs nothing: the publisher logs that already.
    - Start and close it from the main thread, or use it as a context manager. It also ends when
      the main thread ends.

    Raises `InputError` if ``url`` is wrong.
    """

    def __init__(
        self, url: str, *, since_utc: datetime, clock: Clock, prefix: str = PREFIX
    ) -> None:
        self._url = url
        # Compared as text, to the millisecond, because marks carry milliseconds.
        self._since = utc_text(since_utc)
        self._clock = clock
        self._keys = Keys(prefix)
        self._client: Any = connect(url, timeout_s=READ_TIMEOUT_S)
        self._new: deque[LeftMark] = deque()
        self._answers: deque[MarkAnswer] = deque(maxlen=KEPT)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        # The thread alone uses these: its place in the stream, and the entries it has read.
        self._last_entry = "0-0"
        self._seen: dict[str, None] = {}
        self._left_before: tuple[int, int] | None = None  # the newest entry when it began
        self._passed = _MinuteCount(A_MINUTE, KEPT)
        self._answered = _MinuteCount(KEPT, KEPT)
        self._refusals = _RefusalLog(clock, self._keys.marks)
        self._complaints: set[str] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start to read."""
        if self._thread is not None:
            raise MonitorError("the reader of marks was already started")
        # Not a daemon: an interpreter that exits while a daemon thread runs may crash in it.
        self._thread = threading.Thread(target=self._run, name="marks")
        self._thread.start()

    def take(self) -> list[LeftMark]:
        """Return the marks that came since the last call, at most `KEPT`; never waits."""
        return [self._new.popleft() for _ in range(len(self._new))]

    def answer(self, answer: MarkAnswer) -> None:
        """Send ``answer`` soon; never waits. Safe from any thread."""
        self._answers.append(answer)

    def close(self) -> None:
        """Stop reading, within a socket timeout. `take` still returns what was read."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self._client.close()

    def _run(self) -> None:
        backoff = Backoff()
        # The second condition: if the main thread ended without a call of `close`, this thread
        # would keep the process alive for ever.
        while not self._closing.is_set() and threading.main_thread().is_alive():
            try:
                self._send_answers()
                self._read()
                backoff.reset()
            except Exception as exc:
                # No exception may end the night or this thread.
                self._note_failed(exc)
                self._closing.wait(backoff.next_s())
            self._refusals.log_if_due()
        try:
            self._send_answers()
        except Exception as exc:
            self._note_failed(exc)
        self._refusals.log()

    def _read(self) -> None:
        if len(self._new) >= KEPT:
            self._closing.wait(READ_PAUSE_S)
            return
        if self._left_before is None:
            newest = self._client.xrevrange(self._keys.marks, count=1)
            self._left_before = _place(newest[0][0]) if newest else (0, 0)
        answer = self._client.xread(
            {self._keys.marks: self._last_entry}, count=READ_AT_ONCE, block=round(1000 * BLOCK_S)
        )
        entries = answer[0][1] if answer else []
        for entry, fields in entries:
            self._last_entry = entry
            if entry not in self._seen:
                self._seen[entry] = None
                self._receive(entry, fields)
        while len(self._seen) > 4 * KEPT:  # no server that keeps to `KEPT` shows older ones again
            del self._seen[next(iter(self._seen))]
        if len(entries) == READ_AT_ONCE:
            self._closing.wait(READ_PAUSE_S)
        elif entries:
            self._trim()

    def _receive(self, entry: str, fields: dict[str, str]) -> None:
        """Take the mark in an entry of the stream, or refuse it."""
        try:
            left = _left_mark(entry, fields)
        except (ValueError, OverflowError, OSError) as exc:
            self.answer(MarkAnswer(entry, "", "", str(exc)))
            if self._was_left_before(entry):
                self._refusals.count(str(exc))
            return
        if utc_text(left.mark.time_utc) < self._since:
            self.answer(MarkAnswer(entry, "", "", f"no night has a mark before {self._since}"))
        elif not self._passed.allows(_place(entry)[0] // 60_000, (left.sleeper, left.mark.kind)):
            self.answer(MarkAnswer(entry, "", "", f"more than {A_MINUTE} marks in a minute"))
        else:
            self._new.append(left)

    def _was_left_before(self, entry: str) -> bool:
        """Return True if ``entry`` was on the server when this reader began."""
        return self._left_before is not None and _place(entry) <= self._left_before

    def _trim(self) -> None:
        """Keep the stream of marks short, whatever an app leaves there: `KEPT` are read again."""
        try:
            self._client.xtrim(self._keys.marks, maxlen=KEPT, approximate=True, limit=0)
        except redis.ResponseError as exc:  # the server does not let us, or cannot write
            self._complain("trim", "the stream of marks cannot be shortened", exc)

    def _send_answers(self) -> None:
        waiting = [self._answers.popleft() for _ in range(len(self._answers))]
        minute = int(self._clock.monotonic_s() // 60)
        pipe = self._client.pipeline(transaction=False)
        for answer in waiting:
            if answer.refusal:
                if self._was_left_before(answer.entry):
                    continue
                self._refusals.count(answer.refusal)
            if self._answered.allows(minute, ""):
                pipe.xadd(self._keys.mark_answers, answer.fields(), maxlen=KEPT, approximate=True)
        try:
            pipe.execute()
        except redis.ResponseError as exc:
            self._complain("answers", "marks cannot be answered", exc)

    def _note_failed(self, exc: Exception) -> None:
        self._client.close()
        # The server may return without its data, and its new entries may have any id. So read from
        # the start, and skip the entries in `_seen`.
        self._last_entry, self._left_before = "0-0", (0, 0)
        away = isinstance(exc, OSError | redis.ConnectionError | redis.TimeoutError)
        if not away:
            self._complain("read", "marks cannot be read", exc)

    def _complain(self, about: str, problem: str, exc: Exception) -> None:
        """Log each kind of failure once."""
        if about not in self._complaints:
            self._complaints.add(about)
            _log.warning(
                "%s at %s (%s); trying again all night",
                problem,
                safe_url(self._url),
                safe_text(exc, self._url),
            )


class _MinuteCount:
    """A count of what passes in a minute: ``each`` of one key, ``total`` of all together."""

    def __init__(self, each: int, total: int) -> None:
        self._each, self._total = each, total
        self._minute = 0
        self._passed: Counter[object] = Counter()
        self._n = 0

    def allows(self, minute: int, key: object) -> bool:
        """Count one more in ``minute``; return False, and do not count, if it is too many."""
        if minute != self._minute:
            self._minute, self._n = minute, 0
            self._passed.clear()
        if self._passed[key] >= self._each or self._n >= self._total:
            return False
        self._passed[key] += 1
        self._n += 1
        return True


class _RefusalLog:
    """Logs refused marks: the first at once, then one line a minute with their number."""

    def __init__(self, clock: Clock, stream: str) -> None:
        self._clock = clock
        self._stream = stream
        self._n = 0
        self._reason = ""
        self._due_s = -1.0

    def count(self, reason: str) -> None:
        self._n += 1
        self._reason = reason

    def log_if_due(self) -> None:
        if self._clock.monotonic_s() >= self._due_s:
            self.log()

    def log(self) -> None:
        if self._n:
            number = "a mark was" if self._n == 1 else f"{self._n} marks were"
            last = "" if self._n == 1 else ", the last one"
            _log.warning("%s refused in %s%s: %s", number, self._stream, last, self._reason)
            self._n, self._due_s = 0, self._clock.monotonic_s() + LOG_EVERY_S


def _place(entry: str) -> tuple[int, int]:
    """Return an entry's id as numbers: the time in milliseconds, and a count within it."""
    time_ms, _, number = entry.partition("-")
    return int(time_ms), int(number)


def _left_mark(entry: str, fields: dict[str, str]) -> LeftMark:
    """Return the mark in an entry of the stream.

    Raises ValueError with what is wrong, and OverflowError or OSError for a time beyond the
    calendar.
    """
    kind_text = fields.get("kind", "")
    if kind_text not in list(MarkKind):
        raise ValueError(f"kind {clean(kind_text, MAX_NAME)!r} is none of {', '.join(MarkKind)}")
    kind = MarkKind(kind_text)
    text = clean(fields.get("text", ""), MAX_TEXT) if kind is MarkKind.NOTE else ""
    sleeper = clean(fields.get("sleeper", ""), MAX_NAME)
    return LeftMark(Mark(kind, _time_of(entry, fields), text or None), sleeper, entry)


def _time_of(entry: str, fields: dict[str, str]) -> datetime:
    """Return the time of a mark, to the millisecond, as its event has it."""
    time_text = fields.get("time", "")
    if not time_text:
        # An entry's id begins with the time at which the server received it, in milliseconds.
        return datetime.fromtimestamp(_place(entry)[0] / 1000, UTC)
    shown = clean(time_text, MAX_NAME)
    try:
        time_utc = datetime.fromisoformat(time_text)
    except ValueError:
        raise ValueError(f"time {shown!r} is not RFC 3339") from None
    if time_utc.tzinfo is None:
        raise ValueError(f"time {shown!r} has no offset: write it in UTC with a Z")
    return datetime.fromisoformat(utc_text(time_utc))
