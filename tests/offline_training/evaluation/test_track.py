"""A track's scores: counts of epochs, known agreement, intervals around it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from offline_training.evaluation.track import TrackScores

F64 = np.ndarray


def certain(stages: list[int]) -> F64:
    """Make probabilities (n, 5) whose top stages are ``stages``; NaN for -1."""
    rows = np.full((len(stages), 5), 0.05)
    rows[np.arange(len(stages)), stages] = 0.8
    rows[np.array(stages) < 0] = np.nan
    return rows


def test_every_epoch_is_counted() -> None:
    truth = np.array([0, 0, 2, 2, -1, -1, 3])
    found = TrackScores.of(truth, certain([0, 2, 2, 2, 2, -1, -1]), np.zeros(7))
    counts = found.counts
    assert (counts.epochs, counts.compared) == (7, 4)
    assert (counts.unscored_by_monitor, counts.unscored_by_expert) == (2, 2)
    assert counts.unscored_by_both == 1
    # Expert W W N2 N2, monitor W N2 N2 N2: agreement 3/4, by chance 1/2.
    assert found.agreement.accuracy == 0.75 and found.agreement.kappa == 0.5
    assert found.agreement.n_expert == 5
    assert found.reliability.error == pytest.approx(0.05)
    assert found.positives == {"W": 2, "N1": 0, "N2": 2, "N3": 0, "R": 0}


def test_intervals_enclose_the_scores_and_the_json_is_valid() -> None:
    random = np.random.default_rng(0)
    truth = np.repeat(random.integers(0, 5, 100), 5)
    staged = np.where(random.random(500) < 0.8, truth, random.integers(0, 5, 500))
    for groups in (np.zeros(500), np.repeat(np.arange(20), 25)):
        found = TrackScores.of(truth, certain(staged.tolist()), groups)
        for name, value in (
            ("accuracy", found.agreement.accuracy),
            ("kappa", found.agreement.kappa),
            ("macro_f1", found.agreement.macro_f1),
        ):
            interval = found.intervals[name]
            assert interval is not None and value is not None
            assert interval.low < value < interval.high
        assert json.loads(json.dumps(found.to_json(), allow_nan=False))["compared"] == 500


def test_a_stage_that_nobody_used_has_no_interval() -> None:
    found = TrackScores.of(np.zeros(40, int), certain([0] * 40), np.zeros(40))
    assert found.intervals["N3"] is None and found.intervals["kappa"] is None
    assert found.intervals["accuracy"] is not None


def test_no_compared_epoch_is_not_an_error() -> None:
    found = TrackScores.of(np.full(3, -1), certain([-1, 1, 1]), np.zeros(3))
    assert found.agreement.accuracy is None and found.risk_coverage.area is None
    json.dumps(found.to_json(), allow_nan=False)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="must be"):
        TrackScores.of(np.zeros(3, int), np.zeros((3, 4)), np.zeros(3))
