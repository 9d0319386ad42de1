"""The one way in which these tests wait for other threads and processes."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT_S = 30.0
"""Generous: the machine that runs the tests may be busy. It decides how long a failure takes."""


def until(condition: Callable[[], bool], event: str) -> None:
    """Return once ``condition`` is true. Fail after `LIMIT_S`; the message names ``event``."""
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {LIMIT_S:g} s for {event}"
        time.sleep(0.005)
