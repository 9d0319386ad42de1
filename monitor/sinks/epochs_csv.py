"""The night as a CSV table, one row an epoch."""

from __future__ import annotations

import csv
import io
import logging
import tempfile
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

from models.contract import EPOCH_S, STAGES, Stage
from models.files import PART, whole_file
from monitor.errors import InputError, MonitorError
from monitor.night.file_watch import store_files
from monitor.types import Session, StagePrediction

COLUMNS = (
    "epoch",
    "start_s",
    "stage",
    "live_stage",
    *(f"p_{stage.lower()}" for stage in STAGES),
    "confidence",
    "reason",
    "clock",
    "code",
)
UNSCORED = "?"

CODES: dict[Stage | None, int] = {stage: code for code, stage in enumerate(STAGES)} | {None: -2}
"""Numbers of the stages: W 0, N1 1, N2 2, N3 3, R 4, unscored -2 (YASA, AASM ISR)."""

_HEAD_BYTES = 1000
"""The header and the first row are shorter than this."""

_log = logging.getLogger(__name__)


def check_writable(path: Path, others: Iterable[Path]) -> None:
    """Check before the night starts that `write_epochs` can write ``path``.

    It never replaces an SQLite file, such as another night's. ``others`` are files of the run that
    must not be overwritten. Raises `InputError`.
    """
    path = path.resolve()
    part = path.with_name(path.name + PART)  # `whole_file` writes there first
    if any(_one_file(mine, other.resolve()) for mine in (path, part) for other in others):
        raise InputError(f"--output {path} is a file that this run needs; name another")
    if path.exists() and not path.is_file():
        raise InputError(f"cannot write --output {path}: it is not a file; name one")
    try:
        if path.is_file() and _is_sqlite(path):
            raise InputError(
                f"--output {path} is a night's file or of another program; name another"
            )
        # Make a file in that folder to be sure: the permission may be missing, the disk read-only,
        # or the name too long.
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", dir=path.parent):
            pass
    except OSError as exc:
        raise InputError(f"cannot write --output {path}: {exc.strerror}; name another") from exc


def check_store(path: Path, others: Iterable[Path]) -> None:
    """Check that no file of the night's store ``path`` is one of ``others``, the run's inputs.

    SQLite deletes or overwrites the files beside a store. Raises `InputError`.
    """
    for other in others:
        if any(_one_file(mine, other.resolve()) for mine in store_files(path)):
            raise InputError(f"--store {path} would write to {other}, which this run reads")


def _one_file(one: Path, other: Path) -> bool:
    """Return True if both are one file, or would be where case and accents have many spellings."""
    try:
        if one.samefile(other):  # a hard link, too
            return True
    except OSError:  # one of them is not there
        pass
    return _spelling(one) == _spelling(other)


