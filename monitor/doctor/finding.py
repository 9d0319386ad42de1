"""Findings, and the function that runs a check and returns its findings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from monitor.errors import MonitorError, one_line

LIMIT_S = 30.0
"""Time limit of a check. An import of PyTorch from a cold disk takes most of it."""


class Verdict(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNCHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """A result of a check, and what the user should do about it."""

    verdict: Verdict
    found: str
    advice: str = ""


Check = Callable[[], Iterator[Finding]]
"""Yields its findings one by one. If it raises or hangs, `findings` makes that a finding too."""


def ok(found: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(Verdict.OK, found)


def warning(found: str, advice: str) -> Finding:
    """Return a finding that may spoil a night."""
    return Finding(Verdict.WARNING, found, advice)


def problem(found: str, advice: str) -> Finding:
    """Return a finding that prevents a night."""
    return Finding(Verdict.PROBLEM, found, advice)


def unchecked(found: str) -> Finding:
    """Return a result for something that the doctor cannot check on this system."""
    return Finding(Verdict.UNCHECKED, found)


def findings(check: Check, limit_s: float = LIMIT_S) -> list[Finding]:
    """Run ``check`` for at most ``limit_s``; an exception or a hang becomes a problem."""
    found: list[Finding] = []

    def run() -> None:
        try:
            found.extend(check())
        except MonitorError as exc:
            found.append(problem("failed", str(exc)))
        except Exception as exc:
            advice = "this is a bug: please report it to the authors"
            found.append(problem(f"failed: {one_line(exc)}", advice))

    # A daemon thread: a library that hangs delays neither the other checks nor the exit.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        return [*found, problem(f"no answer in {limit_s:g} s", "try again on an idle machine")]
    return found
