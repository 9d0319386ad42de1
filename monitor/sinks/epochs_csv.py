"""The night as a CSV table, one row an epoch."""

from __future__ import annotations

import csv
import io
import tempfile
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.contract import EPOCH_S, STAGES
from models.files import PART, whole_file
from monitor.errors import InputError, MonitorError
from monitor.night.file_watch import store_files
from monitor.types import StagePrediction

COLUMNS = (
    "epoch",
    "start_s",
    "stage",
    "live_stage",
    *(f"p_{stage.lower()}" for stage in STAGES),
    "confidence",
    "reason",
)
UNSCORED = "?"


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
    live: Sequence[StagePrediction],
    revised: Sequence[StagePrediction],
    start_s: float,
) -> None:
    """Write the table ``path``. Stage, probabilities and confidence are the revised ones.

    ``start_s`` is the start of epoch 0, in seconds from the start of the recording. If the table
    cannot be written whole, ``path`` stays as it was. Raises `MonitorError`.
    """
    path = path.resolve()  # if it is a link, replace its target and not the link
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for first, last in zip(live, revised, strict=True):
        writer.writerow(_row(first, last, start_s))
    try:
        with whole_file(path, mode=0o600) as file:  # a night is private
            file.write(text.getvalue().encode())
    except OSError as exc:
        raise MonitorError(
            f"cannot write --output {path}: {exc.strerror}; the night is stored: make room or "
            "fix the path, then run the same command again"
        ) from exc


def _row(live: StagePrediction, revised: StagePrediction, start_s: float) -> tuple[object, ...]:
    probabilities = revised.probabilities or ("",) * len(STAGES)
    return (
        revised.epoch_index,
        round(start_s + EPOCH_S * revised.epoch_index, 6),
        revised.stage or UNSCORED,
        live.stage or UNSCORED,
        *(round(p, 6) if isinstance(p, float) else p for p in probabilities),
        "" if revised.confidence is None else round(revised.confidence, 6),
        revised.reason or "",
    )
