"""The Sleep Regularity Index, checked by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from monitor.night.regularity import (
    ASLEEP,
    AWAKE,
    UNKNOWN,
    DaysOfSleep,
    sleep_regularity_index,
    standard_deviation_min,
)


def days(*stretches: tuple[int, int] | None) -> DaysOfSleep:
    """Return days that are asleep from one minute to another; None: a day without a night."""
    found: DaysOfSleep = {}
    for number, stretch in enumerate(stretches, start=1):
        if stretch is not None:
            minutes = np.full(1440, AWAKE, np.int8)
            minutes[slice(*stretch)] = ASLEEP
            found[date(2026, 11, number)] = minutes
    return found


def test_equal_days_are_perfectly_regular() -> None:
    assert sleep_regularity_index(days((600, 1080), (600, 1080), (600, 1080))) == 100.0


def test_an_hour_later_costs_two_hours_of_the_day() -> None:
    found = sleep_regularity_index(days((600, 1080), (660, 1140)))
    assert found == pytest.approx(-100 + 200 * 22 / 24)


def test_opposite_days_have_the_least_index() -> None:
    assert sleep_regularity_index(days((0, 720), (720, 1440))) == -100.0


def test_days_without_a_night_are_no_pair() -> None:
    assert sleep_regularity_index(days((600, 1080), None, (0, 480))) is None
    assert sleep_regularity_index({}) is None


def test_unknown_minutes_are_left_out() -> None:
    two = days((600, 1080), (660, 1140))
    two[date(2026, 11, 1)][600:660] = UNKNOWN
    two[date(2026, 11, 2)][1080:1140] = UNKNOWN
    assert sleep_regularity_index(two) == 100.0


def test_the_spread_of_one_night_is_undefined() -> None:
    assert standard_deviation_min([700.0]) is None
    assert standard_deviation_min([690.0, 710.0]) == pytest.approx(14.14, abs=0.01)
