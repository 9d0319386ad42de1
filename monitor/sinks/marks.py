"""Marks from another terminal or app: lights off, lights on, a note. They come through Redis.

The stream they are left in outlives a monitor that restarts, so none is lost. See EVENTS.md.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import redis
from rich.console import Console

from monitor.backoff import Backoff
from monitor.clock import Clock
from monitor.errors import InputError, MonitorError
from monitor.night.events import EventType, from_json, session_id_of, utc_text
from monitor.sinks.redis_client import PREFIX, Keys, connect, safe_text, safe_url
from monitor.types import Mark, MarkKind

KEPT = 1000
"""Marks kept in the stream."""

MAX_TEXT = 1000
"""Characters of a note."""

WAIT_S = 5.0
BLOCK_S = 0.5
READ_TIMEOUT_S = 2.0

_log = logging.getLogger(__name__)


def send_mark(
    console: Console,
    url: str,
    kind: MarkKind,
    text: str | None,
    sleeper: str | None,
    clock: Clock,
    *,
    wait_s: float = WAIT_S,
    prefix: str = PREFIX,
) -> None:
    """Leave a mark, made now, for the monitors at ``url``, and say who recorded it.

    ``sleeper`` None is everyone who is monitored. Raises InputError if ``url`` is wrong or what is
    not a note has a text, and MonitorError if there is no server, or if nobody recorded the mark
    within ``wait_s``.
    """
    if text and kind is not MarkKind.NOTE:
        raise InputError(f"only a note has a text: sleep-monitor mark note {text!r}")
    keys = Keys(prefix)
    mark = Mark(kind, clock.utc(), _one_line(text))
    fields = {
        "kind": kind.value,
        "time": utc_text(mark.time_utc),
        "text": mark.text or "",
        "sleeper": sleeper or "",
    }
    client: Any = connect(url, timeout_s=READ_TIMEOUT_S)
    try:
        running = _running(client, keys)
        wanted = {session for session, name in running.items() if sleeper in (None, "", name)}
        newest = client.xrevrange(keys.events, count=1)
        client.xadd(keys.marks, fields, maxlen=KEPT, approximate=True)
        last = newest[0][0] if newest else "0-0"
        takers = _takers(client, keys, fields, wanted, last, wait_s)
    except (redis.RedisError, OSError) as exc:
        raise MonitorError(
            f"the mark was not sent: no answer from {safe_url(url)} ({safe_text(exc, url)})."
            f" Start the monitor first, or give the --redis URL that it uses"
        ) from None
    finally:
        client.close()
    if not takers:
        names = ", ".join(sorted({name or "one sleeper" for name in running.values()}))
        raise MonitorError(
            f"no running monitor took the mark (monitored at {safe_url(url)} now:"
            f" {names or 'nobody'}). It waits there: a monitor that goes on with this night takes"
            f" it when it starts"
        )
    for name in sorted(takers):
        what = kind.value.replace("_", " ").capitalize()
        whom = f" for {name}" if name else ""
        when = mark.time_utc.astimezone()
        console.print(f"{what} at {when:%H:%M:%S}, recorded{whom}", markup=False, highlight=False)


class MarkReader:
    """The marks that others leave at ``url``, for all sleepers of this process.

    - `take` gives those made at ``since_utc`` or later, each once; also those that were left while
      no monitor ran. A monitor that starts again sees them again: its store knows them.
    - A server that is away, or returns empty, is waited for silently: the publisher says so.
    - What is not a mark is logged once and skipped.
    - Start and close it from the main thread, or use it as a context manager. It ends with the
      main thread even if nobody closes it.

    Raises InputError if ``url`` is wrong.
    """

    def __init__(self, url: str, *, since_utc: datetime, prefix: str = PREFIX) -> None:
        self._url = url
        # Marks carry milliseconds.
        self._since = utc_text(since_utc)
        self._stream = Keys(prefix).marks
        self._client: Any = connect(url, timeout_s=READ_TIMEOUT_S)
        self._taken: deque[tuple[Mark, str]] = deque()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        # Of the thread alone: where it is in the stream, and what it has had.
        self._last_entry = "0-0"
        self._seen: set[str] = set()
        self._complained = False

    def start(self) -> None:
        """Begin to read."""
        if self._thread is not None:
            raise MonitorError("the reader of marks was already started")
        # Not a daemon: an interpreter that exits under a running daemon may crash in it.
        self._thread = threading.Thread(target=self._run, name="marks")
        self._thread.start()

    def take(self) -> list[tuple[Mark, str]]:
        """The marks that came since the last call, and whom each is for; "" is everyone.

        Never waits.
        """
        marks = []
        while self._taken:
            marks.append(self._taken.popleft())
        return marks

    def close(self) -> None:
        """Stop reading. Takes at most a socket timeout; what waits can still be taken."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self._client.close()

    def __enter__(self) -> MarkReader:
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
        backoff = Backoff()
        # The second condition: without it a process that never closes this would never end.
        while not self._closing.is_set() and threading.main_thread().is_alive():
            try:
                self._read()
                backoff.reset()
            except Exception as exc:
                # Whatever it is, the night goes on, and so does this thread.
                self._went(exc)
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
                    self._taken.append((mark, sleeper))
            except (ValueError, OverflowError) as exc:
                _log.warning("a mark in %s is skipped: %s", self._stream, exc)

    def _went(self, exc: Exception) -> None:
        self._client.close()
        # The server may return without its data: then what it has now is all new.
        self._last_entry = "0-0"
        away = isinstance(exc, OSError | redis.ConnectionError | redis.TimeoutError)
        if not away and not self._complained:
            self._complained = True
            _log.warning(
                "marks at %s cannot be read (%s); trying again all night",
                safe_url(self._url),
                safe_text(exc, self._url),
            )


