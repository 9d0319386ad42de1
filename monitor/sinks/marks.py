"""Reads the marks that other terminals and apps leave on the server: lights off, lights on, notes.

The stream that holds them outlives a restart of the monitor, so no mark is lost. See EVENTS.md;
`mark_sender.py` leaves marks.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any, Self

import redis

from monitor.backoff import Backoff
from monitor.closing import Closing
from monitor.errors import MonitorError
from monitor.night.events import utc_text
from monitor.sinks.redis_client import PREFIX, Keys, connect, safe_text, safe_url
from monitor.types import Mark, MarkKind

KEPT = 1000
"""Marks kept in the stream."""

MAX_TEXT = 1000
"""Characters of a note."""

BLOCK_S = 0.5
"""Time for which the server holds a read open until an entry comes."""

READ_TIMEOUT_S = 2.0
"""Time limit for an answer: longer than `BLOCK_S`, so that a read without entries does not fail."""

_log = logging.getLogger(__name__)


class MarkReader(Closing):
    """Reads the marks that others leave at ``url``, for all sleepers of this process.

    - `take` returns each mark made at ``since_utc`` or later once, also those left while no
      monitor ran. After a restart of the monitor it returns them again: the night store knows
      which it has.
    - While the server is away it waits and logs nothing: the publisher logs that already.
    - An entry that is not a mark is logged once and skipped.
    - Start and close it from the main thread, or use it as a context manager. It also ends when
      the main thread ends.

    Raises `InputError` if ``url`` is wrong.
    """

    def __init__(self, url: str, *, since_utc: datetime, prefix: str = PREFIX) -> None:
        self._url = url
        # Compared as text, to the millisecond, because marks carry milliseconds.
        self._since = utc_text(since_utc)
        self._stream = Keys(prefix).marks
        self._client: Any = connect(url, timeout_s=READ_TIMEOUT_S)
        self._new: deque[tuple[Mark, str]] = deque()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        # The thread alone uses these: its place in the stream, and the entries it has read.
        self._last_entry = "0-0"
        self._seen: set[str] = set()
        self._complained = False

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

    def take(self) -> list[tuple[Mark, str]]:
        """Return the marks that came since the last call, each with its sleeper; never waits.

        The sleeper "" means all sleepers.
        """
        marks = []
        while self._new:
            marks.append(self._new.popleft())
        return marks

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
                self._read()
                backoff.reset()
            except Exception as exc:
                # No exception may end the night or this thread.
                self._note_failed(exc)
                self._closing.wait(backoff.next_s())

    def _read(self) -> None:
        answer = self._client.xread(
            {self._stream: self._last_entry}, count=KEPT, block=round(1000 * BLOCK_S)
        )
        for entry, fields in answer[0][1] if answer else []:
            self._last_entry = entry
            if entry in self._seen:
                continue
            self._seen.add(entry)
            try:
                mark, sleeper = _mark_of(entry, fields)
                if utc_text(mark.time_utc) >= self._since:
                    self._new.append((mark, sleeper))
            except (ValueError, OverflowError) as exc:
                _log.warning("a mark in %s is skipped: %s", self._stream, exc)

    def _note_failed(self, exc: Exception) -> None:
        self._client.close()
        # The server may return without its data, and its new entries may have any id. So read from
        # the start, and skip the entries in `_seen`.
        self._last_entry = "0-0"
        away = isinstance(exc, OSError | redis.ConnectionError | redis.TimeoutError)
        if not away and not self._complained:
            self._complained = True
            _log.warning(
                "marks at %s cannot be read (%s); trying again all night",
                safe_url(self._url),
                safe_text(exc, self._url),
            )


def note_text(text: str | None) -> str | None:
    """Return ``text`` as one printable line of at most `MAX_TEXT` characters; None if empty."""
    # Cut twice: a huge text is not processed as a whole, and removed spaces do not count.
    letters = (text or "")[: 4 * MAX_TEXT]
    words = "".join(letter if letter.isprintable() else " " for letter in letters).split()
    return " ".join(words)[:MAX_TEXT].rstrip() or None


def _mark_of(entry: str, fields: dict[str, str]) -> tuple[Mark, str]:
    """Return the mark in an entry of the stream, and its sleeper.

    Raises ValueError with what is wrong, and OverflowError for a time beyond the calendar.
    """
    try:
        kind = MarkKind(fields.get("kind", ""))
    except ValueError:
        kinds = ", ".join(MarkKind)
        raise ValueError(f"kind {fields.get('kind', '')[:40]!r} is none of {kinds}") from None
    text = note_text(fields.get("text")) if kind is MarkKind.NOTE else None
    return Mark(kind, _time_of(entry, fields), text), fields.get("sleeper", "").strip()


def _time_of(entry: str, fields: dict[str, str]) -> datetime:
    time_text = fields.get("time", "")
    if not time_text:
        # An entry's id begins with the time at which the server received it, in milliseconds.
        return datetime.fromtimestamp(int(entry.partition("-")[0]) / 1000, UTC)
    try:
        time_utc = datetime.fromisoformat(time_text)
    except ValueError:
        raise ValueError(f"time {time_text[:40]!r} is not RFC 3339") from None
    if time_utc.tzinfo is None:
        raise ValueError(f"time {time_text[:40]!r} has no offset: write it in UTC with a Z")
    return time_utc.astimezone(UTC)
