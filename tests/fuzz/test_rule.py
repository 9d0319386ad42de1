"""The rule itself: cases that break it are found, and the long run says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from monitor.errors import InputError
from tests.fuzz.__main__ import main
from tests.fuzz.bounds import BrokenRuleError, Ending, examine, random_of
from tests.fuzz.case import Case, Kind
from tests.fuzz.kinds import KINDS


class Reader(Kind):
    """A program that does ``read`` with its input."""

    name = "example"

    def __init__(self, read: Callable[[Path], object]) -> None:
        self._read = read

    def generate(self, random: Random) -> Case:
        return Case(story="example", files={"input": b"1"})

    def check(self, case: Case, folder: Path) -> None:
        self._read(folder / "input")


class RawError(InputError):
    """An error that shows its text as it is, which `MonitorError` never does."""

    def __init__(self, text: str) -> None:
        Exception.__init__(self, text)


def refuse(text: str, error: type[InputError] = InputError) -> None:
    raise error(text)


def log(text: str, times: int) -> None:
    for _ in range(times):
        logging.warning(text)


HELD: list[object] = []


@pytest.mark.parametrize(
    ("read", "trouble"),
    [
        (lambda path: refuse("a\nb", RawError), "does not print as one line"),
        (lambda path: refuse("a" * 2000), "has 2000 letters"),
        (lambda path: refuse(""), "is empty"),
        (lambda path: path.with_name("other").write_text(""), "are left"),
        (lambda path: path.unlink(), "are left"),
        (lambda path: HELD.append(path.open()), "open file"),
        (lambda path: HELD.append(bytearray(300 * 2**20)), "of memory"),
        (lambda path: log("\x1b[31m", 1), "a line of the log"),
        (lambda path: log("again", 100), "100 lines were logged"),
    ],
)
def test_a_case_that_breaks_the_rule(read: Callable[[Path], object], trouble: str) -> None:
    kind = Reader(read)
    try:
        with pytest.raises(BrokenRuleError, match=trouble):
            examine(kind, kind.generate(Random(1)))
    finally:
        for each in HELD:
            if hasattr(each, "close"):
                each.close()
        HELD.clear()


def test_a_thread_that_goes_on_is_found() -> None:
    end = threading.Event()
    kind = Reader(lambda path: threading.Thread(target=end.wait).start())
    try:
        with pytest.raises(BrokenRuleError, match="thread"):
            examine(kind, kind.generate(Random(1)))
    finally:
        end.set()


def test_the_endings() -> None:
    case = Case(story="example", files={})
    assert examine(Reader(lambda path: None), case).ending is Ending.RIGHT
    assert examine(Reader(lambda path: refuse("no")), case).ending is Ending.ERROR
    sound = Case(story="example", files={}, sound=True)
    with pytest.raises(BrokenRuleError, match="a sound input is refused: no"):
        examine(Reader(lambda path: refuse("no")), sound)
    with pytest.raises(ZeroDivisionError):
        examine(Reader(lambda path: 1 / 0), case)


@pytest.mark.parametrize("name", list(KINDS))
def test_a_seed_repeats_its_case(name: str) -> None:
    first, second = (KINDS[name]().generate(random_of(name, 7)) for _ in range(2))
    assert first.story == second.story
    assert first.files == second.files


def test_the_long_run_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--kind", "marks", "--cases", "20", "--processes", "1"]) == 0
    assert "| marks | 20 | 0 | 20 | 0 |" in capsys.readouterr().out
