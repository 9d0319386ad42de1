"""The file format of a night store: its tables, its checksums, and how a file is made or checked.

Every row ends with the CRC-32 of its values (`checksum`), so that a changed bit is an error and
never another stage. SQLite itself has no checksums.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

from monitor.errors import InputError
from monitor.night.checksums import Row, checksum

SCHEMA_VERSION = 5
"""Version of the file format. A store refuses files of another version."""

APPLICATION_ID = 0x534C4D31  # "SLM1": marks an SQLite file as a night store

SCHEMA = """
CREATE TABLE session (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, derivation TEXT NOT NULL,
    channels TEXT NOT NULL,   -- JSON: names, in the order of signal_uv
    start_s REAL NOT NULL, start_utc TEXT NOT NULL, sfreq_hz REAL NOT NULL,
    gain TEXT NOT NULL, model TEXT NOT NULL, sleeper TEXT NOT NULL,
    created_utc TEXT NOT NULL, ended_utc TEXT,
    version TEXT NOT NULL,    -- of the monitor that began the night
    weights_sha256 TEXT NOT NULL, command TEXT NOT NULL,  -- that began it; '' if not known
    crc32 INTEGER NOT NULL    -- here and below: of the values before it in its row
) STRICT;
CREATE TABLE epoch (
    epoch_index INTEGER PRIMARY KEY, start_s REAL NOT NULL, start_utc TEXT NOT NULL,
    signal_uv BLOB NOT NULL,  -- float32 little-endian (n_channels, 3000), 100 Hz, NaN where lost
    derivation TEXT NOT NULL, -- JSON: name of the one staged, and which channels it is made of
    reason TEXT,              -- why the epoch is unscored; NULL if it is scored
    quality TEXT NOT NULL,    -- JSON: of the derivation
    channel_quality TEXT NOT NULL,  -- JSON: of each channel
    verdicts TEXT NOT NULL,   -- JSON: of each derivation, why it could not be staged, or null
    ledger TEXT NOT NULL,     -- JSON: received + filled + lost = expected
    crc32 INTEGER NOT NULL
) STRICT;
CREATE TABLE prediction (
    epoch_index INTEGER NOT NULL REFERENCES epoch, track TEXT NOT NULL, revision INTEGER NOT NULL,
    final INTEGER NOT NULL, stage TEXT, reason TEXT,
    p_w REAL, p_n1 REAL, p_n2 REAL, p_n3 REAL, p_r REAL, confidence REAL,
    model TEXT NOT NULL, latency_s REAL NOT NULL, crc32 INTEGER NOT NULL,
    PRIMARY KEY (epoch_index, track, revision)
) STRICT;
CREATE TABLE mark (
    time_utc TEXT NOT NULL, kind TEXT NOT NULL, text TEXT, crc32 INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX mark_once ON mark (time_utc, kind, coalesce(text, ''));
CREATE TABLE event (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL,
    source TEXT NOT NULL, time TEXT NOT NULL, data TEXT NOT NULL, crc32 INTEGER NOT NULL,
    published_utc TEXT        -- the only value that changes later; the monitor never reads it
) STRICT;
CREATE TABLE live (            -- of a live night only: what it takes to go on with it
    source_key TEXT NOT NULL, montage TEXT NOT NULL,
    boot_id TEXT NOT NULL, timeline_offset_s REAL NOT NULL, clock_offset_s REAL,
    device TEXT NOT NULL, -- identity of the headband; '' if its source does not identify it
    crc32 INTEGER NOT NULL
) STRICT;
"""

POSITION = """
CREATE TABLE IF NOT EXISTS position (  -- of each sink beside Redis: the last event that it has sent
    sink TEXT PRIMARY KEY, sequence INTEGER NOT NULL, event_id TEXT NOT NULL
) STRICT;
"""
"""A table that a night has once such a sink has sent an event. Earlier versions ignore it.

It has no checksums: a position counts only while the event of its number has its id.
"""

TABLES = ("session", "live", "epoch", "prediction", "mark", "event")
"""The tables of `SCHEMA`."""

N_EPOCHS = """
SELECT coalesce(max(epoch_index) + 1, 0) FROM (
    SELECT max(epoch_index) AS epoch_index FROM epoch
    UNION ALL SELECT max(epoch_index) FROM prediction)
"""
"""Query of the number of epochs. After an accident the epochs of some predictions may be lost."""


@cache
def columns(table: str) -> tuple[str, ...]:
    """Return the columns of ``table`` that its checksum covers, in their order."""
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(SCHEMA)
        names = [
            name for (name,) in empty.execute(f"SELECT name FROM pragma_table_info('{table}')")
        ]
    return tuple(names[: names.index("crc32")])


def insert(cursor: sqlite3.Cursor, table: str, *rows: Row) -> None:
    """Add ``rows``, which hold the values of `columns`, to ``table``, with their checksums."""
    names = (*columns(table), "crc32")
    cursor.executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        [(*row, checksum(row)) for row in rows],
    )


@cache
def selection(table: str) -> str:
    """Return the query for the rows of ``table``: the values of `columns`, then the checksum."""
    return f"SELECT {', '.join(columns(table))}, crc32 FROM {table}"


def prepare(connection: sqlite3.Connection, path: Path, durable: bool) -> None:
    """Create the tables in a new file, or check the format of an old one.

    ``durable``: every commit waits for the disk. Raises `InputError` for a file of another format.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if n_tables and application_id != APPLICATION_ID:
        raise InputError(f"{path} is an SQLite file but not a night store; choose another --store")
    if n_tables and version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has night-store format {version}, this version writes {SCHEMA_VERSION}; "
            "choose another --store, or use the version that wrote it"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    if not n_tables:
        connection.executescript(
            f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
