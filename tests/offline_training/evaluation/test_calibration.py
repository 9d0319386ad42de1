"""Calibration of confidences with a known accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from offline_training.evaluation.calibration import Reliability


def test_bins_and_error_by_hand() -> None:
    # Ten at 0.95, eight correct; ten at 0.55, five correct: (10 * 0.15 + 10 * 0.05) / 20.
    confidence = np.repeat([0.95, 0.55], 10)
    correct = np.r_[np.arange(10) < 8, np.arange(10) < 5]
    found = Reliability.of(correct, confidence, bins=10)
    assert found.count.tolist() == [0, 0, 0, 0, 0, 10, 0, 0, 0, 10]
    assert found.accuracy[[5, 9]].tolist() == [0.5, 0.8] and np.isnan(found.accuracy[0])
    assert found.error == pytest.approx(0.1)


def test_honest_confidence_has_almost_no_error() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.2, 1.0, 200_000)
    assert Reliability.of(random.random(200_000) < confidence, confidence).error == pytest.approx(
        0, abs=0.01
    )
    overconfident = Reliability.of(random.random(200_000) < confidence - 0.1, confidence)
    assert overconfident.error == pytest.approx(0.1, abs=0.01)


def test_certainty_is_in_the_last_bin_and_no_epochs_have_no_error() -> None:
    assert Reliability.of(np.array([True]), np.array([1.0])).count[-1] == 1
    assert Reliability.of(np.empty(0, bool), np.empty(0)).error is None
