"""The night as a table: one row an epoch."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.contract import EPOCH_S, STAGES
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
    """Find out before the night, not after it; ``others`` are files of the run that must not be
    overwritten. Raises `InputError`."""
    path = path.resolve()
    if path in [other.resolve() for other in others]:
        raise InputError(f"--output {path} is a file that this run needs; name another")
    if path.exists() and not path.is_file():
        raise InputError(f"cannot write --output {path}: it is not a file; name one")
    try:
        _unfinished(path).unlink()
    except OSError as exc:
        raise InputError(f"cannot write --output {path}: {exc.strerror}; name another") from exc


def write_epochs(
    path: Path,
    live: Sequence[StagePrediction],
    revised: Sequence[StagePrediction],
    start_s: float,
) -> None:
    """Write ``path``: stage, probabilities and confidence are those of the revised track.

    ``start_s`` is where epoch 0 starts in the recording. The file is whole or as it was before.
    Raises `MonitorError`.
    """
    path = path.resolve()
    unfinished: Path | None = None
    try:
        unfinished = _unfinished(path)
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for first, last in zip(live, revised, strict=True):
                probabilities = last.probabilities or ("",) * len(STAGES)
                writer.writerow(
                    (
                        last.epoch_index,
                        round(start_s + EPOCH_S * last.epoch_index, 6),
                        last.stage or UNSCORED,
                        first.stage or UNSCORED,
                        *(round(p, 6) if isinstance(p, float) else p for p in probabilities),
                        "" if last.confidence is None else round(last.confidence, 6),
                        last.reason or "",
                    )
                )
        unfinished.replace(path)
    except OSError as exc:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
        raise MonitorError(
            f"cannot write --output {path}: {exc.strerror}; the night is stored: mend that and "
            "give the same command again"
        ) from exc


def _unfinished(path: Path) -> Path:
    """A new empty file beside ``path``, on the same disk, for all to read."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    Path(name).chmod(0o644)
    return Path(name)
