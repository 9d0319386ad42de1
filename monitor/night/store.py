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

from monitor.errors import InputError, MonitorError
from monitor.night.live_night import LiveNight
from monitor.night.rows import (
    epoch_from_row,
    epoch_to_row,
    event_to_row,
    live_night_to_row,
    prediction_from_row,
    prediction_to_row,
    reasons_from_json,
)
from monitor.night.schema import prepare
from monitor.types import (
    Derivation,
    Epoch,
    Event,
    Mark,
    MarkKind,
    Montage,
    Reason,
    SampleLedger,
    Session,
    StagePrediction,
    Track,
)

_INSERT_EVENT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, NULL)"
_INSERT_LIVE = "INSERT INTO live VALUES (?, ?, ?, ?, ?, ?)"


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
            raise _unusable(path, exc) from exc
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
                raise _unusable(path, exc) from exc
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
            cursor.execute(
                f"INSERT INTO session VALUES ({', '.join('?' * 11)}, NULL)",
                (
                    session.id,
                    session.source,
                    session.derivation,
                    json.dumps(session.channels),
                    session.start_s,
                    session.start_utc.isoformat(),
                    session.sfreq_hz,
                    session.gain,
                    session.model,
                    session.sleeper,
                    created_utc.isoformat(),
                ),
            )
            if live is not None:
                cursor.execute(_INSERT_LIVE, live_night_to_row(live))
            cursor.execute(_INSERT_EVENT, event_to_row(event))
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
                cursor.execute(
                    f"INSERT INTO epoch VALUES ({', '.join('?' * 10)})", epoch_to_row(epoch)
                )
            cursor.executemany(
                f"INSERT INTO prediction VALUES ({', '.join('?' * 14)})",
                [prediction_to_row(prediction) for prediction in predictions],
            )
            cursor.executemany(
                "INSERT INTO mark VALUES (?, ?, ?)",
                [(mark.time_utc.isoformat(), mark.kind.value, mark.text) for mark in marks],
            )
            cursor.executemany(_INSERT_EVENT, [event_to_row(event) for event in events])
            if ended_utc is not None:
                cursor.execute("UPDATE session SET ended_utc = ?", (ended_utc.isoformat(),))

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
            cursor.execute(_INSERT_LIVE, live_night_to_row(live))
            cursor.execute("UPDATE session SET ended_utc = NULL")

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
        rows = self._rows(
            "SELECT id, source, derivation, channels, start_s, start_utc, sfreq_hz, gain, model, "
            "sleeper FROM session"
        )
        if not rows:
            return None
        id_, source, derivation, channels, start_s, start_utc, *rest = rows[0]
        start = datetime.fromisoformat(start_utc)
        return Session(id_, source, derivation, tuple(json.loads(channels)), start_s, start, *rest)

    def live_night(self) -> LiveNight | None:
        """Return what a run needs to continue this night; None for a replay."""
        rows = self._rows(
            "SELECT source_key, montage, boot_id, timeline_offset_s, clock_offset_s, device "
            "FROM live"
        )
        if not rows:
            return None
        key, montage, *rest = rows[0]
        channels, derivations = json.loads(montage)
        return LiveNight(
            key, Montage(tuple(channels), tuple(Derivation(*each) for each in derivations)), *rest
        )

    def ended(self) -> bool:
        """Return True if the night was ended in order."""
        return bool(self._rows("SELECT 1 FROM session WHERE ended_utc IS NOT NULL"))

    def epochs(self, after: int = -1) -> Iterator[Epoch]:
        """Yield the stored epochs whose index is greater than ``after``, in order."""
        for index, *_ in self._rows("SELECT epoch_index FROM epoch WHERE epoch_index > ?", after):
            (row,) = self._rows(
                "SELECT start_s, start_utc, signal_uv, derivation, quality, channel_quality, "
                "verdicts, ledger FROM epoch WHERE epoch_index = ?",
                index,
            )
            yield epoch_from_row(index, *row)

    def n_epochs(self) -> int:
        """Return the number of stored epochs."""
        return int(self._rows("SELECT count(*) FROM epoch")[0][0])

    def derivations(self) -> list[Derivation]:
        """Return the derivation that was staged in each epoch, in order."""
        rows = self._rows("SELECT derivation FROM epoch ORDER BY epoch_index")
        return [Derivation(*json.loads(row[0])) for row in rows]

    def verdicts(self) -> list[tuple[Reason | None, ...]]:
        """Return, for each epoch in order, why each derivation could not be staged, or None."""
        rows = self._rows("SELECT verdicts FROM epoch ORDER BY epoch_index")
        return [reasons_from_json(row[0]) for row in rows]

    def ledger(self) -> SampleLedger:
        """Return the sample ledger of the whole night."""
        rows = self._rows("SELECT ledger FROM epoch")
        return sum((SampleLedger(**json.loads(row[0])) for row in rows), SampleLedger())

    def predictions(self, track: Track) -> list[StagePrediction]:
        """Return the newest prediction of ``track`` for each epoch that has one, in order."""
        rows = self._rows(
            "SELECT epoch_index, track, max(revision), final, stage, reason, "
            "p_w, p_n1, p_n2, p_n3, p_r, confidence, model, latency_s "
            "FROM prediction WHERE track = ? GROUP BY epoch_index ORDER BY epoch_index",
            track.value,
        )
        return [prediction_from_row(row) for row in rows]

    def marks(self) -> list[Mark]:
        """Return the marks of the night, in order of time."""
        rows = self._rows("SELECT time_utc, kind, text FROM mark ORDER BY time_utc")
        return [Mark(MarkKind(kind), datetime.fromisoformat(utc), text) for utc, kind, text in rows]

    def events_after(self, sequence: int, limit: int) -> list[Event]:
        """Return at most ``limit`` events after ``sequence``, in order."""
        rows = self._rows(
            "SELECT sequence, id, type, source, time, data FROM event WHERE sequence > ? "
            "ORDER BY sequence LIMIT ?",
            sequence,
            limit,
        )
        return [
            Event(number, id_, type_, source, datetime.fromisoformat(time), json.loads(data))
            for number, id_, type_, source, time, data in rows
        ]

    def holds_event(self, event_id: str) -> bool:
        """Return True if an event of this id is stored."""
        return bool(self._rows("SELECT 1 FROM event WHERE id = ?", event_id))

    def newest_event(self, type_: str) -> Event | None:
        """Return the newest event of this type; None if there is none."""
        rows = self._rows("SELECT max(sequence) FROM event WHERE type = ?", type_)
        (sequence,) = rows[0]
        return None if sequence is None else self.events_after(sequence - 1, 1)[0]

    def last_sequence(self) -> int:
        """Return the sequence of the newest event; 0 if there is none."""
        return int(self._rows("SELECT coalesce(max(sequence), 0) FROM event")[0][0])

    # --- inside

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, _translated(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._lock, _translated(self.path):
            if self._connection.in_transaction:  # inside `together`
                yield self._connection.cursor()
                return
            with self._connection as connection:
                yield connection.cursor()


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise MonitorError(
            f"the night store {path} failed: {exc}; what was stored before is safe: make room or "
            "mend the disk, then run the same command again to continue"
        ) from exc


def _unusable(path: Path, exc: Exception) -> InputError:
    why = exc.strerror if isinstance(exc, OSError) else exc
    return InputError(f"cannot use {path} as the night store: {why}; choose another with --store")


def _release(writer: FileLock) -> None:
    # The lock file is removed while the lock is held: a process that waits for it notices, and
    # makes a new one. Windows does not remove an open file; there it stays, empty.
    with suppress(OSError):
        Path(writer.lock_file).unlink(missing_ok=True)
    writer.release()


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
