"""The regularity of the sleep of several nights. Undefined is None, never 0."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

MINUTES_PER_DAY = 1440

UNKNOWN, AWAKE, ASLEEP = -1, 0, 1
"""The states of a minute in `sleep_regularity_index`."""

DaysOfSleep = dict[date, npt.NDArray[np.int8]]
"""For each day from noon to noon, by the date of its evening: the state of each minute, (1440,)."""


def sleep_regularity_index(days: DaysOfSleep) -> float | None:
    """Return the Sleep Regularity Index, -100 to 100, of ``days``.

    It is the probability that a person is in the same state, asleep or awake, at two moments 24 h
    apart, scaled so that 100 is perfectly regular and 0 is random (Phillips et al. 2017,
    https://doi.org/10.1038/s41598-017-03171-4). Pairs of which one minute is unknown, or of which
    one day is missing, are left out. None if no two days follow one another.
    """
    same = total = 0
    for day, minutes in days.items():
        following = days.get(day + timedelta(days=1))
        if following is None:
            continue
        known = (minutes != UNKNOWN) & (following != UNKNOWN)
        same += int((minutes == following)[known].sum())
        total += int(known.sum())
    return -100.0 + 200.0 * same / total if total else None


def standard_deviation_min(minutes: Sequence[float]) -> float | None:
    """Return the standard deviation of times of night, in minutes; None of fewer than two."""
    return float(np.std(minutes, ddof=1)) if len(minutes) > 1 else None
