"""The structure of a night's sleep: cycles, transitions, fragmentation. Undefined is None, never 0.

An unscored epoch is neither sleep nor wake: it ends a stretch of unbroken sleep, and no transition
leads to it or from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from models.contract import STAGES, Stage
from monitor.night.statistics import EPOCH_MIN, unbroken_sleep_latency_min
from monitor.types import F64

FIVE_MIN_EPOCHS = 10
"""Five minutes: of unbroken sleep (YASA's SOL_5min), and the shortest R period after the first."""

NREM_EPOCHS = 30
"""A non-REM period lasts at least 15 min (Feinberg & Floyd 1979)."""

_NREM = (Stage.N1, Stage.N2, Stage.N3)


@dataclass(frozen=True, slots=True)
class Cycle:
    """A sleep cycle: a non-REM period, and the R period that follows it.

    It is made of the epochs ``start`` to ``stop`` (one after the last); R begins at ``r_start``.
    ``r_start`` equals ``stop`` if the night ended before R came: the cycle is not complete.
    """

    start: int
    r_start: int
    stop: int

    @property
    def complete(self) -> bool:
        """True if R followed."""
        return self.r_start < self.stop


@dataclass(frozen=True, slots=True, eq=False)
class SleepStructure:
    """The structure of the sleep within the bounds of `SleepStatistics`; minutes and percentages.

    - ``sol_5min_min``: from the start to the first 5 min of unbroken sleep (YASA).
    - ``spt_min``: sleep period time, sleep onset to the last sleep epoch. ``sme_percent``: sleep
      maintenance efficiency, TST / SPT. Unscored time counts in SPT, as it does in TRT.
    - ``awakenings``: changes from sleep to W.
    - ``fragmentation_per_h``: awakenings, and shifts to N1 from N2, N3 or R, per hour of TST
      (sleep fragmentation index, Haba-Rubio et al. 2004).
    - ``transitions`` int64 (5, 5) in `STAGES` order: pairs of neighbouring scored epochs, rows the
      first stage, columns the next. ``probabilities`` float64 (5, 5): their rows divided by their
      sums, NaN where a stage has no successor. The diagonal is the persistence of a stage.
    - ``cycles``: see `sleep_cycles`. Their epochs count from the start of the night.
    """

    sol_5min_min: float | None
    spt_min: float | None
    sme_percent: float | None
    awakenings: int
    fragmentation_per_h: float | None
    transitions: npt.NDArray[np.int64]
    cycles: tuple[Cycle, ...]

    @property
    def probabilities(self) -> F64:
        """See the class."""
        sums = self.transitions.sum(axis=1, keepdims=True)
        shares: F64 = np.where(sums > 0, self.transitions / np.maximum(sums, 1), np.nan)
        return shares


def sleep_structure(hypnogram: Sequence[Stage | None], first: int, stop: int) -> SleepStructure:
    """Compute the structure of the epochs ``first`` to ``stop`` (one after the last).

    ``hypnogram``: one stage per epoch of the night, None for unscored.
    """
    night = list(hypnogram[first:stop])
    asleep = [stage is not None and stage is not Stage.W for stage in night]
    n_asleep = sum(asleep)
    transitions = np.zeros((len(STAGES), len(STAGES)), np.int64)
    for before, after in pairwise(night):
        if before is not None and after is not None:
            transitions[STAGES.index(before), STAGES.index(after)] += 1
    w, n1, *deeper = range(len(STAGES))
    awakenings = int(transitions[[n1, *deeper], w].sum())
    shifts = awakenings + int(transitions[deeper, n1].sum())
    spt_epochs = None
    if n_asleep:
        spt_epochs = len(asleep) - asleep[::-1].index(True) - asleep.index(True)
    return SleepStructure(
        sol_5min_min=unbroken_sleep_latency_min(asleep, FIVE_MIN_EPOCHS),
        spt_min=None if spt_epochs is None else spt_epochs * EPOCH_MIN,
        sme_percent=None if spt_epochs is None else 100.0 * n_asleep / spt_epochs,
        awakenings=awakenings,
        fragmentation_per_h=shifts / (n_asleep * EPOCH_MIN / 60.0) if n_asleep else None,
        transitions=transitions,
        cycles=tuple(
            Cycle(each.start + first, each.r_start + first, each.stop + first)
            for each in sleep_cycles(night)
        ),
    )


def sleep_cycles(night: Sequence[Stage | None]) -> list[Cycle]:
    """Return the sleep cycles of ``night``, by Feinberg & Floyd (1979) as SleepCycles adapts them.

    Blume & Cajochen (2021), https://doi.org/10.1016/j.mex.2021.101318:

    - A non-REM period begins with N1, N2 or N3, may contain W, and lasts at least 15 min.
    - An R period lasts at least 5 min; the first one may be shorter. It may contain other stages
      for less than 15 min. A shorter R period belongs to the non-REM period around it.
    - Non-REM of at least 15 min after the last R period is a cycle that is not complete.

    SleepCycles can also split a non-REM period of more than 120 min, by the eye of a person: this
    is left out.
    """
    cycles: list[Cycle] = []
    start = _next_nrem(night, 0)
    for r_start, r_stop in _r_periods(night):
        if start is not None and r_start - start >= NREM_EPOCHS:
            cycles.append(Cycle(start, r_start, r_stop))
        start = _next_nrem(night, r_stop)
    if start is not None:
        stop = 1 + max(i for i in range(start, len(night)) if night[i] not in (None, Stage.W))
        if stop - start >= NREM_EPOCHS:
            cycles.append(Cycle(start, stop, stop))
    return cycles


def _next_nrem(night: Sequence[Stage | None], first: int) -> int | None:
    return next((i for i in range(first, len(night)) if night[i] in _NREM), None)


def _r_periods(night: Sequence[Stage | None]) -> list[tuple[int, int]]:
    """Return the first epoch of each R period, and the one after its last."""
    merged: list[list[int]] = []  # first epoch, one after the last, epochs of R
    for index, stage in enumerate(night):
        if stage is not Stage.R:
            continue
        if merged and index - merged[-1][1] < NREM_EPOCHS:
            merged[-1][1:] = [index + 1, merged[-1][2] + 1]
        else:
            merged.append([index, index + 1, 1])
    return [
        (start, stop)
        for place, (start, stop, n_r) in enumerate(merged)
        if place == 0 or n_r >= FIVE_MIN_EPOCHS
    ]
