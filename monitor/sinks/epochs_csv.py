"""The night as a table: one row an epoch."""

from __future__ import annotations

import csv
from collections.abc import Sequence
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


def check_writable(path: Path) -> None:
    """Find out before the night, not after it. Raises `InputError`."""
    if path.is_dir():
        raise InputError(f"cannot write --output {path}: it is a folder; name a file")
    if not path.parent.is_dir():
        raise InputError(f"cannot write --output {path}: there is no folder {path.parent}")


def write_epochs(
    path: Path,
    live: Sequence[StagePrediction],
    revised: Sequence[StagePrediction],
    start_s: float,
) -> None:
    """Write ``path``: stage, probabilities and confidence are those of the revised track.

    ``start_s`` is where epoch 0 starts in the recording. Raises `MonitorError`.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
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
    except OSError as exc:
        raise MonitorError(f"cannot write --output {path}: {exc.strerror}") from exc
