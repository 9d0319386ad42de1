"""The night store, an SQLite file per night. Everything is stored in it before it is announced.

In WAL mode a crash at any moment leaves the last committed epoch whole, and other programs may read
the file while the night goes on. `monitor.night.schema.SCHEMA` is the format of the file.
"""

from __future__ import annotations

import itertools
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from filelock import FileLock, Timeout

from monitor.config import monitor_version, private_folder
from monitor.errors import InputError, MonitorError
from monitor.night.checksums import Row, checksum
from monitor.night.file_watch import FileWatch, store_files
from monitor.night.journal import journal_damage
from monitor.night.live_night import LiveNight
from monitor.night.lock import LOCK_S, PRIVATE, lock_of, release, remove_files
from monitor.night.reading import check, opened
from monitor.night.rows import (
    StoredSession,
    derivation_from_json,
    epoch_from_row,
    epoch_to_row,
    event_from_row,
    event_to_row,
    ledger_from_json,
    live_night_from_row,
    live_night_to_row,
    mark_from_row,
    mark_to_row,
    prediction_from_row,
    prediction_to_row,
    reasons_from_json,
    session_from_row,
    session_to_row,
)
from monitor.night.salvage import Remembered, salvage
from monitor.night.schema import N_EPOCHS, POSITION, insert, prepare, selection
from monitor.night.trouble import (
    Failure,
    StoreError,
    Trouble,
    damaged,
    translated,
    unusable,
)
from monitor.types import (
    Derivation,
    Epoch,
    Event,
    Mark,
    Reason,
    SampleLedger,
    Session,
    StagePrediction,
    Track,
)

LOCKED_S = 5.0
"""Time to wait while another program locks the file. A live night must end within 10 s."""


_log = logging.getLogger(__name__)

T = TypeVar("T")
Stored = tuple[Any, ...]
"""A row as SQLite returns it."""


