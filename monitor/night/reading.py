"""Reads a night's file without changing it: opens it, and checks that nothing in it was changed."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from monitor.errors import InputError
from monitor.night.checksums import checksum
from monitor.night.schema import APPLICATION_ID, SCHEMA, TABLES, selection
from monitor.night.trouble import Trouble, damaged, translated, trouble_of


@contextmanager
def opened(path: Path) -> Iterator[tuple[sqlite3.Connection, int]]:
    """Yield a connection that only reads the night's file ``path``, and the version of its format.

    A monitor may write the file meanwhile. Raises `InputError` if it is not a night's file, and
    `StoreError` if it cannot be read.
    """
    path = path.resolve()
    if not os.path.lexists(path):
        raise InputError(f"there is no file {path}: name the file of a night")
    with translated(path):
        # Not `Path.is_file`: it calls a file that may not be looked at absent. A pipe, which has
        # no end, must not be opened at all.
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path} is not a file: name the file of a night")
        # Without a journal nobody writes the file. "immutable" keeps SQLite from making one.
        mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
        with closing(sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True)) as file:
            try:
                application_id = _application_id(file)
            except sqlite3.DatabaseError as exc:
                if trouble_of(exc) is not Trouble.DAMAGED:
                    raise
                raise InputError(
                    f"{path} is not the file of a night, or its first page is damaged ({exc})"
                ) from exc
            (version,) = file.execute("PRAGMA user_version").fetchone()
            if application_id != APPLICATION_ID:
                raise InputError(f"{path} is not the file of a night: it is of another program")
            yield file, version


def _application_id(file: sqlite3.Connection) -> int:
    query = "PRAGMA application_id"
    try:
        (application_id,) = file.execute(query).fetchone()
    except sqlite3.DatabaseError as exc:
        if trouble_of(exc) is not Trouble.DAMAGED:
            raise
        # SQLite opens a file that was cut short only for those who would mend its schema.
        file.execute("PRAGMA writable_schema = ON")
        (application_id,) = file.execute(query).fetchone()
    return int(application_id)


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Check a night of this version whole: its structure, its tables and every row.

    It reads everything, at about a gigabyte a second. Raises `StoreError`.
    """
    with translated(path):
        (answer, *_) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if answer != "ok":
            # The first line names the tree that SQLite was in, the last the mistake.
            raise damaged(path, str(answer).splitlines()[-1])
        found = set(connection.execute(_TABLES_AND_INDEXES))
        triggers = connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'trigger'")
        if not _expected() <= found or triggers.fetchone():
            raise damaged(path, "the definitions of its tables were changed")
        for table in TABLES:
            for row in connection.execute(selection(table)):
                if checksum(row[:-1]) != row[-1]:
                    raise damaged(path, f"a row of its table '{table}' was changed")


_TABLES_AND_INDEXES = "SELECT type, name, tbl_name, sql FROM sqlite_schema"


@cache
def _expected() -> frozenset[tuple[str | None, ...]]:
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(SCHEMA)
        return frozenset(empty.execute(_TABLES_AND_INDEXES))
