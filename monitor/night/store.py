"""The night store, an SQLite file per night. Everything is stored in it before it is announced.

In WAL mode a crash at any moment leaves the last committed epoch whole, and other programs may read
the file while the night goes on. `monitor.night.schema.SCHEMA` is the format of the file.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from monitor.errors import InputError
from monitor.night.checksums import checksum
from monitor.night.live_night import LiveNight
from monitor.night.rows import (
    epoch_from_row,
    epoch_to_row,
    event_from_row,
    event_to_row,
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
from monitor.night.schema import insert, prepare, selection
from monitor.night.trouble import damaged, translated, unusable
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


class NightWriter(Protocol):
    """A writer of everything that happens in a session, in order: `NightStore` or `Backlog`."""

    def write(
        self,
        events: Sequence[Event],
        predictions: Sequence[StagePrediction] = (),
        epoch: Epoch | None = None,
        mark: Mark | None = None,
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
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, writer: FileLock, created: bool
    ) -> None:
        self.path = path
        self._connection = connection
        self._writer = writer
        # True until the night begins: `close` removes a new file that holds no night.
        self._discard = created
        # Reentrant: `together` holds it while the writes inside its block acquire it again.
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path, *, durable: bool = True) -> NightStore:
        """Open a night's file for writing; make it if there is none.

        ``durable``: every commit waits for the disk, so that a power cut loses nothing. Without it
        a power cut may lose the last commits. Raises `InputError` if the file cannot be used.
        """
        path = path.resolve()  # one lock per night, whichever link names the file
        if path.is_dir():
            raise InputError(f"cannot use {path} as the night store: it is a folder; name a file")
        if not path.parent.is_dir():  # the lock would make the folder
            raise InputError(
                f"cannot use {path} as the night store: there is no folder {path.parent}; "
                "make it, or choose another with --store"
            )
        writer = FileLock(path.with_name(path.name + ".lock"))
        try:
            writer.acquire(timeout=0)
        except Timeout as exc:
            raise InputError(
                f"another monitor is writing {path}; let it finish, or choose another --store"
            ) from exc
        except OSError as exc:
            raise unusable(path, exc) from exc
        created = not path.exists()
        connection: sqlite3.Connection | None = None
        try:
            # Wait up to 10 s if another program locks the file. `_lock` makes threads take turns.
            connection = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
            prepare(connection, path, durable)
            return cls(path, connection, writer, created)
        except BaseException as exc:
            if connection is not None:
                connection.close()
            if created:
                _remove(path)
            _release(writer)
            if isinstance(exc, sqlite3.Error):
                raise unusable(path, exc) from exc
            raise

    def close(self) -> None:
        """Close the file and merge its journal into it. A file without a night is removed."""
        with self._lock:
            try:
                self._connection.close()
                if self._discard:
                    _remove(self.path)
            finally:
                _release(self._writer)

    # --- writing

    def begin(
        self, session: Session, created_utc: datetime, event: Event, live: LiveNight | None = None
    ) -> None:
        """Start the night in a new file. ``event`` announces the start."""
        with self._transaction() as cursor:
            insert(cursor, "session", session_to_row(session, created_utc, None))
            if live is not None:
                insert(cursor, "live", live_night_to_row(live))
            insert(cursor, "event", event_to_row(event))
        self._discard = False

    def write(
        self,
        events: Sequence[Event],
        predictions: Sequence[StagePrediction] = (),
        epoch: Epoch | None = None,
        mark: Mark | None = None,
        ended_utc: datetime | None = None,
    ) -> None:
        """See `NightWriter.write`."""
        with self._transaction() as cursor:
            if epoch is not None:
                insert(cursor, "epoch", epoch_to_row(epoch))
            insert(cursor, "prediction", *map(prediction_to_row, predictions))
            if mark is not None:
                insert(cursor, "mark", mark_to_row(mark))
            insert(cursor, "event", *map(event_to_row, events))
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
            insert(cursor, "live", live_night_to_row(live))
            self._set_ended(cursor, None)

    def mark_published(self, sequence: int, utc: datetime) -> None:
        """Note that the event server holds every event up to ``sequence``."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE event SET published_utc = ? WHERE sequence <= ? AND published_utc IS NULL",
                (utc.isoformat(), sequence),
            )

    # --- reading

    def session(self) -> Session | None:
        """Return the night in this file; None if none has begun."""
        rows = self._checked("session")
        return session_from_row(rows[0])[0] if rows else None

    def live_night(self) -> LiveNight | None:
        """Return what a run needs to continue this night; None for a replay."""
        rows = self._checked("live")
        return live_night_from_row(rows[0]) if rows else None

    def ended(self) -> bool:
        """Return True if the night was ended in order."""
        rows = self._checked("session")
        return bool(rows) and session_from_row(rows[0])[2] is not None

    def epochs(self, after: int = -1) -> Iterator[Epoch]:
        """Yield the stored epochs whose index is greater than ``after``, in order."""
        return (epoch_from_row(*row) for row in self._epoch_rows(after))

    def n_epochs(self) -> int:
        """Return the number of stored epochs."""
        return int(self._rows("SELECT count(*) FROM epoch")[0][0])

    def derivations(self) -> list[Derivation]:
        """Return the derivation that was staged in each epoch, in order."""
        return [Derivation(*json.loads(row[4])) for row in self._epoch_rows()]

    def verdicts(self) -> list[tuple[Reason | None, ...]]:
        """Return, for each epoch in order, why each derivation could not be staged, or None."""
        return [reasons_from_json(row[8]) for row in self._epoch_rows()]

    def ledger(self) -> SampleLedger:
        """Return the sample ledger of the whole night."""
        counts = (SampleLedger(**json.loads(row[9])) for row in self._epoch_rows())
        return sum(counts, SampleLedger())

    def predictions(self, track: Track) -> list[StagePrediction]:
        """Return the newest prediction of ``track`` for each epoch that has one, in order."""
        rows = self._checked(
            "prediction", "WHERE track = ? ORDER BY epoch_index, revision", track.value
        )
        newest = {row[0]: row for row in rows}
        return [prediction_from_row(row) for row in newest.values()]

    def marks(self) -> list[Mark]:
        """Return the marks of the night, in order of time."""
        return [mark_from_row(row) for row in self._checked("mark", "ORDER BY time_utc")]

    def events_after(self, sequence: int, limit: int) -> list[Event]:
        """Return at most ``limit`` events after ``sequence``, in order."""
        rows = self._checked(
            "event", "WHERE sequence > ? ORDER BY sequence LIMIT ?", sequence, limit
        )
        return [event_from_row(row) for row in rows]

    def holds_event(self, event_id: str) -> bool:
        """Return True if an event of this id is stored."""
        return bool(self._rows("SELECT 1 FROM event WHERE id = ?", event_id))

    def newest_event(self, type_: str) -> Event | None:
        """Return the newest event of this type; None if there is none."""
        rows = self._checked("event", "WHERE type = ? ORDER BY sequence DESC LIMIT 1", type_)
        return event_from_row(rows[0]) if rows else None

    def last_sequence(self) -> int:
        """Return the sequence of the newest event; 0 if there is none."""
        return int(self._rows("SELECT coalesce(max(sequence), 0) FROM event")[0][0])

    # --- inside

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

    def _epoch_rows(self, after: int = -1) -> Iterator[tuple[Any, ...]]:
        # One by one: all of a night's signals may be hundreds of megabytes.
        for (index,) in self._rows("SELECT epoch_index FROM epoch WHERE epoch_index > ?", after):
            yield from self._checked("epoch", "WHERE epoch_index = ?", index)

    def _set_ended(self, cursor: sqlite3.Cursor, ended_utc: datetime | None) -> None:
        for row in self._checked("session"):
            session, created_utc, _ = session_from_row(row)
            cursor.execute("DELETE FROM session")
            insert(cursor, "session", session_to_row(session, created_utc, ended_utc))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._lock, translated(self.path):
            if self._connection.in_transaction:  # inside `together`
                yield self._connection.cursor()
                return
            with self._connection as connection:
                yield connection.cursor()


def _release(writer: FileLock) -> None:
    # The lock file is removed while the lock is held: a process that waits for it notices, and
    # makes a new one. Windows does not remove an open file; there it stays, empty.
    with suppress(OSError):
        Path(writer.lock_file).unlink(missing_ok=True)
    writer.release()


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
