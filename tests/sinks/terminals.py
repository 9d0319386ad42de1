"""A terminal for the dashboard that remembers what was written, and can be slow or broken."""

from __future__ import annotations

import io
import threading

from rich.console import Console

from monitor.clock import ManualClock
from tests.sinks.waiting import LIMIT_S, until

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
"""The control codes that enter and leave the second screen."""


class Terminal(io.StringIO):
    """A terminal that remembers.

    - While ``broken``, a write of control codes fails.
    - After `block` every write waits for `unblock`, as on a terminal that is paused with Ctrl-S.
    """

    broken = False

    def __init__(self) -> None:
        super().__init__()
        self._open = threading.Event()
        self._open.set()
        self.blocks_a_writer = False
        """True while a thread waits in `write`."""

    def block(self) -> None:
        self._open.clear()

    def unblock(self) -> None:
        self._open.set()

    def isatty(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if self.broken and "\x1b[" in text:
            raise OSError(5, "Input/output error")
        if not self._open.is_set():
            self.blocks_a_writer = True
            assert self._open.wait(LIMIT_S)
            self.blocks_a_writer = False
        return super().write(text)


class ObservedClock(ManualClock):
    """A manual clock that counts how often it is read."""

    n_reads = 0

    def monotonic_s(self) -> float:
        self.n_reads += 1
        return super().monotonic_s()


def until_looked_again(clock: ObservedClock) -> None:
    """Return once the dashboard's thread has decided once more, from the start, whether to draw.

    It reads the clock two or three times for a decision: seven reads hold at least one whole one.
    """
    reads = clock.n_reads
    until(lambda: clock.n_reads >= reads + 7, "the dashboard to look at the clock again")


def console_on(terminal: Terminal, **options: object) -> Console:
    settings = {"force_terminal": True, "width": 80, "height": 24, "_environ": {"TERM": "xterm"}}
    return Console(file=terminal, **{**settings, **options})
