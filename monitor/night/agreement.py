"""How far the monitor agrees with an expert's stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.contract import STAGES, Stage


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """Over the epochs that both scored.

    - ``confusion`` int64 (5, 5) in `STAGES` order: rows the expert, columns the monitor.
    - ``accuracy``, ``kappa`` (Cohen 1960), ``macro_f1`` (the mean F1 of the stages that either
      of the two used, as scikit-learn counts) are None where undefined.
    - ``n_expert``: epochs the expert scored; ``n_scored`` of them the monitor scored too.
    """

    confusion: npt.NDArray[np.int64]
    n_expert: int
    n_scored: int
    accuracy: float | None
    macro_f1: float | None
    kappa: float | None


def agreement(expert: Sequence[Stage | None], monitor: Sequence[Stage | None]) -> Agreement:
    """Compare two hypnograms epoch by epoch. Raises ValueError if their lengths differ."""
    if len(expert) != len(monitor):
        raise ValueError(
            f"the hypnograms must have the same length, got {len(expert)} and {len(monitor)} epochs"
        )
    confusion = np.zeros((len(STAGES), len(STAGES)), np.int64)
    for theirs, ours in zip(expert, monitor, strict=True):
        if theirs is not None and ours is not None:
            confusion[STAGES.index(theirs), STAGES.index(ours)] += 1
    n_expert = sum(stage is not None for stage in expert)
    n_scored = int(confusion.sum())
    if not n_scored:
        return Agreement(confusion, n_expert, 0, None, None, None)
    by_expert, by_monitor = confusion.sum(axis=1), confusion.sum(axis=0)
    agreed = np.diag(confusion)
    used = by_expert + by_monitor > 0
    f1 = 2.0 * agreed[used] / (by_expert + by_monitor)[used]
    accuracy = float(agreed.sum() / n_scored)
    by_chance = float((by_expert * by_monitor).sum() / n_scored**2)
    kappa = None if by_chance == 1.0 else (accuracy - by_chance) / (1.0 - by_chance)
    return Agreement(confusion, n_expert, n_scored, accuracy, float(f1.mean()), kappa)
