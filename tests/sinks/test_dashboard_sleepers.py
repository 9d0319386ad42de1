"""The views of all sleepers: one in full, one who waits, an overview of several; plain lines."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console

from monitor.clock import ManualClock
from monitor.night.state import NightState, SleeperState
from monitor.sinks.dashboard import LiveView, Look, live_view
from monitor.sinks.dashboard.plain import SleepersLog
from monitor.sinks.dashboard.screen import Moment
from monitor.sinks.dashboard.sleepers import SleepersDashboard, SleepersPage, seen_sleepers
from monitor.types import Contact, Delivery, Reason, SignalState
from tests.sinks.frames import ASCII, PLAIN, lines_on
from tests.sinks.night_example import (
    channel,
    four_sleepers,
    live_state,
    many_sleepers,
    silent_state,
)
from tests.sinks.terminals import (
    ENTER,
    LEAVE,
    ObservedClock,
    Terminal,
    console_on,
    until_looked_again,
)
from tests.sinks.waiting import until

NOW = datetime(2026, 1, 15, 5, 26, tzinfo=UTC)
WAITING = SleeperState("", "waiting for an LSL stream of type EEG", None)
FOUR, MANY = four_sleepers(), many_sleepers()


def lines_of(
    sleepers: Sequence[SleeperState],
    width: int = 80,
    height: int = 24,
    look: Look = PLAIN,
    after_s: float = 0.0,
    notice: str | None = None,
) -> list[str]:
    """Return the lines on the screen ``after_s`` the snapshots of the sleepers came."""
    page = SleepersPage(seen_sleepers(sleepers, (), 0.0))
    return lines_on(page.draw(width, height, look, Moment(after_s, NOW), notice))


def one(night: NightState | None, status: str = "streaming") -> list[SleeperState]:
    return [SleeperState("", status, night)]


@pytest.mark.parametrize("width", [0, 1, 12, 40, 80, 100, 140])
@pytest.mark.parametrize("height", [0, 1, 2, 3, 10, 24, 45])
@pytest.mark.parametrize("look", [Look(timezone=UTC), PLAIN, ASCII])
def test_every_page_has_exactly_the_requested_size(width: int, height: int, look: Look) -> None:
    for sleepers in ([], [WAITING], FOUR[:2], FOUR, MANY[:30]):
        lines = lines_of(sleepers, width, height, look, notice="something")
        assert len(lines) == height
        assert all(cell_len(line) == width for line in lines)
        assert look.unicode or "".join(lines).isascii()


def test_one_sleeper_has_the_whole_dashboard() -> None:
    text = "\n".join(lines_of(one(silent_state(), "trying again in 4 s: no adapter"), after_s=3.0))
    assert "no samples for 45 s: check the headband" in text
    assert "trying again in 4 s: no adapter" in text
    assert "REM latency 44.0" in text


def test_one_sleeper_whose_monitor_failed() -> None:
    failed = SleeperState("", "no room on the disk", live_state(830), failed=True)
    assert lines_of([failed])[-1].startswith(" failed: no room on the disk")


def test_the_screen_before_a_night_shows_the_wait_and_helpful_commands() -> None:
    text = "\n".join(lines_of([WAITING], after_s=84.0))
    for words in (
        "waiting for an LSL stream of type EEG",
        "for 1 min 24 s",
        "sleep-monitor streams",
        "sleep-monitor doctor",
        "05:26:00",
    ):
        assert words in text


def test_a_long_status_of_a_source_is_wrapped() -> None:
    status = "trying again in 60 s: cannot reach the board muse_s; is the headband on, near and "
    status += "not connected to a phone?"
    text = "\n".join(lines_of([replace(WAITING, status=status)]))
    assert "trying again in 60 s: cannot reach" in text
    assert "to a phone?" in text


def test_the_overview_shows_stage_troubles_and_facts_of_each_sleeper() -> None:
    text = "\n".join(lines_of(FOUR, after_s=7.0))
    for words in (
        "4 sleepers  3 need a look",
        "anna   R  69 %",
        "TST 383.0  SE 93.4 %  AF7-TP9  sample 7 s ago  0 events wait",
        "● TP9 good  ● AF7 good",
        "no samples for 49 s: check the headband",
        "waiting for an LSL stream of type EEG  for 7 s",
        "failed: no room on the disk for dan.sqlite",
    ):
        assert words in text, words
    assert text.index("anna") < text.index("ben") < text.index("chloe") < text.index("dan")


def test_trouble_is_described_in_a_few_words() -> None:
    off = (channel("TP9", Contact.OFF, Reason.RAILED), channel("AF7"))
    away = Delivery("redis://:secret@host:6379", False, 3, 1204)
    nights = {
        "TP9 off railed": live_state(100, channels=off),
        "signal poor": live_state(100, signal=SignalState.POOR),
        "events NOT SENT, 1,204 wait": live_state(100, delivery=away),
        "DISK FULL? 2 epochs wait to be stored": live_state(100, unstored=2),
    }
    for words, night in nights.items():
        sleepers = [SleeperState(name, "streaming", night) for name in ("anna", "ben")]
        text = "\n".join(lines_of(sleepers))
        assert words in text
        assert "2 need a look" in text
    well = [SleeperState(name, "streaming", live_state(100)) for name in ("anna", "ben")]
    assert "all well" in lines_of(well)[0]


def test_with_few_sleepers_each_has_a_hypnogram() -> None:
    lines = lines_of(FOUR[:2], 100, 30)
    assert sum(line.startswith(" N3") for line in lines) == 2


def test_a_strip_is_lower_for_deeper_sleep_and_made_of_letters_without_colour() -> None:
    sleepers = MANY[:20]
    assert "▁" in lines_of(sleepers, look=Look(timezone=UTC))[1]
    assert set("WR23") <= set(lines_of(sleepers)[1])


def test_sleepers_who_need_a_look_come_first_if_not_all_fit() -> None:
    lines = lines_of(MANY)
    assert "4 need a look" in lines[0]
    assert lines[1].startswith(" bed-40")  # failed
    assert {line.split()[0] for line in lines[2:5]} == {"bed-08", "bed-24", "bed-56"}
    assert lines[5].startswith(" bed-01")
    assert lines[-1].startswith(" +42 more, all well")
    few = lines_of(MANY, 80, 4)
    assert few[-1].startswith(" +62 more, 2 of them need a look")
    assert len({line.split()[0] for line in lines_of(MANY, 80, 70)[1:65]}) == 64


def test_only_a_sleeper_who_changed_has_a_new_time() -> None:
    anna, ben, *_ = FOUR
    before = seen_sleepers([anna, ben], (), 10.0)
    new = replace(ben, night=silent_state(641))
    after = seen_sleepers([anna, new], before, 20.0)
    assert [seen.seen_s for seen in after] == [10.0, 20.0]
    # Another status with the same snapshot of the night does not change the snapshot's time.
    (same,) = seen_sleepers([replace(anna, status="waiting for samples")], before, 30.0)
    assert same.seen_s == 10.0
    # The wait for a night began once, whatever the source tries meanwhile.
    trying = replace(WAITING, status="trying again in 2 s")
    (waiting,) = seen_sleepers([trying], seen_sleepers([WAITING], (), 5.0), 9.0)
    assert waiting.waiting_s == 5.0


def test_a_frame_is_drawn_for_a_change_or_a_new_second_only() -> None:
    terminal, clock = Terminal(), ObservedClock()
    sleepers = FOUR
    with SleepersDashboard(console_on(terminal), clock, timezone=UTC) as view:
        view.update(sleepers)
        until(lambda: view.frames == 1, "the first frame")
        clock.advance(0.5)
        view.update(tuple(replace(state) for state in sleepers))  # equal, but other objects
        assert not view._wake.is_set()
        until_looked_again(clock)
        assert view.frames == 1
        view.update(sleepers[:2])
        until(lambda: view.frames == 2, "a frame for the change")
        clock.advance(1.0)
        until(lambda: view.frames == 3, "a frame for the new second")
    text = terminal.getvalue()
    assert text.count(ENTER) == text.count(LEAVE) == 1
    assert text.rstrip().endswith(LEAVE)


def test_a_failure_while_drawing_ends_in_plain_lines(terminal_log: Terminal) -> None:
    terminal, clock = Terminal(), ManualClock()
    anna = SleeperState("anna", "streaming", live_state(100, "anna"))
    ben = SleeperState("ben", "streaming", live_state(100, "ben"))
    with SleepersDashboard(console_on(terminal), clock, timezone=UTC) as view:
        view.update([anna, ben])
        until(lambda: view.frames == 1, "the first frame")
        clock.advance(1.0)
        terminal.broken = True
        view.update([anna, replace(ben, night=live_state(101, "ben"))])
        until(lambda: "could not draw" in terminal_log.getvalue(), "the error")
        until(lambda: view._failed, "the dashboard to give up")
        view.update([anna, replace(ben, night=live_state(102, "ben"))])
    after = terminal.getvalue().splitlines()[-1]
    assert after.endswith("ben 23:22:00 epoch 101 N3 0.97 (live)")


def test_a_pipe_gets_lines_and_a_terminal_a_dashboard() -> None:
    clock = ManualClock()
    views: list[LiveView] = [
        live_view(Console(file=io.StringIO()), clock),
        live_view(console_on(Terminal()), clock, plain=True),
        live_view(console_on(Terminal()), clock, plain=False),
    ]
    assert [type(view) for view in views] == [SleepersLog, SleepersLog, SleepersDashboard]


def logged(*updates: Sequence[SleeperState], step_s: float = 1.0) -> list[str]:
    """Return the lines of a log that gets ``updates``, ``step_s`` apart, from 22:00:00 on."""
    out, clock = io.StringIO(), ManualClock()
    with SleepersLog(out, clock, timezone=UTC) as view:
        for sleepers in updates:
            view.update(sleepers)
            clock.advance(step_s)
    return out.getvalue().splitlines()


def test_lines_begin_with_a_name_where_there_are_several() -> None:
    night = live_state(0)
    anna = SleeperState("anna", "streaming", night)
    ben = SleeperState("ben", "waiting for an LSL stream of type EEG", None)
    later = replace(anna, night=live_state(1))
    failed = SleeperState("ben", "no such board", None, failed=True)
    assert logged([anna, ben], [later, ben], [later, failed], [later, failed]) == [
        "anna 22:00:00 streaming",
        "anna 22:31:00 signal good",
        "ben 22:00:00 waiting for an LSL stream of type EEG",
        "anna 22:31:30 epoch 0 W 0.62 (live)",
        "ben 22:00:02 failed: no such board",
    ]
    assert logged([replace(WAITING)])[0] == "22:00:00 waiting for an LSL stream of type EEG"


def test_a_resumed_night_is_not_written_again() -> None:
    assert logged(one(live_state(800)), one(live_state(801))) == [
        "22:00:00 streaming",
        "22:00:00 the night continues after 800 epochs",
        "05:11:30 epoch 800 R 0.76 (live)",
    ]


def test_a_source_that_fails_again_and_again_is_reported_every_ten_minutes() -> None:
    tries = [
        one(None, status)
        for again in range(700)
        for status in (f"trying again in {again} s: no adapter", "connecting")
    ]
    lines = logged(*tries, step_s=1.0)  # 1400 s
    assert [line[:8] for line in lines if "trying" in line] == ["22:00:00", "22:10:00", "22:20:00"]
    back = logged(*tries[:4], one(None, "streaming"), *tries[4:6])
    assert [line[9:] for line in back] == [
        "trying again in 0 s: no adapter",
        "connecting",
        "streaming",
        "trying again in 2 s: no adapter",
        "connecting",
    ]


def test_a_source_that_waits_is_reported_after_pauses_that_grow_to_ten_minutes() -> None:
    waits = [one(None, f"waiting for an LSL stream ({s} s)") for s in range(0, 2600, 5)]
    lines = logged(*waits, step_s=5.0)
    assert [line[:8] for line in lines] == [
        *("22:00:00", "22:01:00", "22:03:00", "22:07:00", "22:15:00", "22:25:00", "22:35:00"),
    ]
    assert lines[2] == "22:03:00 waiting for an LSL stream (180 s)"
    back = logged(*waits[:20], one(None, "streaming"), *waits[:20], step_s=5.0)
    assert [line[:8] for line in back] == [
        *("22:00:00", "22:01:00", "22:01:40", "22:01:45", "22:02:45"),
    ]


def test_another_night_of_the_same_sleeper_is_written_from_its_start() -> None:
    first = live_state(2)
    second = replace(live_state(0), session=replace(first.session, id="another"))
    begun = replace(live_state(1), session=second.session)
    lines = logged(one(live_state(0)), one(first), one(second), one(begun))
    assert [line.split()[2] for line in lines if "epoch" in line] == ["0", "1", "0"]


def test_the_clock_advances_between_snapshots() -> None:
    state = silent_state()
    assert state.last_sample_utc == state.clock_utc - timedelta(seconds=42)
    assert "no samples for 1 min 42 s" in lines_of(one(state), after_s=60.0)[0]
