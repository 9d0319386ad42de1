"""The dashboard's own thread: how often it draws, and what happens when drawing fails."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from datetime import UTC

import numpy as np
import pytest
from rich.console import Console

from monitor.clock import ManualClock
from monitor.sinks.dashboard import Dashboard, Look, night_view, summary
from monitor.sinks.dashboard.screen import FramePacer
from monitor.sinks.log import PlainLog
from tests.sinks.night_example import night_state
from tests.sinks.terminals import (
    ENTER,
    LEAVE,
    ObservedClock,
    Terminal,
    console_on,
    until_looked_again,
)
from tests.sinks.waiting import until


def test_at_most_five_frames_a_second_and_none_without_a_change() -> None:
    clock = ManualClock()
    pacer = FramePacer(clock)
    drawn = 0
    for tick in range(100):  # two seconds, with a new picture every 20 ms
        if pacer.due(tick):
            pacer.done()
            drawn += 1
        clock.advance(0.02)
    assert drawn <= 10
    assert drawn >= 9
    clock.advance(10.0)
    assert pacer.due("new")
    pacer.done()
    clock.advance(10.0)
    assert not pacer.due("new")


def test_slow_frames_are_drawn_less_often() -> None:
    clock = ManualClock()
    pacer = FramePacer(clock)
    assert pacer.due(0)
    clock.advance(0.3)  # the frame took this long
    pacer.done()
    clock.advance(1.0)
    assert not pacer.due(1)
    clock.advance(0.21)
    assert pacer.due(1)


def test_frames_follow_updates_and_the_terminal_is_restored() -> None:
    terminal, clock = Terminal(), ObservedClock()
    with Dashboard(console_on(terminal), clock, timezone=UTC) as dashboard:
        dashboard.update(night_state(100))
        until(lambda: dashboard.frames == 1, "the first frame")
        dashboard.update(night_state(101))
        until_looked_again(clock)
        assert dashboard.frames == 1  # the clock stands still: too soon
        clock.advance(0.25)
        until(lambda: dashboard.frames == 2, "the second frame")
    text = terminal.getvalue()
    assert text.count(ENTER) == text.count(LEAVE) == 1
    assert text.rstrip().endswith(LEAVE)
    assert "\x1b[?25h" in text  # the cursor is visible again
    assert "101 of 878 epochs" in text


def test_the_clock_of_a_live_night_advances_between_snapshots() -> None:
    terminal, clock = Terminal(), ObservedClock()
    with Dashboard(console_on(terminal), clock, timezone=UTC) as dashboard:
        dashboard.update(night_state(100, is_live=True, speed=None, n_epochs_total=None))
        until(lambda: dashboard.frames == 1, "the first frame")
        clock.advance(0.5)
        until_looked_again(clock)
        assert dashboard.frames == 1
        clock.advance(0.6)
        until(lambda: dashboard.frames == 2, "a frame for the new second")
    assert "23:21:01" in terminal.getvalue()


def test_update_returns_while_a_frame_waits_for_the_terminal() -> None:
    terminal = Terminal()
    with Dashboard(console_on(terminal), ManualClock(), timezone=UTC) as dashboard:
        terminal.block()
        try:
            dashboard.update(night_state(100))
            until(lambda: terminal.blocks_a_writer, "the frame to wait for the terminal")
            dashboard.update(night_state(101))
            assert terminal.blocks_a_writer
        finally:
            terminal.unblock()


def test_a_failure_while_drawing_ends_in_plain_lines(terminal_log: Terminal) -> None:
    terminal, clock = Terminal(), ManualClock()
    with Dashboard(console_on(terminal), clock, timezone=UTC) as dashboard:
        dashboard.update(night_state(100))
        until(lambda: dashboard.frames == 1, "the first frame")
        broken = replace(night_state(101), recent_uv=np.zeros(3000, "U1"))
        dashboard.update(broken)
        clock.advance(1.0)
        until(lambda: "could not draw" in terminal_log.getvalue(), "the error")
        until(lambda: LEAVE in terminal.getvalue(), "the terminal to be restored")
        until(lambda: dashboard._failed, "the dashboard to give up")
        dashboard.update(night_state(103))
    assert terminal_log.getvalue().count("could not draw") == 1
    after = terminal.getvalue().split(LEAVE)[1]
    assert "epoch 101 " in after
    assert "epoch 102 " in after
    assert "epoch 100 " not in after


def test_a_terminal_that_disappears_does_not_stop_the_night(terminal_log: Terminal) -> None:
    terminal, clock = Terminal(), ManualClock()
    with Dashboard(console_on(terminal), clock, timezone=UTC) as dashboard:
        dashboard.update(night_state(100))
        until(lambda: dashboard.frames == 1, "the first frame")
        terminal.broken = True
        dashboard.update(night_state(101))
        clock.advance(1.0)
        until(lambda: "could not draw" in terminal_log.getvalue(), "the error")
        dashboard.update(night_state(102))


def test_log_lines_wait_until_the_screen_is_free(terminal_log: Terminal) -> None:
    terminal, clock = Terminal(), ManualClock()
    with Dashboard(console_on(terminal), clock, timezone=UTC) as dashboard:
        logging.warning("Stream lost; waiting for it to come back")
        dashboard.update(night_state(100))
        until(lambda: "Stream lost; waiting" in terminal.getvalue(), "the warning on the page")
        assert terminal_log.getvalue() == ""
        clock.advance(60.0)  # after a while the page shows again what the warning replaced
        until(lambda: dashboard.frames >= 2, "the second frame")
        assert terminal.getvalue().rpartition("Stream lost")[2].count("redis://") >= 1
    assert terminal_log.getvalue() == "Stream lost; waiting for it to come back\n"


def test_a_failed_start_leaves_the_log_handlers_as_they_were(terminal_log: Terminal) -> None:
    terminal = Terminal()
    terminal.broken = True
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(OSError), Dashboard(console_on(terminal), ManualClock()):
        pass
    assert set(logging.getLogger().handlers) == set(handlers)


def test_a_summary_after_the_dashboard_is_on_the_normal_screen() -> None:
    terminal = Terminal()
    console = console_on(terminal)
    with Dashboard(console, ManualClock(), timezone=UTC) as dashboard:
        dashboard.update(night_state(100))
    console.print(summary(night_state(ended=True), Look.of(console, UTC)))
    after = terminal.getvalue().split(LEAVE)[1]
    assert "878 epochs, 22:31:00 to 05:50:00" in after
    assert "TST / TRT" in after


def test_a_pipe_and_a_dumb_terminal_get_plain_lines() -> None:
    clock = ManualClock()
    pipe = Console(file=io.StringIO())
    assert isinstance(night_view(pipe, clock), PlainLog)
    dumb = console_on(Terminal(), _environ={"TERM": "dumb"})
    assert isinstance(night_view(dumb, clock), PlainLog)
    assert isinstance(night_view(console_on(Terminal()), clock), Dashboard)
    assert isinstance(night_view(console_on(Terminal()), clock, plain=True), PlainLog)
