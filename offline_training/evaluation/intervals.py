"""Bootstrap intervals of anything that is computed from sums over epochs.

Epochs of a night are no independent draws, so whole units are drawn with replacement (Efron 1979):
recordings where there are several, else blocks of consecutive epochs (moving-block bootstrap,
Künsch 1989, doi:10.1214/aos/1176347265), which keep the dependence within a block. Intervals are
the percentiles of 1000 resamples.

What they tell: over recordings, how the figure varies from night to night; over blocks, within this
one night, and nothing about other people. With fewer than about ten recordings they are too short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offline_training.arrays import F64

BLOCK_EPOCHS = 10
"""Length of a block, 5 min: our choice between keeping bouts whole and having enough blocks."""

N_RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Where `LEVEL` of the resamples lie."""

    low: float
    high: float

    @classmethod
    def of(cls, resampled: npt.ArrayLike) -> Interval | None:
        """Percentile interval of a statistic's resamples, (r,); NaN where it was undefined.

        None where there are no resamples, or the statistic was undefined in more than half.
        """
        values = np.asarray(resampled, np.float64)
        values = values[~np.isnan(values)]
        if not values.size or values.size < np.size(resampled) / 2:
            return None
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(float(low), float(high))


def method(groups: npt.ArrayLike) -> str:
    """What `resampled_sums` draws, in words."""
    n_groups = np.unique(groups).size
    if n_groups > 1:
        return f"{n_groups} recordings drawn with replacement"
    return f"blocks of {BLOCK_EPOCHS} consecutive epochs (5 min) of the one recording"


def resampled_sums(
    values: npt.NDArray[np.generic], groups: npt.ArrayLike, seed: int = 0, n: int = N_RESAMPLES
) -> F64:
    """Sums over epochs in ``n`` bootstrap resamples.

    Parameters
    ----------
    values : (epochs, d), additive: counts, sums. Epochs in time order; one that does not count is
        a row of zeros, so that blocks keep their length in time.
    groups : (epochs,), which recording (or person) each epoch is of.

    Returns
    -------
    (n, d), or (0, d) where there is but one unit to draw.
    """
    units, n_drawn = _units(values.astype(np.float64), np.asarray(groups))
    if len(units) < 2:
        return np.empty((0, values.shape[1]))
    share = np.full(len(units), 1 / len(units))
    drawn = np.random.default_rng(seed).multinomial(n_drawn, share, size=n)  # (n, units)
    resampled: F64 = drawn @ units
    return resampled


def _units(values: F64, groups: npt.NDArray[np.generic]) -> tuple[F64, int]:
    """What is drawn, (units, d), and how many of them make a resample."""
    names, of_group = np.unique(groups, return_inverse=True)
    if names.size > 1:
        units = np.zeros((names.size, values.shape[1]))
        np.add.at(units, of_group, values)
        return units, names.size
    ends = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), values]), axis=0)
    return ends[BLOCK_EPOCHS:] - ends[:-BLOCK_EPOCHS], -(-len(values) // BLOCK_EPOCHS)
