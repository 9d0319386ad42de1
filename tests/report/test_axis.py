"""The time axis: the wall clock's hours, also when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from monitor.report.axis import TimeAxis

BERLIN = ZoneInfo("Europe/Berlin")


def axis(
    start: datetime, hours: float, timezone: tzinfo = BERLIN, width: float | None = None
) -> TimeAxis:
    """Return an axis that begins at 100 and has 60 units for each hour, or ``width`` in all."""
    n_epochs = int(120 * hours)
    return TimeAxis(
        start, n_epochs, 100.0, width or n_epochs / 2, lambda when: when.astimezone(timezone)
    )


def labels(of: TimeAxis) -> list[str]:
    return [tick.label for tick in of.ticks()]


def test_hours_are_evenly_spread_and_named_by_the_clock() -> None:
    night = axis(datetime(2026, 11, 26, 21, 30, tzinfo=UTC), 4.0)
    assert [(tick.x, tick.label) for tick in night.ticks()] == [
        (130.0, "23:00"),
        (190.0, "00:00"),
        (250.0, "01:00"),
        (310.0, "02:00"),
    ]
    assert night.of_epoch(240) == night.of_time(night.start_utc + timedelta(hours=2)) == 220.0


def test_an_hour_comes_twice_when_the_clocks_go_back() -> None:
    night = axis(datetime(2026, 10, 24, 22, 0, tzinfo=UTC), 4.0)
    assert labels(night) == ["00:00", "01:00", "02:00", "02:00", "03:00"]
    ((when, change),) = night.clock_changes()
    assert (when, change) == (datetime(2026, 10, 25, 1, tzinfo=UTC), timedelta(hours=-1))
    assert [start.hour for start, _, _ in night.spans(60)] == [0, 1, 2, 2]


def test_an_hour_is_missing_when_the_clocks_go_forward() -> None:
    night = axis(datetime(2027, 3, 27, 23, 0, tzinfo=UTC), 4.0)
    assert labels(night) == ["00:00", "01:00", "03:00", "04:00", "05:00"]
    assert [change for _, change in night.clock_changes()] == [timedelta(hours=1)]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"])
def test_hours_are_full_in_every_zone(zone: str) -> None:
    night = axis(datetime(2026, 4, 4, 10, 7, 41, tzinfo=UTC), 9.0, ZoneInfo(zone))
    assert len(labels(night)) >= 8
    assert all(label.endswith(":00") for label in labels(night))


def test_half_an_hour_back_is_a_change_too() -> None:
    night = axis(datetime(2026, 4, 4, 12, 0, tzinfo=UTC), 6.0, ZoneInfo("Australia/Lord_Howe"))
    assert [change for _, change in night.clock_changes()] == [timedelta(minutes=-30)]


def test_a_day_begins_at_midnight() -> None:
    night = axis(datetime(2026, 11, 26, 21, 0, tzinfo=UTC), 8.0)
    assert [(tick.x, tick.day and tick.day.day) for tick in night.days()] == [(100, 26), (220, 27)]


@pytest.mark.parametrize("hours", [0.01, 0.5, 3.0, 24.0, 100.0])
@pytest.mark.parametrize("width", [250.0, 660.0])
def test_labels_never_overlap(hours: float, width: float) -> None:
    night = axis(datetime(2026, 10, 24, 20, 1, 7, tzinfo=UTC), hours, width=width)
    places = [tick.x for tick in night.ticks() if tick.label]
    assert all(after - before > 30.0 for before, after in pairwise(places))
    assert sum(stop - first for _, first, stop in night.spans(60)) == night.n_epochs
