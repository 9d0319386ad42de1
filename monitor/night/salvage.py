"""Saves what is sound in a night's file that is damaged, or that is being lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from models.contract import EPOCH_S
from monitor.errors import InputError
from monitor.night.checksums import Row, Value, checksum
from monitor.night.journal import journal_damage
from monitor.night.reading import opened
from monitor.night.rows import RowError, prediction_from_row
from monitor.night.schema import SCHEMA_VERSION, TABLES, insert, selection
from monitor.night.trouble import damaged, translated
from monitor.text import clean
from monitor.types import StagePrediction, Track

MISSING_ROWS = 1000
"""So many rows that cannot be read in succession are the end of a table whose end is unknown."""

SMALLEST_ROW = 16
"""Bytes. A table cannot have more rows than the file has room for, whatever a damaged page says."""


_EPOCHS = "SELECT epoch_index FROM epoch"


@dataclass(frozen=True, slots=True)
class SavedStages:
    """The stages of a night without its damaged epochs.

    - ``live`` and ``revised`` hold the same epochs, in order. ``start_s`` is the start of epoch 0.
    - ``left_out``: the epochs that are damaged, or whose last revision may be.
    - ``wrong``: what is damaged besides; "" if nothing is.
    """

    live: list[StagePrediction]
    revised: list[StagePrediction]
    start_s: float
    left_out: list[int]
    wrong: str


def saved_stages(path: Path) -> SavedStages:
    """Return the stages in a night's file of this format, however damaged.

    Raises `InputError` if it is not such a file, `StoreError` if no epoch in it can be read.
    """
    with opened(path) as (file, version):
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{path} has night-store format {version}, this version exports format "
                f"{SCHEMA_VERSION}; export it with the version that wrote it"
            )
        with translated(path):
            wrong = _structure(file) or journal_damage(path)
        sessions = list(sound_rows(file, "session"))
        starts_s = {cast(int, row[0]): cast(float, row[1]) for row in sound_rows(file, "epoch")}
        stages = list(_predictions(file))
        # If predictions are missing, a later revision of any epoch may be among them.
        whole = not wrong and len(stages) == _last_rowid(file, "prediction")
        stored = (
            {each.epoch_index for each in stages}
            if wrong
            else {each for (each,) in file.execute(_EPOCHS)}
        )
    if not stages or not (sessions or starts_s):
        raise damaged(path, "no epoch in it can be read")
    live = {each.epoch_index: each for each in stages if each.track is Track.LIVE}
    revised = dict(live)
    for each in sorted(stages, key=lambda each: each.revision):
        revised[each.epoch_index] = each
    # An epoch that an accident took from the file may have kept its stages.
    changed = stored - set(starts_s)
    kept = [index for index in sorted(set(live) - changed) if whole or _is_last(revised[index])]
    n_epochs = 1 + max([*starts_s, *revised])
    start_s = cast(float, sessions[0][4]) if sessions else _origin_s(starts_s)
    return SavedStages(
        [live[index] for index in kept],
        [revised[index] for index in kept],
        start_s,
        sorted((stored | set(range(n_epochs))) - set(kept)),
        wrong,
    )


def _predictions(file: sqlite3.Connection) -> Iterator[StagePrediction]:
    """Yield the predictions whose rows are sound."""
    for row in sound_rows(file, "prediction"):
        with suppress(RowError):
            yield prediction_from_row(row)


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


def sound_rows(file: sqlite3.Connection, table: str) -> Iterator[Row]:
    """Yield the rows of ``table`` that can be read and whose checksum is right, in order."""
    # By its number, not by an index, which may be damaged, and one by one: a row that cannot be
    # read does not hide the rows after it.
    query = f"{selection(table)} NOT INDEXED WHERE rowid = ?"
    rowid, last = -1, _last_rowid(file, table)
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


def _last_rowid(file: sqlite3.Connection, table: str) -> int | None:
    """Return the highest number of a row, as far as the file has room; None if it is unknown."""
    with suppress(sqlite3.Error, UnicodeDecodeError):
        (last,) = file.execute(f"SELECT max(rowid) FROM {table} NOT INDEXED").fetchone()
        (pages,), (size,) = (
            file.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
        return int(min(last or 0, max(MISSING_ROWS, pages * size // SMALLEST_ROW)))
    return None


def _structure(file: sqlite3.Connection) -> str:
    """Return what is wrong with the structure of the file; "" if nothing is."""
    try:
        (answer,) = file.execute("PRAGMA integrity_check(1)").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as exc:
        return clean(str(exc))
    return "" if answer == "ok" else str(answer).splitlines()[-1]


def _is_last(prediction: StagePrediction) -> bool:
    """Return True if no later revision of the epoch can be missing."""
    return prediction.final and (prediction.track is Track.REVISED or prediction.stage is None)


def _origin_s(starts_s: dict[int, float]) -> float:
    first = min(starts_s)
    return starts_s[first] - EPOCH_S * first
