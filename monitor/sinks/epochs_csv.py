"""The night as a CSV table, one row an epoch."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.contract import EPOCH_S, STAGES
from models.files import PART, whole_file
from monitor.errors import InputError, MonitorError
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

    ``others`` are files of the run that must not be overwritten. Raises `InputError`.
    """
    path = path.resolve()
    part = path.with_name(path.name + PART)  # `whole_file` writes there first
    if {path, part} & {other.resolve() for other in others}:
        raise InputError(f"--output {path} is a file that this run needs; name another")
    if path.exists() and not path.is_file():
        raise InputError(f"cannot write --output {path}: it is not a file; name one")
    try:
        # Make a file in that folder to be sure: the permission may be missing, the disk read-only,
        # or the name too long.
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", dir=path.parent):
            pass
    except OSError as exc:
        raise InputError(f"cannot write --output {path}: {exc.strerror}; name another") from exc


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
        with whole_file(path) as file:
            # Readable by others also where the monitor runs as a service, whose umask forbids it.
            Path(file.name).chmod(0o644)
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
