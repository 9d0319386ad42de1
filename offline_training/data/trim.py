"""Limit the wake around sleep that is kept or scored: it moves accuracy by points."""

from __future__ import annotations

import math

import numpy as np

from models.contract import EPOCH_S, STAGES, Stage
from monitor.errors import InputError
from offline_training.arrays import I64


def kept_epochs(stage: I64, wake_min: float | None) -> slice:
    """Return the slice of epochs that count: sleep, and ``wake_min`` minutes on either side.

    ``stage``: int64 (n,), index into `STAGES`, -1 if unscored. Sleep runs from the first to the
    last epoch scored as sleep. If ``wake_min`` is None, every epoch counts.

    Raises InputError if ``wake_min`` is given and no epoch is scored as sleep.
    """
    if wake_min is None:
        return slice(0, stage.size)
    sleep = np.flatnonzero(stage > STAGES.index(Stage.W))
    if not sleep.size:
        raise InputError("it has no epoch scored as sleep: keep all of it with --wake-min all")
    wake = round(wake_min * 60.0 / EPOCH_S)
    return slice(max(0, int(sleep[0]) - wake), min(stage.size, int(sleep[-1]) + 1 + wake))


def parse_wake_min(text: str) -> float | None:
    """Parse the value of ``--wake-min``: minutes, or None for 'all'. Raises InputError."""
    if text == "all":
        return None
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not (math.isfinite(minutes) and minutes >= 0):
        raise InputError(f"--wake-min must be minutes of 0 or more, or all, got '{text}'")
    return minutes


def describe_trim(wake_min: float | None) -> str:
    """Describe ``wake_min`` for a report, such as '30 min of wake kept around sleep'."""
    return "nothing cut off" if wake_min is None else f"{wake_min:g} min of wake kept around sleep"
