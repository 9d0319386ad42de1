"""Risk-coverage on cases calculated by hand."""

from __future__ import annotations

import numpy as np
import pytest

from offline_training.evaluation.coverage import RiskCoverage, abstentions


def test_errors_at_the_lowest_confidence_come_last() -> None:
    found = RiskCoverage.of(np.array([False, True, True, True]), np.array([0.3, 0.9, 0.6, 0.8]))
    assert found.coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert found.risk.tolist() == [0, 0, 0, 0.25]
    assert found.area == 0.0625 and found.at(0.75) == 0 and found.at(1) == 0.25
    worst = RiskCoverage.of(np.array([False, True, True, True]), np.array([0.9, 0.5, 0.5, 0.5]))
    assert worst.risk == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])


def test_ties_do_not_depend_on_the_order() -> None:
    correct = np.array([True, False, True, False])
    one = RiskCoverage.of(correct, np.full(4, 0.7))
    assert one.risk == pytest.approx([0.5] * 4)
    assert RiskCoverage.of(correct[::-1], np.full(4, 0.7)).risk == pytest.approx(one.risk)


def test_without_epochs_risk_is_undefined() -> None:
    found = RiskCoverage.of(np.empty(0, bool), np.empty(0))
    assert found.area is None and found.at(1.0) is None


def test_abstaining_keeps_the_confident_epochs() -> None:
    probabilities = np.array(
        [[0.92, 0.02, 0.02, 0.02, 0.02], [0.1, 0.1, 0.6, 0.1, 0.1], [0.55, 0.15, 0.1, 0.1, 0.1]]
    )
    rows = {row.threshold: row for row in abstentions(np.array([0, 2, 2]), probabilities)}
    assert (rows[0.0].n_kept, rows[0.0].accuracy) == (3, pytest.approx(2 / 3))
    # At 0.6 two epochs are kept, W and N2, both correct: kappa is 1. At 0.9 only one stage is left:
    # kappa is undefined.
    assert (rows[0.6].n_kept, rows[0.6].coverage, rows[0.6].kappa) == (2, pytest.approx(2 / 3), 1)
    assert (rows[0.9].n_kept, rows[0.9].accuracy, rows[0.9].kappa) == (1, 1, None)
    assert (rows[0.95].n_kept, rows[0.95].accuracy) == (0, None)
