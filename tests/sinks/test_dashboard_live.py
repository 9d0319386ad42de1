"""The dashboard's own thread: how often it draws, and what happens when drawing fails."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator
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

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


class Terminal(io.StringIO):
    """A terminal that remembers; `slow_s` makes every write take that long."""

    slow_s = 0.0
    broken = False

    def isatty(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if self.broken and "\x1b[" in text:
            raise OSError(5, "Input/output error")
        if self.slow_s:
            time.sleep(self.slow_s)
        return super().write(text)


def console_on(terminal: Terminal, **options: object) -> Console:
    settings = {"force_terminal": True, "width": 80, "height": 24, "_environ": {"TERM": "xterm"}}
    return Console(file=terminal, **{**settings, **options})


def wait_until(done: Callable[[], bool], limit_s: float = 5.0) -> None:
    end_s = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.005)


@pytest.fixture
def terminal_log() -> Iterator[Terminal]:
    """A root logger that writes to a terminal, as the command line sets it up."""
    terminal = Terminal()
    handler = logging.StreamHandler(terminal)
    root = logging.getLogger()
    root.addHandler(handler)
    yield terminal
    root.removeHandler(handler)


def test_at_most_five_frames_a_second_and_none_without_a_change() -> None:
    clock = ManualClock()
    pacer = FramePacer(clock)
    drawn = 0
    for tick in range(100):  # two seconds, something new every 20 ms
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


def test_slow_frames_come_less_often() -> None:
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
    terminal, clock = Terminal(), ManualClock()
    with Dashboard(console_on(terminal), clock, timezone=UTC) as dashboard:
        dashboard.update(night_state(100))
        wait_until(lambda: dashboard.frames == 1)
        dashboard.update(night_state(101))
        time.sleep(0.2)
        assert dashboard.frames == 1  # the clock stands still: too soon
        clock.advance(0.25)
        wait_until(lambda: dashboard.frames == 2)
    text = terminal.getvalue()
    assert text.count(ENTER) == text.count(LEAVE) == 1
    assert text.rstrip().endswith(LEAVE)
    assert "\x1b[?25h" in text  # the cursor is back
    assert "101 of 878 epochs" in text


def test_the_clock_of_a_live_source_goes_on_between_snapshots() -> None:
    terminal, clock = Terminal(), ManualClock()
    with Dashboard(console_on(terminal), clock, timezone=UTC) as dashboard:
        dashboard.update(night_state(100, speed=None, n_epochs_total=None))
        wait_until(lambda: dashboard.frames == 1)
        clock.advance(0.5)
        time.sleep(0.15)
        assert dashboard.frames == 1
        clock.advance(0.6)
        wait_until(lambda: dashboard.frames == 2)
    assert "23:21:01" in terminal.getvalue()


def test_update_returns_at_once_while_a_frame_is_being_drawn() -> None:
    terminal = Terminal()
    with Dashboard(console_on(terminal), timezone=UTC) as dashboard:
        terminal.slow_s = 0.5
        dashboard.update(night_state(100))
        time.sleep(0.1)
        began_s = time.monotonic()
        dashboard.update(night_state(101))
        assert time.monotonic() - began_s < 0.25
        terminal.slow_s = 0.0


def test_a_failure_while_drawing_ends_in_plain_lines(terminal_log: Terminal) -> None:
    terminal = Terminal()
    with Dashboard(console_on(terminal), timezone=UTC) as dashboard:
        dashboard.update(night_state(100))
        wait_until(lambda: dashboard.frames == 1)
        broken = replace(night_state(101), recent_uv=np.zeros(3000, "U1"))
        dashboard.update(broken)
        wait_until(lambda: "could not draw" in terminal_log.getvalue())
        wait_until(lambda: LEAVE in terminal.getvalue())
        time.sleep(0.1)
        dashboard.update(night_state(103))
    assert terminal_log.getvalue().count("could not draw") == 1
    after = terminal.getvalue().split(LEAVE)[1]
    assert "epoch 101 " in after
    assert "epoch 102 " in after
    assert "epoch 100 " not in after


def test_a_terminal_that_goes_away_does_not_stop_the_night(terminal_log: Terminal) -> None:
    terminal = Terminal()
    with Dashboard(console_on(terminal), timezone=UTC) as dashboard:
        dashboard.update(night_state(100))
        wait_until(lambda: dashboard.frames == 1)
        terminal.broken = True
        dashboard.update(night_state(101))
        wait_until(lambda: "could not draw" in terminal_log.getvalue())
        dashboard.update(night_state(102))


def test_log_lines_wait_until_the_screen_is_free(terminal_log: Terminal) -> None:
    terminal, clock = Terminal(), ManualClock()
    with Dashboard(console_on(terminal), clock, timezone=UTC) as dashboard:
        logging.warning("Stream lost; waiting for it to come back")
        dashboard.update(night_state(100))
        wait_until(lambda: "Stream lost; waiting" in terminal.getvalue())
        assert terminal_log.getvalue() == ""
        clock.advance(60.0)  # after a while the line is given back to what was there
        wait_until(lambda: dashboard.frames >= 2)
        assert terminal.getvalue().rpartition("Stream lost")[2].count("redis://") >= 1
    assert terminal_log.getvalue() == "Stream lost; waiting for it to come back\n"


def test_a_failure_to_start_leaves_nothing_behind(terminal_log: Terminal) -> None:
    terminal = Terminal()
    terminal.broken = True
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(OSError), Dashboard(console_on(terminal)):
        pass
    assert set(logging.getLogger().handlers) == set(handlers)


def test_a_summary_after_the_dashboard_is_on_the_normal_screen() -> None:
    terminal = Terminal()
    console = console_on(terminal)
    with Dashboard(console, timezone=UTC) as dashboard:
        dashboard.update(night_state(100))
    console.print(summary(night_state(ended=True), Look.of(console, UTC)))
    after = terminal.getvalue().split(LEAVE)[1]
    assert "878 epochs, 22:31:00 to 05:50:00" in after
    assert "TST / TRT" in after


def test_a_pipe_and_a_dumb_terminal_get_plain_lines() -> None:
    pipe = Console(file=io.StringIO())
    assert isinstance(night_view(pipe), PlainLog)
    dumb = console_on(Terminal(), _environ={"TERM": "dumb"})
    assert isinstance(night_view(dumb), PlainLog)
    assert isinstance(night_view(console_on(Terminal())), Dashboard)
    assert isinstance(night_view(console_on(Terminal()), plain=True), PlainLog)
