"""Run one case within its bounds: `examine`."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random

from monitor.errors import MonitorError, one_line
from tests.fuzz.case import Case, Kind

LONGEST_CASE_S = 2.0
"""Computing time of a case. Inputs are small: what takes longer does not grow with the input."""

LARGEST_GROWTH_MB = 200.0
"""Memory that a case may add at its peak."""

LONGEST_LINE = 1000
"""Letters in a line that is printed or logged. Texts from outside have at most 200 letters."""

MOST_LINES = 50
"""Lines that one input may log."""


class Ending(StrEnum):
    """The two endings of a case that keep the rule."""

    ERROR = "error"
    RIGHT = "right"


class BrokenRuleError(AssertionError):
    """A case broke the rule; the text says how."""


@dataclass(frozen=True)
class Examined:
    """The ending of a case, its computing time and the memory that it added at its peak."""

    ending: Ending
    seconds: float
    grown_mb: float


def examine(kind: Kind, case: Case) -> Examined:
    """Run ``case`` and check everything that the package's docstring demands.

    Raises `BrokenRuleError` if the case breaks the rule, and lets an unexpected exception through.
    """
    try:
        return _examine(kind, case)
    except _StrainError:
        # The first case of a kind imports modules and starts pools of threads. Only a case that
        # does it again is at fault.
        return _examine(kind, case)


class _StrainError(BrokenRuleError):
    """A case took too much or left something behind."""


def _examine(kind: Kind, case: Case) -> Examined:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        case.write(folder)
        before = _held()
        with _log_lines() as lines, _working_in(folder):
            resident_mb = _reset_peak_mb()
            start_s = time.process_time()
            ending = _ending(kind, case, folder)
            seconds = time.process_time() - start_s
            grown_mb = max(0.0, _peak_mb() - resident_mb)
        for line in lines:
            check_line(line, "a line of the log")
        if len(lines) > MOST_LINES:
            raise BrokenRuleError(f"{len(lines)} lines were logged")
        left = sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))
        if left != sorted(case.files):
            raise BrokenRuleError(f"the files {left} are left, of {sorted(case.files)}")
    if (after := _held()) - before:
        raise _StrainError(f"left behind: {', '.join(sorted(after - before))}")
    if seconds > LONGEST_CASE_S:
        raise _StrainError(f"it took {seconds:.1f} s of computing")
    if grown_mb > LARGEST_GROWTH_MB:
        raise _StrainError(f"it took {grown_mb:.0f} MB of memory")
    return Examined(ending, seconds, grown_mb)


def _ending(kind: Kind, case: Case, folder: Path) -> Ending:
    try:
        kind.check(case, folder)
    except MonitorError as exc:
        check_line(str(exc), "the error")
        if case.sound:
            raise BrokenRuleError(f"a sound input is refused: {one_line(exc)}") from exc
        return Ending.ERROR
    return Ending.RIGHT


def check_line(text: str, what: str, longest: int = LONGEST_LINE) -> None:
    """Raise `BrokenRuleError` unless ``text`` is one printable line of bounded length."""
    if not text.strip():
        raise BrokenRuleError(f"{what} is empty")
    if len(text) > longest:
        raise BrokenRuleError(f"{what} has {len(text)} letters: {text[:200]!r}...")
    if not text.isprintable():
        raise BrokenRuleError(f"{what} does not print as one line: {text[:400]!r}")


def _held() -> set[str]:
    """Return what the process holds: open files, threads and child processes."""
    held = {f"child process {number}" for number in _children()}
    held |= {f"thread {each.name} {each.native_id}" for each in threading.enumerate()}
    descriptors = Path("/proc/self/fd")
    for each in list(descriptors.iterdir()) if descriptors.is_dir() else ():
        # The descriptor of this very list is closed by now.
        with suppress(OSError):
            held.add(f"open file {each.name} ({each.readlink()})")
    return held


def _children() -> list[str]:
    """Return the numbers of the child processes; psutil would look at every process."""
    tasks = Path("/proc/self/task")
    lists = tasks.glob("*/children") if tasks.is_dir() else ()
    return [number for each in lists for number in each.read_text().split()]


@contextmanager
def _log_lines() -> Iterator[list[str]]:
    """Yield a list that receives every line that is logged in the block."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    collector, root = Collector(logging.INFO), logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = [collector]
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.handlers = before
        root.setLevel(level)


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Make ``folder`` the working folder and the one for temporary files."""
    before, temporary = Path.cwd(), tempfile.tempdir
    os.chdir(folder)
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = temporary
        os.chdir(before)


def _reset_peak_mb() -> float:
    """Let the peak of the resident memory count anew, and return the memory now.

    Only Linux can do it; elsewhere the memory is not measured.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return float("inf")
    return _status_mb("VmRSS")


def _peak_mb() -> float:
    return _status_mb("VmHWM")


def _status_mb(field: str) -> float:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0.0
    return float(status.partition(f"{field}:")[2].split()[0]) / 1024


def random_of(kind: str, seed: int) -> Random:
    """Return the random numbers of the case ``seed`` of a kind."""
    return Random(f"{kind}:{seed}")
