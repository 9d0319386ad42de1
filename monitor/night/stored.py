"""Finds the stored live night that a headband should continue."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from models.contract import EPOCH_S
from monitor.night.schema import APPLICATION_ID, SCHEMA_VERSION

RESUME_WITHIN = timedelta(hours=4)
"""A night that broke off less than this ago is continued; the epochs in between are missing."""

TEST_MAX = timedelta(minutes=15)
"""A night that was ended in order and was shorter than this was a test of the headband."""

REOPEN_WITHIN = timedelta(minutes=30)
"""A night that was ended in order less than this ago is continued too: a laptop that restarts by
itself ends its programs in order."""

NO_CLOCK_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
"""If the system time is earlier than this, the machine has lost its clock."""


@dataclass(frozen=True, slots=True)
class StoredNight:
    """A live night's file.

    - ``reached_utc``: the end of its last epoch.
    - ``ended_utc``: when it was ended in order; None if it broke off.
    - ``derivations``: the names of those that it may stage.
    """

    path: Path
    source_key: str
    sleeper: str
    start_utc: datetime
    reached_utc: datetime
    ended_utc: datetime | None
    gain: str
    model: str
    derivations: tuple[str, ...]

    @property
    def was_a_test(self) -> bool:
        """True if the night was ended in order after a few minutes."""
        return self.ended_utc is not None and self.reached_utc - self.start_utc < TEST_MAX

    def should_continue(self, now_utc: datetime) -> bool:
        """Return True if a monitor that starts now should continue this night.

        If the night is far in the future, its dates came from a wrong clock: it is not continued,
        unless the clock is wrong now.
        """
        if self.ended_utc is not None:
            return abs(now_utc - self.ended_utc) < REOPEN_WITHIN
        return abs(now_utc - self.reached_utc) < RESUME_WITHIN or now_utc < NO_CLOCK_BEFORE


def stored_night(path: Path) -> StoredNight | None:
    """Return the live night in this file; None if it holds none.

    It only reads, and may do so while a monitor writes.
    """
    path = path.resolve()
    # Without a journal nobody writes the file. "immutable" keeps SQLite from making a journal.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True)) as file:
            (application_id,) = file.execute("PRAGMA application_id").fetchone()
            (version,) = file.execute("PRAGMA user_version").fetchone()
            if (application_id, version) != (APPLICATION_ID, SCHEMA_VERSION):
                return None
            row = file.execute(
                "SELECT source_key, sleeper, start_utc, ended_utc, gain, model, montage "
                "FROM live, session"
            ).fetchone()
            (n_epochs,) = file.execute("SELECT count(*) FROM epoch").fetchone()
    except sqlite3.Error:
        return None
    if row is None:
        return None
    key, sleeper, start_text, ended_text, gain, model, montage = row
    start = datetime.fromisoformat(start_text)
    reached = start + timedelta(seconds=EPOCH_S * n_epochs)
    ended = None if ended_text is None else datetime.fromisoformat(ended_text)
    derivations = tuple(name for name, *_ in json.loads(montage)[1])
    return StoredNight(path, key, sleeper, start, reached, ended, gain, model, derivations)


def night_to_continue(
    folder: Path, source_key: str, sleeper: str, now_utc: datetime
) -> StoredNight | None:
    """Return the newest night in ``folder`` that this source should continue, or None."""
    matching = [
        night
        for night in _nights(folder)
        if (night.source_key, night.sleeper) == (source_key, sleeper)
        and night.should_continue(now_utc)
    ]
    return max(matching, key=lambda night: night.reached_utc, default=None)


def _nights(folder: Path) -> Iterator[StoredNight]:
    for path in folder.glob("*.sqlite"):
        if (night := stored_night(path)) is not None:
            yield night