class NightWriter(Protocol):
    """A writer of everything that happens in a session, in order: `NightStore` or `Backlog`."""

    def write(
        self,
        events: Sequence[Event],
        predictions: Sequence[StagePrediction] = (),
        epoch: Epoch | None = None,
        marks: Sequence[Mark] = (),
        ended_utc: datetime | None = None,
    ) -> None:
        """Store everything that happened at one moment of the night, all or nothing."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """Return a context whose writes become one transaction, if the writer can do that."""
        ...

    def holds_event(self, event_id: str) -> bool:
        """Return True if an event of this id is stored."""
        ...


class NightStore:
    """A night's file, which one monitor writes. Safe across threads.

    - Every writing method is one transaction: all of it is on disk, or none.
    - A second process that opens the same file for writing is refused.
    - If the file is deleted, replaced or damaged while the night goes on, the night is written to
      a new file beside it, and goes on there: see `keep`.
    - Only the user may read a new file. An existing file keeps its mode.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        writer: FileLock,
        created: bool,
        durable: bool,
    ) -> None:
        self.path = path
        self.losses: list[str] = []
        """Accidents of the file during the night, a sentence each."""
        self._connection = connection
        self._writer = writer
        self._durable = durable
        self._watch = FileWatch(path)
        # True until the night begins: `close` removes a new file that holds no night.
        self._discard = created
        # Reentrant: `together` holds it while the writes inside its block acquire it again.
        self._lock = threading.RLock()
        # What is in memory anyway, for a file that is cut: see `_rescue`.
        self._memory = Remembered()

    @classmethod
    def open(cls, path: Path, *, durable: bool = True) -> NightStore:
        """Open a night's file for writing; make it if there is none.

        ``durable``: every commit waits for the disk, so that a power cut loses nothing. Without it
        a power cut may lose the last commits. Raises `InputError` if the file cannot be used.
        """
        path = path.resolve()  # one lock per night, whichever link names the file
        if path.is_dir():
            raise InputError(f"cannot use {path} as the night store: it is a folder; name a file")
        if path.exists() and not path.is_file():
            raise InputError(f"cannot use {path} as the night store: it is not a file; name one")
        if not path.parent.is_dir():  # the lock would make the folder
            raise InputError(
                f"cannot use {path} as the night store: there is no folder {path.parent}; "
                "make it, or choose another with --store"
            )
        writer = lock_of(path)
        try:
            writer.acquire(timeout=LOCK_S)
        except Timeout as exc:
            raise InputError(
                f"another monitor is writing {path}; let it finish, or choose another --store"
            ) from exc
        except OSError as exc:
            raise unusable(path, exc) from exc
        created = not path.exists()
        connection: sqlite3.Connection | None = None
        try:
            # Before SQLite opens the journal, and merges what it takes for whole.
            journal = "" if created else journal_damage(path)
            # SQLite gives its journal the mode of the file.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, PRIVATE))
            # `_lock` makes threads take turns.
            connection = sqlite3.connect(path, timeout=LOCKED_S, check_same_thread=False)
            prepare(connection, path, durable)
            if not created:
                check(connection, path)
            if journal:
                _log.warning("The last epochs of %s may be missing: %s", path, journal)
            store = cls(path, connection, writer, created, durable)
            store._remember()
            return store
        except BaseException as exc:
            if connection is not None:
                connection.close()
            if created:
                remove_files(path)
            release(writer)
            if isinstance(exc, Failure):
                raise unusable(path, exc) from exc
            if isinstance(exc, StoreError):
                raise InputError(str(exc)) from exc
            raise

    def close(self) -> None:
        """Close the file and merge its journal into it. A file without a night is removed."""
        with self._lock:
            try:
                self._connection.close()
                if self._discard:
                    remove_files(self.path)
            finally:
                release(self._writer)

    # --- keeping

    def keep(self) -> None:
        """Write the night to a new file if its file was lost. Call it often.

        Its file is lost if it, or its journal, was deleted, moved, replaced or cut, or if another
        program changed what is in it. Raises `StoreError` if no new file can be written: the night
        then waits in memory, and the next call tries again.
        """
        with self._lock:
            if self._discard or self._connection.in_transaction:
                return
            if why := self._watch.lost() or self._damage():
                self._rescue(why)

    def _damage(self) -> str:
        """Return what is wrong with the file if another program wrote it; "" if nothing is."""
        if not self._watch.touched():
            return ""
        try:
            # Another connection: this one may remember pages as they were.
            with opened(self.path) as (file, _):
                check(file, self.path)
        except MonitorError as exc:
            damage = isinstance(exc, InputError) or (
                isinstance(exc, StoreError) and exc.trouble is Trouble.DAMAGED
            )
            return f"{self.path} was cut or changed by another program" if damage else ""
        self._watch.note()
        return ""

    def _rescue(self, why: str) -> None:
        """Write what can still be read, and what is remembered, to a new file; go on there.

        A file that was deleted or moved can still be read through the open connection.
        """
        lost = self.path
        with translated(lost):
            private_folder(lost.parent)
        try:
            fresh = NightStore.open(_free_name(lost), durable=self._durable)
        except InputError as exc:
            raise StoreError(f"{why}, and no new file can be made: {exc}", Trouble.OTHER) from exc
        try:
            with translated(fresh.path), fresh._connection as new:
                salvage(self._connection, new)
                self._memory.write(new)
        except BaseException:
            fresh.close()  # it holds no night, so the file is removed
            raise
        # The new file counts from here on; the old one is closed last.
        old, old_writer, old_watch = self._connection, self._writer, self._watch
        self.path, self._connection, self._writer = fresh.path, fresh._connection, fresh._writer
        self._watch = FileWatch(self.path)
        with suppress(sqlite3.Error):
            old.close()
        old_watch.remove_journal()
        release(old_writer)
        loss = f"{why} during the night; what could be read is stored again in {self.path}"
        n_lost = self.n_epochs() - self._rows("SELECT count(*) FROM epoch")[0][0]
        if n_lost:
            loss += f", without the signals of {n_lost} epochs"
        self.losses.append(loss)
        _log.warning("%s. The night goes on there", loss)

    def _remember(self) -> None:
        """Read what `_memory` holds of a night that continues."""
        if rows := self._checked("session"):
            self._discard = False
            self._memory.note("session", *rows)
            for table in ("live", "mark", "prediction"):
                self._memory.note(table, *self._checked(table))

    # --- writing

    def begin(
        self,
        session: Session,
        created_utc: datetime,
        event: Event,
        live: LiveNight | None = None,
        *,
        weights_sha256: str = "",
        command: str = "",
    ) -> None:
        """Start the night in a new file. ``event`` announces the start.

        ``weights_sha256`` and ``command`` are for those who read the night later.
        """
        stored = StoredSession(
            session,
            created_utc,
            monitor_version(),
            weights_sha256=weights_sha256,
            command=command,
        )
        with self._transaction() as cursor:
            self._insert(cursor, "session", session_to_row(stored))
            if live is not None:
                self._insert(cursor, "live", live_night_to_row(live))
            self._insert(cursor, "event", event_to_row(event))
        self._discard = False

    def write(
        self,
        events: Sequence[Event],
        predictions: Sequence[StagePrediction] = (),
        epoch: Epoch | None = None,
        marks: Sequence[Mark] = (),
        ended_utc: datetime | None = None,
    ) -> None:
        """See `NightWriter.write`."""
        with self._transaction() as cursor:
            if epoch is not None:
                self._insert(cursor, "epoch", epoch_to_row(epoch))
            self._insert(cursor, "prediction", *map(prediction_to_row, predictions))
            self._insert(cursor, "mark", *map(mark_to_row, marks))
            self._insert(cursor, "event", *map(event_to_row, events))
            if ended_utc is not None:
                self._set_ended(cursor, ended_utc)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make one transaction of all writes in the block. Readers see none of them before."""
        with self._transaction() as cursor:
            cursor.execute("BEGIN")
            yield

    def update_live(self, live: LiveNight) -> None:
        """Replace the stored `LiveNight` by ``live``; reopen a night that was ended in order."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM live")
            self._insert(cursor, "live", live_night_to_row(live))
            self._set_ended(cursor, None)

    def mark_published(self, sequence: int, utc: datetime) -> None:
        """Note that the event server holds every event up to ``sequence``."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE event SET published_utc = ? WHERE sequence <= ? AND published_utc IS NULL",
                (utc.isoformat(), sequence),
            )

    def mark_sent(self, sink: str, sequence: int) -> None:
        """Note that ``sink`` has sent every event up to ``sequence``."""
        with self._transaction() as cursor:
            cursor.execute(POSITION)
            cursor.execute(
                "INSERT OR REPLACE INTO position SELECT ?, sequence, id FROM event "
                "WHERE sequence = ?",
                (sink, sequence),
            )

    # --- reading

    def session(self) -> Session | None:
        """Return the night in this file; None if none has begun."""
        stored = self._stored()
        return stored.session if stored else None

    def live_night(self) -> LiveNight | None:
        """Return what a run needs to continue this night; None for a replay."""
        nights = list(self._each(live_night_from_row, self._checked("live")))
        return nights[0] if nights else None

    def ended(self) -> bool:
        """Return True if the night was ended in order."""
        stored = self._stored()
        return stored is not None and stored.ended_utc is not None

    def epochs(self, after: int = -1) -> Iterator[Epoch]:
        """Yield the stored epochs whose index is greater than ``after``, in order."""
        return self._each(epoch_from_row, self._epoch_rows(after))

    def n_epochs(self) -> int:
        """Return the number of epochs of the night so far."""
        return int(self._rows(N_EPOCHS)[0][0])

    def derivations(self) -> list[Derivation]:
        """Return the derivation that was staged in each epoch, in order."""
        return list(self._each(lambda row: derivation_from_json(row[4]), self._epoch_rows()))

    def verdicts(self) -> list[tuple[Reason | None, ...]]:
        """Return, for each epoch in order, why each derivation could not be staged, or None."""
        return list(self._each(lambda row: reasons_from_json(row[8]), self._epoch_rows()))

    def ledger(self) -> SampleLedger:
        """Return the sample ledger of the whole night."""
        counts = self._each(lambda row: ledger_from_json(row[9]), self._epoch_rows())
        return sum(counts, SampleLedger())

    def predictions(self, track: Track) -> list[StagePrediction]:
        """Return the newest prediction of ``track`` for each epoch that has one, in order."""
        rows = self._checked(
            "prediction", "WHERE track = ? ORDER BY epoch_index, revision", track.value
        )
        newest = {row[0]: row for row in rows}
        return list(self._each(prediction_from_row, newest.values()))

    def marks(self) -> list[Mark]:
        """Return the marks of the night, in order of time."""
        return list(self._each(mark_from_row, self._checked("mark", "ORDER BY time_utc")))

    def events_after(self, sequence: int, limit: int) -> list[Event]:
        """Return at most ``limit`` events after ``sequence``, in order."""
        rows = self._checked(
            "event", "WHERE sequence > ? ORDER BY sequence LIMIT ?", sequence, limit
        )
        return list(self._each(event_from_row, rows))

    def holds_event(self, event_id: str) -> bool:
        """Return True if an event of this id is stored."""
        return bool(self._rows("SELECT 1 FROM event WHERE id = ?", event_id))

    def newest_event(self, type_: str) -> Event | None:
        """Return the newest event of this type; None if there is none."""
        rows = self._checked("event", "WHERE type = ? ORDER BY sequence DESC LIMIT 1", type_)
        return next(self._each(event_from_row, rows), None)

    def last_sequence(self) -> int:
        """Return the sequence of the newest event; 0 if there is none."""
        return int(self._rows("SELECT coalesce(max(sequence), 0) FROM event")[0][0])

    def sent_to(self, sink: str) -> int:
        """Return the sequence of the last event that ``sink`` has sent; 0 if there is none."""
        if not self._rows("SELECT 1 FROM sqlite_schema WHERE name = 'position'"):
            return 0
        found = self._rows(
            "SELECT event.sequence FROM position JOIN event ON event.sequence = position.sequence "
            "AND event.id = position.event_id WHERE position.sink = ?",
            sink,
        )
        return int(found[0][0]) if found else 0

    # --- inside

    def _stored(self) -> StoredSession | None:
        return next(iter(self._each(session_from_row, self._checked("session"))), None)

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, translated(self.path):
            return self._connection.execute(query, values).fetchall()

    def _checked(self, table: str, which: str = "", *values: object) -> list[tuple[Any, ...]]:
        """Return rows of ``table`` without their checksum. Raises `StoreError` if one is wrong."""
        rows = self._rows(f"{selection(table)} {which}", *values)
        for row in rows:
            if checksum(row[:-1]) != row[-1]:
                raise damaged(self.path, f"a row of its table '{table}' was changed")
        return [row[:-1] for row in rows]

    def _each(self, from_row: Callable[[Stored], T], rows: Iterable[Stored]) -> Iterator[T]:
        """Yield the value of each of ``rows``. Raises `StoreError` for one that has none."""
        for row in rows:
            with translated(self.path):
                value = from_row(row)
            yield value

    def _epoch_rows(self, after: int = -1) -> Iterator[tuple[Any, ...]]:
        # One by one: all of a night's signals may be hundreds of megabytes.
        for (index,) in self._rows("SELECT epoch_index FROM epoch WHERE epoch_index > ?", after):
            yield from self._checked("epoch", "WHERE epoch_index = ?", index)

    def _set_ended(self, cursor: sqlite3.Cursor, ended_utc: datetime | None) -> None:
        for row in self._checked("session"):
            stored = replace(session_from_row(row), ended_utc=ended_utc)
            cursor.execute("DELETE FROM session")
            self._insert(cursor, "session", session_to_row(stored))

    def _insert(self, cursor: sqlite3.Cursor, table: str, *rows: Row) -> None:
        insert(cursor, table, *rows)
        self._memory.note(table, *rows)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._lock:
            if self._connection.in_transaction:  # inside `together`
                yield self._connection.cursor()
                return
            self.keep()
            try:
                # A cursor that an exception's traceback keeps would keep the file open.
                with (
                    translated(self.path),
                    self._connection as connection,
                    closing(connection.cursor()) as cursor,
                ):
                    yield cursor
            except StoreError as exc:
                if exc.trouble is Trouble.DAMAGED:
                    self._rescue(f"{self.path} was damaged")
                raise
            self._watch.note()


def _free_name(path: Path) -> Path:
    """Return the first of NAME-2, NAME-3, ... beside ``path`` of which no file is there."""
    for number in itertools.count(2):
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
        if not any(os.path.lexists(each) for each in store_files(free)):
            return free
    raise AssertionError("numbers do not end")