def _spelling(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def write_epochs(
    path: Path,
    session: Session,
    live: Sequence[StagePrediction],
    revised: Sequence[StagePrediction],
    *,
    is_live: bool,
) -> None:
    """Write `epochs_table` to ``path``. If that fails, ``path`` stays as it was.

    Raises `MonitorError`.
    """
    path = path.resolve()  # if it is a link, replace its target and not the link
    text = epochs_table(session, live, revised, is_live=is_live)
    try:
        with whole_file(path, mode=0o600) as file:  # a night is private
            file.write(text.encode())
    except OSError as exc:
        raise MonitorError(
            f"cannot write --output {path}: {exc.strerror}; the night is stored: make room or "
            "fix the path, then run the same command again"
        ) from exc


def epochs_table(
    session: Session,
    live: Sequence[StagePrediction],
    revised: Sequence[StagePrediction],
    *,
    is_live: bool,
    timezone: tzinfo | None = None,
) -> str:
    """Return the table of a night as CSV text, with the columns `COLUMNS`.

    - ``start_s`` counts from the first sample of a recording. A live night is recorded from its
      first epoch on.
    - ``clock`` is the local time of a live night with its offset from UTC, and the recorder's
      clock of a replay, without one. ``timezone`` None: the zone of this machine.
    - ``stage``, ``code``, the probabilities and ``confidence`` are the revised ones.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    first_s = 0.0 if is_live else session.start_s
    for first, last in zip(live, revised, strict=True):
        start_utc = session.epoch_start_utc(last.epoch_index)
        clock = clock_time(start_utc, is_live, timezone)
        writer.writerow(_row(first, last, first_s, clock))
    return text.getvalue()


def clock_time(utc: datetime, is_live: bool, timezone: tzinfo | None = None) -> datetime:
    """Return ``utc`` as people read it: in local time; of a replay, on the recorder's clock.

    The recorder's clock names no zone, and so the result has none. ``timezone`` None: the zone of
    this machine.
    """
    return utc.astimezone(timezone) if is_live else utc.replace(tzinfo=None)


class EpochTable:
    """The table ``path`` of a live night that goes on, whole and current after each epoch.

    A table of another night that is there already is kept beside it, as ``NAME-1.csv`` or the next
    free number, and the log says so.
    """

    def __init__(self, path: Path, session: Session) -> None:
        self._path = path.resolve()
        self._session = session
        self._written: Sequence[StagePrediction] | None = None
        self._failed = False
        self._mine = False

    def update(self, live: Sequence[StagePrediction], revised: Sequence[StagePrediction]) -> None:
        """Write the table again if ``revised`` changed since. A failure is logged, not raised."""
        if not revised or revised is self._written:
            return
        self._written = revised  # also if it fails: the next epoch is soon enough to try again
        try:
            self.write(live, revised)
            self._failed = False
        except MonitorError as exc:
            if not self._failed:
                _log.warning("%s", exc)
            self._failed = True

    def write(self, live: Sequence[StagePrediction], revised: Sequence[StagePrediction]) -> None:
        """Write the table. Raises `MonitorError`."""
        if not self._mine:
            self._keep_another()
            self._mine = True
        write_epochs(self._path, self._session, live, revised, is_live=True)

    def _keep_another(self) -> None:
        """Rename the file that is there, if it is not empty and not of this night."""
        try:
            with self._path.open("rb") as file:
                text = file.read(_HEAD_BYTES).decode(errors="replace")
        except OSError:
            return
        lines = text.splitlines()
        first = _row_start(lines[1]) if len(lines) > 1 else None
        if first == self._session.start_utc or not text or lines == [",".join(COLUMNS)]:
            return
        number = 1
        while (kept := self._numbered(number)).exists():
            number += 1
        try:
            self._path.rename(kept)
        except OSError as exc:
            raise MonitorError(
                f"--output {self._path} is of another night and cannot be kept as {kept}: "
                f"{exc.strerror}; move it away"
            ) from exc
        _log.warning("--output %s was of another night: it is kept as %s", self._path, kept)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.stem}-{number}{self._path.suffix}")


def _row_start(line: str) -> datetime | None:
    """Return the start in the row of epoch 0; None if ``line`` is no such row."""
    cells = dict(zip(COLUMNS, line.split(","), strict=False))
    try:
        return datetime.fromisoformat(cells["clock"]) if cells["epoch"] == "0" else None
    except (KeyError, ValueError):
        return None


def _row(
    live: StagePrediction, revised: StagePrediction, first_s: float, clock: datetime
) -> tuple[object, ...]:
    probabilities = revised.probabilities or ("",) * len(STAGES)
    return (
        revised.epoch_index,
        round(first_s + EPOCH_S * revised.epoch_index, 6),
        revised.stage or UNSCORED,
        live.stage or UNSCORED,
        *(round(p, 6) if isinstance(p, float) else p for p in probabilities),
        "" if revised.confidence is None else round(revised.confidence, 6),
        revised.reason or "",
        clock.isoformat(),
        CODES[revised.stage],
    )
