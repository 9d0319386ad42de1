"""Sleep statistics, checked by hand."""

from __future__ import annotations

import pytest

from models.contract import Stage
from monitor.night.statistics import sleep_statistics

LETTERS = {"W": Stage.W, "1": Stage.N1, "2": Stage.N2, "3": Stage.N3, "R": Stage.R, "?": None}


def night(text: str) -> list[Stage | None]:
    return [LETTERS[letter] for letter in text]


def test_a_short_night_by_hand() -> None:
    """4 W, then sleep with 3 W and 1 unscored inside, then 2 W: 30 epochs, 15 min."""
    statistics = sleep_statistics(night("WWWW" + "122222222" + "WW?W" + "22233RRRRRR" + "WW"))
    assert statistics.trt_min == 15.0
    assert statistics.tst_min == 10.0  # 9 + 11 epochs of sleep
    assert statistics.sol_min == 2.0
    assert statistics.waso_aasm_min == 2.5  # 3 + 2 epochs of W after sleep onset
    assert statistics.waso_last_sleep_min == 1.5  # the 3 before the last sleep epoch
    assert statistics.rem_latency_min == 9.0  # 18 epochs from sleep onset
    assert statistics.se_percent == pytest.approx(100 * 10 / 15)
    assert (statistics.n1_min, statistics.n2_min) == (0.5, 5.5)
    assert (statistics.n3_min, statistics.r_min) == (1.0, 3.0)
    assert statistics.unscored_min == 0.5
    assert statistics.n3_percent == pytest.approx(10.0)
    assert statistics.lps_min is None  # no 10 min without a break
    assert statistics.bounds == "recording"


def test_without_unscored_epochs_waso_is_trt_less_sol_less_tst() -> None:
    statistics = sleep_statistics(night("WW12W22W33RRWW"))
    assert statistics.sol_min is not None
    assert statistics.waso_aasm_min == (
        statistics.trt_min - statistics.sol_min - statistics.tst_min
    )


def test_persistent_sleep_is_twenty_unbroken_epochs() -> None:
    assert sleep_statistics(night("W1W" + "2" * 20)).lps_min == 1.5
    assert sleep_statistics(night("W1W" + "2" * 19)).lps_min is None
    assert sleep_statistics(night("W" + "2" * 19 + "?" + "2" * 20)).lps_min == 10.5


def test_lights_bound_the_night() -> None:
    statistics = sleep_statistics(night("WWWW2222WW"), lights_off=2, lights_on=9)
    assert statistics.trt_min == 3.5
    assert statistics.sol_min == 1.0
    assert statistics.waso_aasm_min == 0.5
    assert statistics.bounds == "lights"


@pytest.mark.parametrize("text", ["", "WWWW", "????"])
def test_without_sleep_undefined_statistics_are_none_and_never_zero(text: str) -> None:
    statistics = sleep_statistics(night(text))
    assert statistics.tst_min == 0.0
    assert statistics.sol_min is None
    assert statistics.lps_min is None
    assert statistics.rem_latency_min is None
    assert statistics.waso_aasm_min is None
    assert statistics.waso_last_sleep_min is None
    assert statistics.n2_percent is None
    assert statistics.se_percent == (0.0 if text else None)


def test_lights_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="must be in order"):
        sleep_statistics(night("W22W"), lights_off=3, lights_on=1)
