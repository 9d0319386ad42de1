"""Compare confidence with accuracy: reliability in bins, and the calibration error.

Of the epochs staged with confidence 0.8, four in five should be correct (DeGroot & Fienberg 1983).
The expected calibration error is the mean distance between confidence and accuracy over bins of
equal width, weighted by their epochs (Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offline_training.arrays import F64, I64, Bool

N_BINS = 15
"""As in Guo et al. 2017."""


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Confidence and accuracy in bins of equal width over [0, 1]; all arrays are (bins,).

    - Bin i holds confidences in [i / bins, (i + 1) / bins); the last one also holds 1.
    - ``count``: the bin's number of epochs.
    - ``confidence`` and ``accuracy``: their means in the bin, NaN in an empty bin.
    """

    count: I64
    confidence: F64
    accuracy: F64

    @classmethod
    def of(
        cls,
        correct: Bool,
        confidence: npt.NDArray[np.floating],
        bins: int = N_BINS,
    ) -> Reliability:
        """Bin epochs by confidence.

        Parameters
        ----------
        correct : bool (n,), True if the epoch's stage is correct.
        confidence : (n,), the probability of that stage, in [0, 1].
        """
        at = np.minimum((confidence * bins).astype(np.int64), bins - 1)
        count = np.bincount(at, minlength=bins)
        filled = np.where(count, count, np.nan)
        return cls(
            count,
            np.bincount(at, confidence, minlength=bins) / filled,
            np.bincount(at, correct, minlength=bins) / filled,
        )

    @property
    def error(self) -> float | None:
        """The expected calibration error; None without epochs."""
        n = self.count.sum()
        if not n:
            return None
        gap = np.abs(self.confidence - self.accuracy)
        return float(np.nansum(gap * self.count) / n)
