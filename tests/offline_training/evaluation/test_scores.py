"""Scores against numbers calculated by hand."""

from __future__ import annotations

import numpy as np
import pytest

from offline_training.evaluation.scores import Scores, confusion


def one_hot(stages: list[int], confidence: float = 1.0) -> np.ndarray:
    rest = (1 - confidence) / 4
    return np.where(np.eye(5)[stages] == 1, confidence, rest).astype(np.float32)


def test_perfect_agreement_ignores_unscored_epochs() -> None:
    truth = np.array([0, 1, 2, 3, 4, -1])
    scores = Scores.of(truth, one_hot([0, 1, 2, 3, 4, 0]))
    found = scores.to_json()
    assert [found[name] for name in ("epochs", "accuracy", "macro_f1", "kappa")] == [5, 1, 1, 1]
    assert scores.calibration_error == pytest.approx(0)


def test_kappa_and_macro_f1_by_hand() -> None:
    # Expert W W N2 N2, network W N2 N2 N2: agreement 3/4, by chance (2*1 + 2*3)/16 = 1/2.
    scores = Scores.of(np.array([0, 0, 2, 2]), one_hot([0, 2, 2, 2], confidence=0.95))
    found = scores.to_json()
    assert (found["accuracy"], found["kappa"]) == (0.75, 0.5)
    assert found["f1"] == {"W": 0.667, "N1": None, "N2": 0.8, "N3": None, "R": None}
    # Confidence 0.95, accuracy 0.75.
    assert scores.calibration_error == pytest.approx(0.2)


def test_confusion_has_the_expert_by_row() -> None:
    table = confusion(np.array([0, 0, 4, -1]), np.array([0, 1, 4, 3]))
    assert table.sum() == 3 and table[0, 1] == 1 and table[4, 4] == 1
