"""How much wake around sleep is kept, or counts: it moves accuracy by points."""

from __future__ import annotations

import math

import numpy as np

from models.contract import EPOCH_S, STAGES, Stage
from monitor.errors import InputError
from offline_training.arrays import I64


def kept(stage: I64, wake_min: float | None) -> slice:
    """The epochs from the first to the last that is scored as sleep and ``wake_min`` minutes on
    either side, all where that is None.

    Raises InputError where there is no sleep to keep wake around.
    """
    if wake_min is None:
        return slice(0, stage.size)
    sleep = np.flatnonzero(stage > STAGES.index(Stage.W))
    if not sleep.size:
        raise InputError("it has no epoch scored as sleep: keep all of it with --wake-min all")
    wake = round(wake_min * 60.0 / EPOCH_S)
    return slice(max(0, int(sleep[0]) - wake), min(stage.size, int(sleep[-1]) + 1 + wake))


def wake_minutes(text: str) -> float | None:
    """What ``--wake-min`` says. Raises InputError."""
    if text == "all":
        return None
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not (math.isfinite(minutes) and minutes >= 0):
        raise InputError(f"--wake-min must be minutes of 0 or more, or all, got '{text}'")
    return minutes


def spoken_trim(wake_min: float | None) -> str:
    return "nothing cut off" if wake_min is None else f"{wake_min:g} min of wake kept around sleep"
