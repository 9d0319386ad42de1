"""Bootstrap intervals of any statistic that is computed from sums over epochs.

The epochs of a night are not independent, so whole units are drawn with replacement (Efron 1979).
With several recordings the units are recordings. With one they are blocks of consecutive epochs
(moving-block bootstrap, Künsch 1989, doi:10.1214/aos/1176347265), which keep the dependence within
a block. An interval lies between percentiles of 1000 resamples.

Over recordings an interval shows the variation from night to night. Over blocks it shows the
variation within this one night; it does not apply to other people. With fewer than about ten
recordings the intervals are too short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offline_training.arrays import F64

BLOCK_EPOCHS = 10
"""Length of a block: 5 min. Our choice: longer blocks keep bouts whole, shorter ones are more."""

N_RESAMPLES = 1000
LEVEL = 0.95
"""Share of the resamples that an interval holds."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The range that holds `LEVEL` of the resamples."""

    low: float
    high: float

    @classmethod
    def of(cls, resampled: npt.ArrayLike) -> Interval | None:
        """Return the percentile interval of a statistic's resamples, (r,), NaN if undefined.

        Returns None if there are no resamples, or if more than half are undefined.
        """
        values = np.asarray(resampled, np.float64)
        values = values[~np.isnan(values)]
        if not values.size or values.size < np.size(resampled) / 2:
            return None
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(float(low), float(high))


def describe_method(groups: npt.ArrayLike) -> str:
    """Describe the units that `resampled_sums` draws for these ``groups``."""
    n_groups = np.unique(groups).size
    if n_groups > 1:
        return f"{n_groups} recordings drawn with replacement"
    return f"blocks of {BLOCK_EPOCHS} consecutive epochs (5 min) of the one recording"


def resampled_sums(
    values: npt.NDArray[np.generic], groups: npt.ArrayLike, seed: int = 0, n: int = N_RESAMPLES
) -> F64:
    """Sum ``values`` over the epochs of each of ``n`` bootstrap resamples.

    Parameters
    ----------
    values : (epochs, d), additive quantities such as counts, in order of time. An epoch that does
        not count is a row of zeros: removing it would change the length of its block in time.
    groups : (epochs,), the recording (or person) of each epoch.

    Returns
    -------
    float64 (n, d), or (0, d) if there is only one unit to draw.
    """
    units, n_drawn = _units(values.astype(np.float64), np.asarray(groups))
    if len(units) < 2:
        return np.empty((0, values.shape[1]))
    share = np.full(len(units), 1 / len(units))
    drawn = np.random.default_rng(seed).multinomial(n_drawn, share, size=n)  # (n, units)
    resampled: F64 = drawn @ units
    return resampled


def _units(values: F64, groups: npt.NDArray[np.generic]) -> tuple[F64, int]:
    """Return the sums of the units to draw, (units, d), and the number that makes a resample."""
    names, of_group = np.unique(groups, return_inverse=True)
    if names.size > 1:
        units = np.zeros((names.size, values.shape[1]))
        np.add.at(units, of_group, values)
        return units, names.size
    # The difference of two cumulative sums is the sum of a block, for every start of a block.
    ends = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), values]), axis=0)
    return ends[BLOCK_EPOCHS:] - ends[:-BLOCK_EPOCHS], -(-len(values) // BLOCK_EPOCHS)
