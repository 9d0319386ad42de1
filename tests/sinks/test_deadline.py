"""A limit on a wait, with a clock that advances and with one that stands still."""

from __future__ import annotations

from monitor.clock import ManualClock
from monitor.sinks.deadline import Deadline


def test_a_deadline_follows_the_clock() -> None:
    clock = ManualClock()
    deadline = Deadline(clock, 5.0)
    assert deadline.left_s == 5.0
    clock.advance(4.0)
    assert deadline.left_s == 1.0
    deadline.waited(1.0)  # less than what has passed on the clock
    assert deadline.left_s == 1.0
    clock.advance(2.0)
    assert deadline.left_s == -1.0


def test_a_deadline_passes_by_waiting_if_the_clock_stands_still() -> None:
    deadline = Deadline(ManualClock(), 1.0)
    for _ in range(3):
        deadline.waited(0.4)
    assert deadline.left_s < 0.0
