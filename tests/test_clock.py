"""The timeline of a night never steps, and continues after a restart."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitor.clock import Clock, ManualClock, SystemClock, Timeline, boot_id
from monitor.live.continuing import continued_timeline
from monitor.night.live_night import LiveNight
from monitor.types import Montage

EVENING = datetime(2026, 1, 1, 22, 0, tzinfo=UTC)
LIVE = LiveNight("lsl:", Montage.of_one("EEG"), boot_id(), 0.0, None)


class MachineClock:
    """The clocks of a machine: a test can set the wall clock and choose the monotonic time."""

    def __init__(self, utc: datetime, monotonic_s: float) -> None:
        self._utc, self._monotonic_s = utc, monotonic_s

    def utc(self) -> datetime:
        return self._utc

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def sleep(self, duration_s: float) -> None:
        self._monotonic_s += duration_s
        self._utc += timedelta(seconds=duration_s)

    def set_utc(self, utc: datetime) -> None:
        self._utc = utc


@pytest.mark.parametrize("hours", [-1, 1, 24 * 365])
def test_setting_the_wall_clock_does_not_move_the_timeline(hours: int) -> None:
    clock = MachineClock(EVENING, 5000.0)
    timeline = Timeline(clock)
    assert timeline.now_s() == EVENING.timestamp()
    clock.sleep(100.0)
    clock.set_utc(clock.utc() + timedelta(hours=hours))
    clock.sleep(20.0)
    assert timeline.now_s() == EVENING.timestamp() + 120.0


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_night_continues_on_its_own_timeline_within_one_boot(hours: int) -> None:
    clock = MachineClock(EVENING, 5000.0)
    live = replace(LIVE, timeline_offset_s=Timeline(clock).offset_s)
    clock.sleep(300.0)
    clock.set_utc(clock.utc() + timedelta(hours=hours))
    again = continued_timeline(clock, live, EVENING + timedelta(seconds=270))
    assert again.now_s() == EVENING.timestamp() + 300.0


@pytest.mark.parametrize("known", [True, False])
def test_after_another_boot_a_night_continues_by_the_wall_clock(known: bool) -> None:
    """On some systems boots have no id, and only the clocks show that the machine was restarted."""
    live = replace(LIVE, boot_id="another" if known else "", timeline_offset_s=1.7e9)
    clock = MachineClock(EVENING, 7.0)
    again = continued_timeline(clock, live, EVENING - timedelta(minutes=10))
    assert again.now_s() == EVENING.timestamp()


def test_the_timeline_of_a_continued_night_never_goes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A board whose clock has no battery starts in 1970."""
    clock = MachineClock(datetime(1970, 1, 1, 0, 1, tzinfo=UTC), 60.0)
    live = replace(LIVE, boot_id="another")
    again = continued_timeline(clock, live, EVENING)
    assert again.now_s() == EVENING.timestamp()
    clock.sleep(10.0)
    assert again.now_s() == EVENING.timestamp() + 10.0
    assert "behind the night that continues: set it" in caplog.text


def test_without_boot_ids_clocks_that_agree_mean_the_same_boot() -> None:
    clock = MachineClock(EVENING, 5000.0)
    offset_s = Timeline(clock).offset_s
    live = replace(LIVE, boot_id="", timeline_offset_s=offset_s + 1.5)
    assert continued_timeline(clock, live, EVENING).offset_s == offset_s + 1.5


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()])
def test_the_clocks_of_one_machine_agree(clock: Clock) -> None:
    timeline = Timeline(clock)
    first = clock.monotonic_s(), clock.utc()
    clock.sleep(0.01)
    assert clock.monotonic_s() - first[0] >= 0.01
    assert clock.utc() > first[1]
    assert clock.utc().tzinfo is UTC
    assert abs(timeline.now_s() - clock.utc().timestamp()) < 1.0
    if isinstance(clock, SystemClock):
        assert abs(clock.utc().timestamp() - time.time()) < 1.0
