"""Time in the sinks comes from the clock that is passed in."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import monitor.sinks
from monitor.clock import ManualClock
from monitor.sinks.deadline import Deadline

MODULES = sorted(Path(monitor.sinks.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_sink_imports_the_time_module(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names
    }
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "time" not in imported


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
