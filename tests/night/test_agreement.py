"""Agreement with an expert, checked by hand."""

from __future__ import annotations

import pytest

from models.contract import Stage
from monitor.night.agreement import agreement

W, N1, N2, N3, R = Stage


def test_six_epochs_by_hand() -> None:
    result = agreement([W, W, N2, N2, N2, R], [W, N2, N2, N2, N3, R])
    assert result.accuracy == pytest.approx(4 / 6)
    # By chance: W 2x1, N2 3x3, N3 0x1, R 1x1 of 36 -> 12/36; kappa = (4/6 - 1/3) / (1 - 1/3).
    assert result.kappa == pytest.approx(0.5)
    # F1: W 2/3, N2 4/6, N3 0, R 1, and N1, that nobody used, does not count.
    assert result.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 0 + 1) / 4)
    assert result.confusion[2].tolist() == [0, 0, 2, 1, 0]


def test_unscored_epochs_are_left_out_and_counted() -> None:
    result = agreement([W, None, N2, N2], [W, N2, None, N2])
    assert (result.n_expert, result.n_scored) == (3, 2)
    assert result.accuracy == 1.0


def test_undefined_scores_are_none() -> None:
    assert agreement([None], [W]).accuracy is None
    assert agreement([N2, N2], [N2, N2]).kappa is None


def test_hypnograms_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="same length"):
        agreement([W], [W, W])
