"""One SQLite file a night: everything known is stored in it before anyone is told.

WAL mode: a crash at any moment leaves the last committed epoch whole, and other programs may read
the file while the night goes on. `SCHEMA` is the file's format.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock, Timeout

from models.contract import EPOCH_SAMPLES, Stage
from monitor.errors import InputError, MonitorError
from monitor.types import (
    Derivation,
    Epoch,
    Event,
    Mark,
    MarkKind,
    Montage,
    Quality,
    Reason,
    SampleLedger,
    Session,
    StagePrediction,
    Track,
)

SCHEMA_VERSION = 2
APPLICATION_ID = 0x534C4D31  # "SLM1": tells a night store from any other SQLite file

SCHEMA = """
CREATE TABLE session (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, derivation TEXT NOT NULL,
    channels TEXT NOT NULL,   -- JSON: names, in the order of signal_uv
    start_s REAL NOT NULL, start_utc TEXT NOT NULL, sfreq_hz REAL NOT NULL,
    gain TEXT NOT NULL, model TEXT NOT NULL, sleeper TEXT NOT NULL,
    created_utc TEXT NOT NULL, ended_utc TEXT
) STRICT;
CREATE TABLE epoch (
    epoch_index INTEGER PRIMARY KEY, start_s REAL NOT NULL, start_utc TEXT NOT NULL,
    signal_uv BLOB NOT NULL,  -- float32 little-endian (n_channels, 3000), 100 Hz, NaN where lost
    derivation TEXT NOT NULL, -- JSON: name of the one staged, and which channels it is made of
    reason TEXT,              -- why the epoch is unscored; NULL if it is scored
    quality TEXT NOT NULL,    -- JSON: of the derivation
    channel_quality TEXT NOT NULL,  -- JSON: of each channel
    verdicts TEXT NOT NULL,   -- JSON: of each derivation, why it could not be staged, or null
    ledger TEXT NOT NULL      -- JSON: received + filled + lost = expected
) STRICT;
CREATE TABLE prediction (
    epoch_index INTEGER NOT NULL REFERENCES epoch, track TEXT NOT NULL, revision INTEGER NOT NULL,
    final INTEGER NOT NULL, stage TEXT, reason TEXT,
    p_w REAL, p_n1 REAL, p_n2 REAL, p_n3 REAL, p_r REAL, confidence REAL,
    model TEXT NOT NULL, latency_s REAL NOT NULL,
    PRIMARY KEY (epoch_index, track, revision)
) STRICT;
CREATE TABLE mark (
    time_utc TEXT NOT NULL, kind TEXT NOT NULL, text TEXT
) STRICT;
CREATE UNIQUE INDEX mark_once ON mark (time_utc, kind, coalesce(text, ''));
CREATE TABLE event (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL,
    source TEXT NOT NULL, time TEXT NOT NULL, data TEXT NOT NULL, published_utc TEXT
) STRICT;
CREATE TABLE live (            -- of a live night only: what it takes to go on with it
    source_key TEXT NOT NULL, montage TEXT NOT NULL,
    boot_id TEXT NOT NULL, timeline_offset_s REAL NOT NULL, clock_offset_s REAL
) STRICT;
"""

_INSERT_EVENT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, NULL)"


@dataclass(frozen=True, slots=True)
class LiveNight:
    """What it takes to go on with a live night after the monitor, or the machine, went down.

    ``source_key`` names the headband. ``timeline_offset_s`` and ``clock_offset_s`` (see `Timeline`
    and `LiveSource`) hold within the boot of the machine called ``boot_id``.
    """

    source_key: str
    montage: Montage
    boot_id: str
    timeline_offset_s: float
    clock_offset_s: float | None


class NightWriter(Protocol):
    """Stores what happens in a session, in order: the night store, or a backlog before it."""

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
    """A night's file, open for writing by one monitor. Safe across threads.

    Every writing method is one transaction: it is on disk, or it did not happen.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, writer: FileLock, created: bool
    ) -> None:
        self.path = path
        self._connection = connection
        self._writer = writer
        # A file made for a night that then never begins does not stay.
        self._discard = created
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path, *, durable: bool = True) -> NightStore:
        """Open a night's file, made if there is none, for this process alone to write.

        ``durable``: every commit waits for the disk, so that loss of power costs nothing; without
        it, it may cost the last ones. Raises `InputError` if the file cannot be used.
        """
        path = path.resolve()  # one night, one lock, whatever links lead to it
        if path.is_dir():
            raise InputError(f"cannot use {path} as the night store: it is a folder; name a file")
        if not path.parent.is_dir():  # the lock would make it
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
            connection = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
            _prepare(connection, path, durable)
            return cls(path, connection, writer, created)
        except BaseException as exc:
            if connection is not None:
                connection.close()
            if created:
                _remove(path)
            _give_up(writer)
            if isinstance(exc, sqlite3.Error):
                raise _unusable(path, exc) from exc
            raise

    def close(self) -> None:
        """Close the file; its journal is folded into it. One that no night was begun in goes."""
        with self._lock:
            try:
                self._connection.close()
                if self._discard:
                    _remove(self.path)
            finally:
                _give_up(self._writer)

    # --- writing

    def begin(
        self, session: Session, created_utc: datetime, event: Event, live: LiveNight | None = None
    ) -> None:
        """Start the night in a new file; ``event`` says that it has started."""
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
                cursor.execute("INSERT INTO live VALUES (?, ?, ?, ?, ?)", _live_row(live))
            cursor.execute(_INSERT_EVENT, _event_row(event))
        self._discard = False

    def write(
        self,
        events: Sequence[Event],
        predictions: Sequence[StagePrediction] = (),
        epoch: Epoch | None = None,
        mark: Mark | None = None,
        ended_utc: datetime | None = None,
    ) -> None:
        """Everything that happened at one moment of the night, all or nothing."""
        with self._transaction() as cursor:
            if epoch is not None:
                cursor.execute(
                    f"INSERT INTO epoch VALUES ({', '.join('?' * 10)})", _epoch_row(epoch)
                )
            cursor.executemany(
                f"INSERT INTO prediction VALUES ({', '.join('?' * 14)})",
                [_prediction_row(prediction) for prediction in predictions],
            )
            if mark is not None:
                row = (mark.time_utc.isoformat(), mark.kind.value, mark.text)
                cursor.execute("INSERT INTO mark VALUES (?, ?, ?)", row)
            cursor.executemany(_INSERT_EVENT, [_event_row(event) for event in events])
            if ended_utc is not None:
                cursor.execute("UPDATE session SET ended_utc = ?", (ended_utc.isoformat(),))

    @contextmanager
    def together(self) -> Iterator[None]:
        """All that is written within is one transaction. Nobody else sees any of it until then."""
        with self._transaction() as cursor:
            cursor.execute("BEGIN")
            yield

    def go_on(self, live: LiveNight) -> None:
        """Go on with a live night, also with one that had been brought to its end."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM live")
            cursor.execute("INSERT INTO live VALUES (?, ?, ?, ?, ?)", _live_row(live))
            cursor.execute("UPDATE session SET ended_utc = NULL")

    def mark_published(self, sequence: int, utc: datetime) -> None:
        """The event server holds every event up to ``sequence``."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE event SET published_utc = ? WHERE sequence <= ? AND published_utc IS NULL",
                (utc.isoformat(), sequence),
            )

    # --- reading

    def session(self) -> Session | None:
        """The night in this file, or None if none was begun."""
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
        """What it takes to go on with this night; None for a replay's."""
        rows = self._rows(
            "SELECT source_key, montage, boot_id, timeline_offset_s, clock_offset_s FROM live"
        )
        if not rows:
            return None
        key, montage, *clocks = rows[0]
        channels, derivations = json.loads(montage)
        return LiveNight(
            key, Montage(tuple(channels), tuple(Derivation(*each) for each in derivations)), *clocks
        )

    def ended(self) -> bool:
        """Whether the night was brought to its end."""
        return bool(self._rows("SELECT 1 FROM session WHERE ended_utc IS NOT NULL"))

    def epochs(self, after: int = -1) -> Iterator[Epoch]:
        """Stored epochs with an index greater than ``after``, in order."""
        for index, *_ in self._rows("SELECT epoch_index FROM epoch WHERE epoch_index > ?", after):
            (row,) = self._rows(
                "SELECT start_s, start_utc, signal_uv, derivation, quality, channel_quality, "
                "verdicts, ledger FROM epoch WHERE epoch_index = ?",
                index,
            )
            yield _epoch(index, *row)

    def n_epochs(self) -> int:
        return int(self._rows("SELECT count(*) FROM epoch")[0][0])

    def derivations(self) -> list[Derivation]:
        """What was staged of every epoch, in order."""
        rows = self._rows("SELECT derivation FROM epoch ORDER BY epoch_index")
        return [Derivation(*json.loads(row[0])) for row in rows]

    def verdicts(self) -> list[tuple[Reason | None, ...]]:
        """Of every epoch, in order, why each derivation could not be staged, or None."""
        rows = self._rows("SELECT verdicts FROM epoch ORDER BY epoch_index")
        return [_reasons(row[0]) for row in rows]

    def ledger(self) -> SampleLedger:
        """Where the samples of the whole night went."""
        rows = self._rows("SELECT ledger FROM epoch")
        return sum((SampleLedger(**json.loads(row[0])) for row in rows), SampleLedger())

    def predictions(self, track: Track) -> list[StagePrediction]:
        """The newest prediction of ``track`` for every epoch that has one, in epoch order."""
        rows = self._rows(
            "SELECT epoch_index, track, max(revision), final, stage, reason, "
            "p_w, p_n1, p_n2, p_n3, p_r, confidence, model, latency_s "
            "FROM prediction WHERE track = ? GROUP BY epoch_index ORDER BY epoch_index",
            track.value,
        )
        return [_prediction(row) for row in rows]

    def marks(self) -> list[Mark]:
        """What a person said during the night, in order of time."""
        rows = self._rows("SELECT time_utc, kind, text FROM mark ORDER BY time_utc")
        return [Mark(MarkKind(kind), datetime.fromisoformat(utc), text) for utc, kind, text in rows]

    def events_after(self, sequence: int, limit: int) -> list[Event]:
        """At most ``limit`` events with a greater sequence, in order."""
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
        """Whether this has been told already."""
        return bool(self._rows("SELECT 1 FROM event WHERE id = ?", event_id))

    def newest_event(self, type_: str) -> Event | None:
        """The newest event of a type."""
        rows = self._rows("SELECT max(sequence) FROM event WHERE type = ?", type_)
        (sequence,) = rows[0]
        return None if sequence is None else self.events_after(sequence - 1, 1)[0]

    def last_sequence(self) -> int:
        """Sequence of the newest event; 0 if there is none."""
        return int(self._rows("SELECT coalesce(max(sequence), 0) FROM event")[0][0])

    # --- inside

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, _translated(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._lock, _translated(self.path):
            if self._connection.in_transaction:  # one part of what is written `together`
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


def _prepare(connection: sqlite3.Connection, path: Path, durable: bool) -> None:
    """Bring a new file to the schema, or check an old one."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if n_tables and application_id != APPLICATION_ID:
        raise InputError(f"{path} is an SQLite file but not a night store; choose another --store")
    if n_tables and version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has night-store format {version}, this version writes {SCHEMA_VERSION}; "
            "choose another --store"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    if not n_tables:
        connection.executescript(
            f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )


def _unusable(path: Path, exc: Exception) -> InputError:
    why = exc.strerror if isinstance(exc, OSError) else exc
    return InputError(f"cannot use {path} as the night store: {why}; choose another with --store")


def _give_up(writer: FileLock) -> None:
    # Removed while it is held: whoever waits for it notices and makes a new one. Windows does not
    # remove an open file; there it stays, empty.
    with suppress(OSError):
        Path(writer.lock_file).unlink(missing_ok=True)
    writer.release()


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _epoch_row(epoch: Epoch) -> tuple[object, ...]:
    return (
        epoch.index,
        epoch.start_s,
        epoch.start_utc.isoformat(),
        epoch.data_uv.astype("<f4").tobytes(),
        json.dumps(astuple(epoch.derivation)),
        None if epoch.quality.reason is None else epoch.quality.reason.value,
        json.dumps(asdict(epoch.quality)),
        json.dumps([asdict(each) for each in epoch.channel_quality]),
        json.dumps(epoch.verdicts),
        json.dumps(asdict(epoch.ledger)),
    )


def _epoch(
    index: int,
    start_s: float,
    start_utc: str,
    signal: bytes,
    derivation: str,
    quality: str,
    channel_quality: str,
    verdicts: str,
    ledger: str,
) -> Epoch:
    return Epoch(
        index=index,
        start_s=start_s,
        start_utc=datetime.fromisoformat(start_utc),
        data_uv=np.frombuffer(signal, "<f4").reshape(-1, EPOCH_SAMPLES).astype(np.float32),
        derivation=Derivation(*json.loads(derivation)),
        quality=_quality(**json.loads(quality)),
        channel_quality=tuple(_quality(**each) for each in json.loads(channel_quality)),
        verdicts=_reasons(verdicts),
        ledger=SampleLedger(**json.loads(ledger)),
    )


def _quality(reason: str | None, **fields: Any) -> Quality:
    return Quality(None if reason is None else Reason(reason), **fields)


def _reasons(text: str) -> tuple[Reason | None, ...]:
    return tuple(None if each is None else Reason(each) for each in json.loads(text))


def _live_row(live: LiveNight) -> tuple[object, ...]:
    montage = [live.montage.channels, [astuple(each) for each in live.montage.derivations]]
    return (
        live.source_key,
        json.dumps(montage),
        live.boot_id,
        live.timeline_offset_s,
        live.clock_offset_s,
    )


def _prediction_row(prediction: StagePrediction) -> tuple[object, ...]:
    return (
        prediction.epoch_index,
        prediction.track.value,
        prediction.revision,
        int(prediction.final),
        None if prediction.stage is None else prediction.stage.value,
        None if prediction.reason is None else prediction.reason.value,
        *(prediction.probabilities or (None,) * 5),
        prediction.confidence,
        prediction.model,
        prediction.latency_s,
    )


def _prediction(row: tuple[Any, ...]) -> StagePrediction:
    index, track, revision, final, stage, reason, *numbers, confidence, model, latency_s = row
    return StagePrediction(
        epoch_index=index,
        track=Track(track),
        revision=revision,
        final=bool(final),
        stage=None if stage is None else Stage(stage),
        reason=None if reason is None else Reason(reason),
        probabilities=None if stage is None else tuple(numbers),
        confidence=confidence,
        model=model,
        latency_s=latency_s,
    )


def _event_row(event: Event) -> tuple[object, ...]:
    return (
        event.sequence,
        event.id,
        event.type,
        event.source,
        event.time.isoformat(),
        json.dumps(event.data),
    )