def _mark_of(entry: str, fields: dict[str, str]) -> tuple[Mark, str]:
    """The mark in a stream's entry, and its sleeper. Raises ValueError, saying what is wrong."""
    try:
        kind = MarkKind(fields.get("kind", ""))
    except ValueError:
        kinds = ", ".join(MarkKind)
        raise ValueError(f"kind {fields.get('kind', '')[:40]!r} is none of {kinds}") from None
    said = fields.get("time", "")
    if said:
        try:
            time_utc = datetime.fromisoformat(said)
        except ValueError:
            raise ValueError(f"time {said[:40]!r} is not RFC 3339") from None
        if time_utc.tzinfo is None:
            raise ValueError(f"time {said[:40]!r} has no offset: write it in UTC with a Z")
    else:
        # An entry's id begins with when the server got it.
        time_utc = datetime.fromtimestamp(int(entry.partition("-")[0]) / 1000, UTC)
    text = _one_line(fields.get("text")) if kind is MarkKind.NOTE else None
    return Mark(kind, time_utc.astimezone(UTC), text), fields.get("sleeper", "").strip()


def _one_line(text: str | None) -> str | None:
    """What can be shown on a line, and not too much of it."""
    letters = (text or "")[: 4 * MAX_TEXT]
    words = "".join(letter if letter.isprintable() else " " for letter in letters).split()
    return " ".join(words)[:MAX_TEXT].rstrip() or None


def _running(client: Any, keys: Keys) -> dict[str, str]:
    """The sessions whose heart beats, and whose night each is."""
    running = {}
    for key in client.scan_iter(match=keys.heartbeat("*"), count=1000):
        # One that ended in between has no text.
        beat = json.loads(client.get(key) or "{}")
        if "session" in beat:
            running[str(beat["session"])] = str(beat.get("sleeper", ""))
    return running


def _takers(
    client: Any, keys: Keys, sent: dict[str, str], wanted: set[str], last: str, wait_s: float
) -> set[str]:
    """The sleepers for whom the mark ``sent`` was recorded after entry ``last`` of the events.

    Waits until all sessions ``wanted`` have it, at least for one, at most for ``wait_s``.
    """
    found: dict[str, str] = {}
    deadline_s = time.monotonic() + wait_s
    while not found or not wanted <= found.keys():
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            break
        answer = client.xread(
            {keys.events: last}, count=500, block=max(1, round(1000 * min(BLOCK_S, left_s)))
        )
        for entry, fields in answer[0][1] if answer else []:
            last = entry
            if fields.get("type") != EventType.MARK:
                continue
            event = from_json(fields["event"])
            told = (event.data["kind"], utc_text(event.time), event.data["text"] or "")
            if told == (sent["kind"], sent["time"], sent["text"]):
                session = session_id_of(event)
                found[session] = client.hget(keys.last(session), "sleeper") or ""
    return set(found.values())
