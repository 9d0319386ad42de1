"""The example in ADDING.md runs as it stands, and keeps the contract of a sink."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import monitor.sinks
from monitor.sinks.event_log import MemoryEventLog
from tests.pages import python_blocks
from tests.sinks.peers import a_log, append
from tests.sinks.waiting import until

PAGE = Path(monitor.sinks.__file__).parent / "ADDING.md"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """The names that the page's blocks define, run one after another in one module."""
    names: dict[str, Any] = {"__name__": "adding_a_sink"}
    for block in python_blocks(PAGE):
        exec(compile(block, str(PAGE), "exec"), names)
    return names


def sequences(path: Path) -> list[int]:
    if not path.is_file():
        return []
    # The sink may be in the middle of a line.
    lines = path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
    return [int(json.loads(line)["sequence"]) for line in lines]


def test_the_example_runs_and_is_as_short_as_the_page_promises(example: dict[str, Any]) -> None:
    assert example["written"] == ["00000001", "00000002", "00000003"]
    code = [line for line in python_blocks(PAGE)[0].splitlines() if line.strip()]
    assert 30 <= len(code) <= 60


def test_events_are_written_while_the_night_goes_on(
    example: dict[str, Any], tmp_path: Path
) -> None:
    path, log = tmp_path / "night.jsonl", a_log(600)
    with example["JsonLinesSink"](log, path) as sink:
        until(lambda: sequences(path) == list(range(1, 601)), "the backlog")
        append(log, 601, 602)
        sink.notify()
        until(lambda: sequences(path)[-1] == 602, "the new events")
    assert sequences(path) == list(range(1, 603))


def test_a_crash_at_any_byte_loses_and_doubles_nothing(
    example: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "night.jsonl"
    example["JsonLinesSink"](a_log(3), path).close()
    whole = path.read_bytes()
    for length in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:length])
        example["JsonLinesSink"](a_log(4), path).close()
        assert sequences(path) == [1, 2, 3, 4]


def test_a_file_that_cannot_be_written_neither_raises_nor_loses_an_event(
    example: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, log = tmp_path / "missing" / "night.jsonl", a_log(2)
    with example["JsonLinesSink"](log, path) as sink:
        until(lambda: "cannot write" in caplog.text, "the warning")
        append(log, 3, 3)
        sink.notify()
        path.parent.mkdir()
        sink.notify()
        until(lambda: sequences(path) == [1, 2, 3], "all events")
    assert len(caplog.records) == 1


def test_an_empty_night_ends_too(example: dict[str, Any], tmp_path: Path) -> None:
    with example["JsonLinesSink"](MemoryEventLog(), tmp_path / "night.jsonl") as sink:
        sink.notify()
    assert sequences(tmp_path / "night.jsonl") == []
