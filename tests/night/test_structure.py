"""Cycles, transitions and fragmentation, checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract import STAGES, Stage
from monitor.night.structure import Cycle, sleep_cycles, sleep_structure

LETTERS = {"W": Stage.W, "1": Stage.N1, "2": Stage.N2, "3": Stage.N3, "R": Stage.R, "?": None}


def night(text: str) -> list[Stage | None]:
    return [LETTERS[letter] for letter in text]


def test_a_short_night_by_hand() -> None:
    stages = night("WW" + "12" + "W" + "2" * 8 + "?" + "2" * 10 + "1" + "RR" + "W")
    structure = sleep_structure(stages, 0, len(stages))
    assert structure.sol_5min_min == 7.0  # the unscored epoch breaks the first stretch
    assert structure.spt_min == 12.5
    assert structure.sme_percent == pytest.approx(100 * 23 / 25)
    assert structure.awakenings == 2
    assert structure.fragmentation_per_h == pytest.approx(3 / (23 / 120))  # and 2 to N1
    n2 = STAGES.index(Stage.N2)
    assert structure.transitions[n2].tolist() == [1, 1, 16, 0, 0]
    assert structure.probabilities[n2, n2] == pytest.approx(16 / 18)
    assert np.isnan(structure.probabilities[STAGES.index(Stage.N3)]).all()


def test_without_sleep_nothing_is_defined() -> None:
    structure = sleep_structure(night("WWW??"), 0, 5)
    numbers = (structure.spt_min, structure.sme_percent, structure.fragmentation_per_h)
    assert (*numbers, structure.sol_5min_min) == (None, None, None, None)
    assert (structure.awakenings, structure.cycles) == (0, ())


def test_only_the_epochs_within_the_bounds_count() -> None:
    stages = night("2W" * 3 + "1" + "2" * 39 + "R" * 4 + "W2W")
    structure = sleep_structure(stages, 6, 50)
    assert structure.awakenings == 0
    assert structure.cycles == (Cycle(6, 46, 50),)  # counted from the start of the night


@pytest.mark.parametrize(
    ("stages", "cycles"),
    [
        ("W" + "2" * 30 + "R" + "2" * 40 + "R" * 10, [(1, 31, 32), (32, 72, 82)]),
        # A later R period of less than 5 min belongs to the non-REM period around it.
        ("2" * 30 + "RR" + "2" * 40 + "R" * 9 + "2" * 30, [(0, 30, 32), (32, 111, 111)]),
        # Less than 15 min of other stages do not end an R period.
        ("2" * 30 + "R" * 5 + "2" * 29 + "R" * 5, [(0, 30, 69)]),
        ("2" * 30 + "R" * 5 + "W" * 30 + "R" * 10, [(0, 30, 35)]),  # no non-REM between them
        ("2" * 29 + "R" * 10 + "2" * 30, [(39, 69, 69)]),  # non-REM of less than 15 min
        ("W" * 50 + "?" * 50, []),
    ],
)
def test_cycles_are_those_of_feinberg_and_floyd(
    stages: str, cycles: list[tuple[int, int, int]]
) -> None:
    found = [(each.start, each.r_start, each.stop) for each in sleep_cycles(night(stages))]
    assert found == cycles
