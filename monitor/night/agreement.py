"""The agreement of the monitor with an expert's stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.contract import STAGES, Stage


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """Scores over the epochs that both the expert and the monitor scored.

    - ``confusion`` int64 (5, 5) in `STAGES` order: rows the expert, columns the monitor.
    - ``n_expert``: epochs that the expert scored; the monitor also scored ``n_scored`` of them.
    - ``f1``: F1 score of each stage; None for a stage that neither used. ``macro_f1`` is the mean
      of the others, as scikit-learn computes it.
    - ``accuracy``, ``macro_f1`` and ``kappa`` (Cohen 1960) are None where undefined.
    """

    confusion: npt.NDArray[np.int64]
    n_expert: int
    n_scored: int
    accuracy: float | None
    f1: dict[Stage, float | None]
    macro_f1: float | None
    kappa: float | None

    @classmethod
    def of(cls, confusion: npt.NDArray[np.int64], n_expert: int) -> Agreement:
        """Compute the scores of a confusion matrix, int64 (5, 5)."""
        n_scored = int(confusion.sum())
        by_expert, by_monitor = confusion.sum(axis=1), confusion.sum(axis=0)
        n_uses, n_agreed = by_expert + by_monitor, np.diag(confusion)
        f1 = {
            stage: float(2.0 * n_agreed[i] / n_uses[i]) if n_uses[i] else None
            for i, stage in enumerate(STAGES)
        }
        if not n_scored:
            return cls(confusion, n_expert, 0, None, f1, None, None)
        accuracy = float(n_agreed.sum() / n_scored)
        by_chance = float((by_expert * by_monitor).sum() / n_scored**2)
        return cls(
            confusion,
            n_expert,
            n_scored,
            accuracy,
            f1,
            macro_f1=float(np.mean([score for score in f1.values() if score is not None])),
            kappa=None if by_chance == 1.0 else (accuracy - by_chance) / (1.0 - by_chance),
        )


def agreement(expert: Sequence[Stage | None], monitor: Sequence[Stage | None]) -> Agreement:
    """Compare two hypnograms epoch by epoch. Raises ValueError if their lengths differ."""
    if len(expert) != len(monitor):
        raise ValueError(
            f"the hypnograms must have the same length, got {len(expert)} and {len(monitor)} epochs"
        )
    confusion = np.zeros((len(STAGES), len(STAGES)), np.int64)
    for expert_stage, stage in zip(expert, monitor, strict=True):
        if expert_stage is not None and stage is not None:
            confusion[STAGES.index(expert_stage), STAGES.index(stage)] += 1
    return Agreement.of(confusion, sum(stage is not None for stage in expert))
