"""Saves what is sound in a night's file that is damaged, or that is being lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress

from monitor.night.checksums import Row, Value, checksum
from monitor.night.schema import POSITION, TABLES, insert, selection
from monitor.text import clean

MISSING_ROWS = 1000
"""So many rows that cannot be read in succession are the end of a table whose end is unknown."""

SMALLEST_ROW = 16
"""Bytes. A table cannot have more rows than the file has room for, whatever a damaged page says."""


class Remembered:
    """The small part of a night that its store keeps in memory: all but signals and events.

    It replaces what a file that was cut no longer has. Of an epoch's predictions the newest of each
    track is kept.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[Value, ...], tuple[str, Row]] = {}

    def note(self, table: str, *rows: Row) -> None:
        """Keep ``rows``, which are stored in ``table``."""
        for row in rows:
            match table:
                case "session" | "live":
                    self._rows[(table,)] = (table, row)
                case "mark":
                    self._rows[(table, *row)] = (table, row)
                case "prediction":
                    self._rows[(table, *row[:2])] = (table, row)

    def write(self, file: sqlite3.Connection) -> None:
        """Add to ``file`` the rows that it does not have."""
        for table, row in self._rows.values():
            with suppress(sqlite3.IntegrityError):  # it has this row
                insert(file.cursor(), table, row)


def salvage(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Copy every sound row of a night's file to a new one, with what is known of its events."""
    for table in TABLES:
        for row in sound_rows(old, table):
            insert(new.cursor(), table, row)
    with suppress(sqlite3.Error, UnicodeDecodeError):
        published = old.execute("SELECT published_utc, sequence FROM event")
        new.executemany("UPDATE event SET published_utc = ? WHERE sequence = ?", published)
    with suppress(sqlite3.Error, UnicodeDecodeError):
        sent = old.execute("SELECT sink, sequence, event_id FROM position").fetchall()
        new.execute(POSITION)
        new.executemany("INSERT INTO position VALUES (?, ?, ?)", sent)


def sound_rows(file: sqlite3.Connection, table: str) -> Iterator[Row]:
    """Yield the rows of ``table`` that can be read and whose checksum is right, in order."""
    # By its number, not by an index, which may be damaged, and one by one: a row that cannot be
    # read does not hide the rows after it.
    query = f"{selection(table)} NOT INDEXED WHERE rowid = ?"
    rowid, last = -1, last_rowid(file, table)
    end = MISSING_ROWS if last is None else last
    while rowid < end:
        rowid += 1
        try:
            row = file.execute(query, (rowid,)).fetchone()
        except (sqlite3.Error, UnicodeDecodeError):
            continue
        if row is None:
            continue
        if last is None:
            end = rowid + MISSING_ROWS
        if checksum(row[:-1]) == row[-1]:
            yield row[:-1]


def last_rowid(file: sqlite3.Connection, table: str) -> int | None:
    """Return the highest number of a row, as far as the file has room; None if it is unknown."""
    with suppress(sqlite3.Error, UnicodeDecodeError):
        (last,) = file.execute(f"SELECT max(rowid) FROM {table} NOT INDEXED").fetchone()
        (pages,), (size,) = (
            file.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
        return int(min(last or 0, max(MISSING_ROWS, pages * size // SMALLEST_ROW)))
    return None


def structure(file: sqlite3.Connection) -> str:
    """Return what is wrong with the structure of the file; "" if nothing is."""
    try:
        (answer,) = file.execute("PRAGMA integrity_check(1)").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as exc:
        return clean(str(exc))
    return "" if answer == "ok" else str(answer).splitlines()[-1]
