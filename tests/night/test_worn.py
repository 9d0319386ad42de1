"""The worn window, and the sleep statistics within it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import STAGES, Stage
from monitor.night.night import Night
from monitor.night.statistics import sleep_statistics
from monitor.night.worn import BRIDGED_EPOCHS, WORN_EPOCHS, worn_window
from monitor.types import Mark, MarkKind, Reason, StagePrediction, Track
from tests.nights import night_session
from tests.signals import START


def window(text: str) -> tuple[int, int] | None:
    """``text``: a letter an epoch, x for one that could not be scored."""
    return worn_window([letter != "x" for letter in text])


def test_the_band_is_worn_from_the_first_to_the_last_epoch_alive() -> None:
    assert window("xxx" + "." * 12 + "xxxxx") == (3, 15)
    assert window("." * 10) == (0, 10)


def test_a_dropout_in_the_night_is_within_it() -> None:
    assert window("." * 5 + "x" * BRIDGED_EPOCHS + "." * 5) == (0, 14)
    assert window("." * 10 + "x" * 100 + "." * 10) == (0, 120)


def test_electrodes_that_are_carried_about_are_not_worn() -> None:
    carried = "." * (WORN_EPOCHS - 1)
    away = "x" * (BRIDGED_EPOCHS + 1)
    assert window(carried + away + "." * 20 + away + carried) == (14, 34)
    assert window(carried + away + carried) is None


@pytest.mark.parametrize("text", ["", "x", "xxxx", "..x..x"])
def test_a_band_may_not_have_been_worn_at_all(text: str) -> None:
    assert window(text) is None


@given(st.lists(st.booleans(), max_size=80))
def test_the_window_begins_and_ends_with_an_epoch_alive(alive: list[bool]) -> None:
    found = worn_window(alive)
    if found is not None:
        first, stop = found
        assert 0 <= first <= stop - WORN_EPOCHS <= len(alive) - WORN_EPOCHS
        assert alive[first] and alive[stop - 1]


def test_statistics_are_of_the_time_worn_where_lights_are_unknown() -> None:
    night = [None] * 4 + [Stage.W, Stage.N2, Stage.N2, Stage.W] + [None] * 4
    statistics = sleep_statistics(night, worn=(4, 8))
    assert (statistics.bounds, statistics.trt_min, statistics.sol_min) == ("worn", 2.0, 0.5)
    assert (statistics.se_percent, statistics.unscored_min) == (50.0, 0.0)
    assert sleep_statistics(night, worn=None).bounds == "recording"


@pytest.mark.parametrize(
    ("off", "on", "worn", "bounds", "trt_min"),
    [
        (2, 9, (4, 8), "lights", 3.5),
        (5, None, (4, 8), "lights off to band off", 1.5),
        (None, 6, (4, 8), "band on to lights on", 1.0),
        (5, None, (0, 12), "lights off to recording end", 3.5),
        (None, 6, (0, 8), "recording start to lights on", 3.0),
        (None, None, (4, 12), "band on to recording end", 4.0),
        (10, None, (4, 8), "lights off to band off", 0.0),  # after the band was taken off
        (None, 2, (4, 8), "band on to lights on", 0.0),  # before it was put on
    ],
)
def test_marks_of_the_lights_come_before_the_worn_window(
    off: int | None, on: int | None, worn: tuple[int, int], bounds: str, trt_min: float
) -> None:
    statistics = sleep_statistics([Stage.N2] * 12, off, on, worn)
    assert (statistics.bounds, statistics.trt_min) == (bounds, trt_min)


def opinion(index: int, stage: Stage | None) -> StagePrediction:
    reason = Reason.FLAT if stage is None else None
    return StagePrediction(index, Track.LIVE, 0, True, stage, reason, None, None, "net-1", 0.0)


runs = st.tuples(st.sampled_from([*STAGES, None, None]), st.integers(1, 15))
lights = st.tuples(st.sampled_from(MarkKind), st.floats(-4e3, 4e3, allow_nan=False))


@given(st.lists(runs, max_size=8), st.lists(lights, max_size=4))
def test_whenever_the_lights_went_there_are_statistics(
    stages: list[tuple[Stage | None, int]], marks: list[tuple[MarkKind, float]]
) -> None:
    """Before, within and after the night or the time worn, in any order, also before any epoch."""
    night = Night(night_session())
    for kind, at_s in marks:
        night.mark(Mark(kind, START + timedelta(seconds=at_s)))
    hypnogram = [stage for stage, length in stages for _ in range(length)]
    for index, stage in enumerate(hypnogram):
        night.finish([opinion(index, stage)])
        statistics = night.statistics
        assert 0.0 <= statistics.tst_min <= statistics.trt_min <= 0.5 * (index + 1)
        shares = (statistics.n1_percent, statistics.n2_percent, statistics.n3_percent)
        if statistics.tst_min:
            assert sum(share or 0.0 for share in (*shares, statistics.r_percent)) == pytest.approx(
                100.0
            )
    assert night.worn == worn_window([stage is not None for stage in hypnogram])
