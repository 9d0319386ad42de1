"""Abstention: the error rate that remains if the least confident epochs are not staged.

Risk-coverage curve and the area under it: El-Yaniv & Wiener 2010 (JMLR 11:1605), Geifman &
El-Yaniv 2017 (arXiv:1705.08500).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.night.agreement import Agreement
from offline_training.arrays import F64, I64, Bool
from offline_training.evaluation.scores import confusion

THRESHOLDS = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Confidences below which one could abstain."""

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the epochs for which the error rate is reported."""


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """Error rate against the share of epochs kept, most confident first; both arrays are (n,).

    - ``risk[k]`` is the error rate among the ``k + 1`` most confident epochs, ``coverage[k]`` their
      share of all.
    - Epochs of equal confidence share their errors evenly, so their order does not matter.
    """

    coverage: F64
    risk: F64

    @classmethod
    def of(cls, correct: Bool, confidence: npt.NDArray[np.floating]) -> RiskCoverage:
        """Compute the curve of n epochs.

        Parameters
        ----------
        correct : bool (n,), True if the epoch's stage is correct.
        confidence : (n,), the probability of that stage.
        """
        _, at = np.unique(-confidence, return_inverse=True)  # 0 is the most confident.
        count = np.bincount(at)
        tied_risk = np.bincount(at, ~correct) / count
        kept = np.arange(1, correct.size + 1)
        return cls(kept / max(1, correct.size), np.repeat(tied_risk, count).cumsum() / kept)

    @property
    def area(self) -> float | None:
        """Mean risk over all coverages: lower is better, 0 is best. None without epochs."""
        return float(self.risk.mean()) if self.risk.size else None

    def at(self, coverage: float) -> float | None:
        """Return the error rate among the most confident ``coverage`` (0 to 1) of the epochs.

        None if that share holds no epoch.
        """
        kept = round(coverage * self.risk.size)
        return float(self.risk[kept - 1]) if kept else None


@dataclass(frozen=True, slots=True)
class Abstention:
    """Scores of the epochs that remain if those with confidence below ``threshold`` are not staged.

    ``coverage`` is the remaining share. ``accuracy`` and ``kappa`` are None if undefined.
    """

    threshold: float
    n_kept: int
    coverage: float
    accuracy: float | None
    kappa: float | None


def abstentions(truth: I64, probabilities: npt.NDArray[np.floating]) -> list[Abstention]:
    """Score every one of `THRESHOLDS` on the expert's stages (n,) and probabilities (n, 5)."""
    stage, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    rows = []
    for threshold in THRESHOLDS:
        kept = confidence >= threshold
        n_kept = int(kept.sum())
        found = Agreement.of(confusion(truth[kept], stage[kept]), n_kept)
        rows.append(
            Abstention(threshold, n_kept, n_kept / max(1, truth.size), found.accuracy, found.kappa)
        )
    return rows
