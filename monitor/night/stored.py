"""Finds the stored live night that a headband should continue."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from models.contract import EPOCH_S
from monitor.errors import InputError, MonitorError
from monitor.night.checksums import checksum
from monitor.night.reading import check, opened
from monitor.night.rows import live_night_from_row, session_from_row
from monitor.night.schema import SCHEMA_VERSION, selection
from monitor.night.trouble import damaged, translated

RESUME_WITHIN = timedelta(hours=4)
"""A night that broke off less than this ago is continued; the epochs in between are missing."""

TEST_MAX = timedelta(minutes=15)
"""A night that was ended in order and was shorter than this was a test of the headband."""

REOPEN_WITHIN = timedelta(minutes=30)
"""A night that was ended in order less than this ago is continued too: a laptop that restarts by
itself ends its programs in order."""

NO_CLOCK_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
"""If the system time is earlier than this, the machine has lost its clock."""

_log = logging.getLogger(__name__)


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
    """Return the live night in this file; None if there is no file, or it holds none.

    A night of an older format cannot be continued, and counts as none.

    It only reads, and may do so while a monitor writes. Raises `InputError` for a file that is not
    a night's, and `StoreError` for one that cannot be read.
    """
    if not path.exists():
        return None
    with opened(path) as (file, version), translated(path):
        if version < SCHEMA_VERSION:
            return None
        if version > SCHEMA_VERSION:
            raise InputError(
                f"{path} has night-store format {version}, this version continues format "
                f"{SCHEMA_VERSION}"
            )
        rows = [file.execute(selection(table)).fetchone() for table in ("session", "live")]
        if None in rows:
            return None
        # After an accident the epochs of some predictions may be lost.
        newest = [
            row
            for table in ("epoch", "prediction")
            for row in file.execute(f"{selection(table)} ORDER BY epoch_index DESC LIMIT 1")
        ]
        if any(checksum(row[:-1]) != row[-1] for row in (*rows, *newest)):
            raise damaged(path, "its session or its last epoch was changed")
        stored = session_from_row(rows[0][:-1])
        session = stored.session
        live = live_night_from_row(rows[1][:-1])
        n_epochs = max((row[0] + 1 for row in newest), default=0)
    reached_utc = session.start_utc + timedelta(seconds=EPOCH_S * n_epochs)
    return StoredNight(
        path.resolve(),
        live.source_key,
        session.sleeper,
        session.start_utc,
        reached_utc,
        stored.ended_utc,
        session.gain,
        session.model,
        tuple(derivation.name for derivation in live.montage.derivations),
    )


def night_to_continue(
    folder: Path, source_key: str, sleeper: str, now_utc: datetime
) -> StoredNight | None:
    """Return the newest night in ``folder`` that this source should continue, or None.

    A file that is damaged, or cannot be read, is named in the log once and left alone.
    """
    matching = [
        night
        for night in _nights(folder)
        if (night.source_key, night.sleeper) == (source_key, sleeper)
        and night.should_continue(now_utc)
    ]
    for night in sorted(matching, key=lambda night: night.reached_utc, reverse=True):
        try:
            with opened(night.path) as (file, _):
                check(file, night.path)
        except MonitorError as exc:
            _warn_once(str(exc))
        else:
            return night
    return None


def _nights(folder: Path) -> Iterator[StoredNight]:
    for path in sorted(folder.glob("*.sqlite")):
        try:
            if (night := stored_night(path)) is not None:
                yield night
        except MonitorError as exc:
            _warn_once(str(exc))


@lru_cache(maxsize=1000)
def _warn_once(text: str) -> None:
    """Warn of a file that is not continued. Every attempt of every sleeper looks at every file."""
    _log.warning("A night to continue is looked for elsewhere: %s", text)
