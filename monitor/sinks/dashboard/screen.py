"""`Screen`: the terminal's second screen, drawn by a thread of its own."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo
from types import FrameType
from typing import Any, Generic, Protocol, Self, TypeVar

from rich.console import Console
from rich.live import Live

from monitor.clock import Clock
from monitor.closing import Closing
from monitor.errors import one_line
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.desk import Desk
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.quiet import HeldLog

_log = logging.getLogger(__name__)

MIN_INTERVAL_S = 0.2
"""At most five frames a second."""

_NOTICE_S = 15.0
"""The newest warning is shown this long."""

_POLL_S = 0.05
"""The clock on the screen ticks without a new page, so the thread looks at the time this often."""

LEAVE = b"\x1b[?1049l\x1b[?25h"
"""Leaves the second screen and shows the cursor."""

_SUSPEND_S = 1.0
"""Time limit for a frame to end before Ctrl-Z stops the program. A paused terminal may block it."""

_JOIN_S = 5.0
"""Time limit for the thread to end. A paused terminal may block it for ever."""


class FramePacer:
    """Decides when to draw a frame: the picture changed, and the last frame is old enough.

    The longer a frame takes to draw, the fewer are drawn, so that drawing uses at most ``share``
    of one core.
    """

    def __init__(self, clock: Clock, share: float = 0.2) -> None:
        self._clock = clock
        self._share = share
        self._drawn: object = None
        self._earliest_s = 0.0
        self._began_s = 0.0

    def due(self, picture: object) -> bool:
        """Return True if ``picture`` must be drawn now.

        ``picture`` is any value that differs whenever the frame would look different.
        """
        now_s = self._clock.monotonic_s()
        if picture == self._drawn or now_s < self._earliest_s:
            return False
        self._drawn = picture
        self._began_s = now_s
        self._earliest_s = now_s + MIN_INTERVAL_S
        return True

    def hurry(self) -> None:
        """Let the next picture be drawn at once: a person waits for it."""
        self._earliest_s = 0.0

    def redraw(self) -> None:
        """Let the next picture be drawn even if it did not change."""
        self._drawn = None

    def done(self) -> None:
        """Record that the frame is on the screen."""
        cost_s = self._clock.monotonic_s() - self._began_s
        interval_s = max(MIN_INTERVAL_S, cost_s / self._share)
        self._earliest_s = self._began_s + interval_s


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment: monotonic time for intervals, UTC for people."""

    monotonic_s: float
    utc: datetime


class Page(Protocol):
    """The content of a screen. Equal pages look the same at the same `tick`."""

    def tick(self, moment: Moment) -> object:
        """Return a value that changes when the page must be drawn again, such as the second."""

    def draw(
        self, width: int, height: int, look: Look, moment: Moment, notice: str | None
    ) -> Canvas:
        """Draw the page on ``width`` x ``height`` cells, with ``notice``, a log message."""


PageT = TypeVar("PageT", bound=Page)


_shown: list[Screen[Any]] = []


class Screen(Closing, Generic[PageT]):
    """Draws the newest page on the terminal's second screen, from a thread of its own.

    - `show` stores the page and returns; it never draws and never waits.
    - If drawing fails, one error is logged, the terminal is restored, and `show` returns False
      from then on. The caller then writes plain lines, and the night continues.
    - The keys of ``desk`` are read by the same thread, so they never delay the night.
    - Ctrl-Z gives the terminal back. The screen returns once the program is in the foreground.
    - Log lines for the terminal are held back until the screen is closed. The newest warning is
      shown on the page.
    """

    def __init__(
        self,
        console: Console,
        clock: Clock,
        timezone: tzinfo | None,
        desk: Desk,
        share: float = 0.2,
    ) -> None:
        self._console = console
        self._clock = clock
        self._look = Look.of(console, timezone)
        self._desk = desk
        self._pacer = FramePacer(clock, share)
        self._held_log = HeldLog()
        self._live: Live | None = None
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._drawing = threading.RLock()
        self._away = False  # Ctrl-Z gave the terminal back, and it has not returned yet
        self._suspend_before: Any = None
        self._stopping = False
        self._failed = False
        self._page: PageT | None = None  # replaced as a whole, so the thread needs no lock
        self._notice_seen = 0
        self._notice_until_s = 0.0
        self.frames = 0

    def __enter__(self) -> Self:
        self._held_log.hold()
        _shown.append(self)
        try:
            # First, so that the terminal's answers are not echoed.
            self._desk.listen(self._clock.monotonic_s())
            self._live = Live(
                console=self._console,
                screen=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
            if self._desk.question:
                self._console.file.write(self._desk.question)
                self._console.file.flush()
            self._take_suspensions()
            self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)
            self._thread.start()
        except BaseException:
            self.close()
            raise
        return self

    def show(self, page: PageT) -> bool:
        """Show ``page`` from the next frame on. Return False once drawing has failed."""
        if self._failed:
            return False
        if page != self._page:
            self._page = page
            self._wake.set()
        return True

    def skip(self, page: PageT) -> None:
        """Let plain lines begin after ``page``. Called once, when drawing has failed."""

    def close(self) -> None:
        """Stop drawing, restore the terminal, and write the held log lines.

        The order matters: a line written before the terminal is restored would vanish with the
        second screen.
        """
        self._stopping = True
        self._wake.set()
        self._return_suspensions()
        thread, self._thread = self._thread, None
        try:
            if thread is not None:
                thread.join(_JOIN_S)
        finally:
            # A paused terminal (Ctrl-S) blocks the thread in the middle of a frame. A write to it
            # here would block the end of the night as well.
            if thread is None or not thread.is_alive():
                self._restore()
            self._desk.close()
            if self in _shown:
                _shown.remove(self)

    def give_up(self) -> None:
        """Give the terminal back without waiting for the thread or for a lock."""
        self._stopping = True
        if self._desk.keyboard is not None:
            self._desk.keyboard.close()
        if not self._away:
            with suppress(OSError, ValueError):
                os.write(self._console.file.fileno(), LEAVE)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(_POLL_S)
            self._wake.clear()
            try:
                with self._drawing:
                    if self._is_here():
                        self._draw_if_due()
            except (Exception, SystemExit) as exc:  # rich raises SystemExit for a closed pipe
                self._fail(exc)
                return

    def _draw_if_due(self) -> None:
        page = self._page
        if page is None or self._live is None:
            return
        moment = Moment(self._clock.monotonic_s(), self._clock.utc())
        if self._desk.listen(moment.monotonic_s):
            self._pacer.hurry()
        look = self._desk.look(self._look)
        notice = self._desk.notice(self._notice(moment))
        width, height = self._console.size
        choices = (self._desk.choices, look)
        if self._pacer.due((page, page.tick(moment), width, height, notice, choices)):
            frame = page.draw(width, height, look, moment, notice)
            self._live.update(self._desk.draw(frame, look), refresh=True)
            self._pacer.done()
            self.frames += 1

    def _notice(self, moment: Moment) -> str | None:
        if self._held_log.count != self._notice_seen:
            self._notice_seen = self._held_log.count
            self._notice_until_s = moment.monotonic_s + _NOTICE_S
        return self._held_log.newest if moment.monotonic_s < self._notice_until_s else None

    def _fail(self, exc: BaseException) -> None:
        # Restore first: the error would be written to the second screen.
        self._restore()
        _log.error(
            "The dashboard could not draw and is off; the night continues in plain lines",
            exc_info=exc,
        )
        if self._page is not None:
            # The screen has shown these epochs: do not repeat them as lines.
            self.skip(self._page)
        self._failed = True

    def _is_here(self) -> bool:
        """Return True if the screen may be drawn; come back to it if the shell gave it back."""
        keyboard = self._desk.keyboard
        if keyboard is None or not self._away:
            return True
        if not keyboard.in_foreground() or self._live is None:
            return False
        self._away = False
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        self._pacer.redraw()
        return True

    def _take_suspensions(self) -> None:
        """Give the terminal back before Ctrl-Z stops the program."""
        main = threading.current_thread() is threading.main_thread()
        if self._desk.keyboard is None or not main or not hasattr(signal, "SIGTSTP"):
            return
        if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            self._suspend_before = signal.signal(signal.SIGTSTP, self._suspend)

    def _return_suspensions(self) -> None:
        before, self._suspend_before = self._suspend_before, None
        if before is not None:
            signal.signal(signal.SIGTSTP, before)

    def _suspend(self, signum: int, frame: FrameType | None) -> None:
        keyboard = self._desk.keyboard
        if self._drawing.acquire(timeout=_SUSPEND_S):
            try:
                if self._live is not None and keyboard is not None and not self._away:
                    self._away = True
                    keyboard.give_back()
                    self._console.set_alt_screen(False)
                    self._console.show_cursor(True)
            finally:
                self._drawing.release()
        # The system stops the program in `kill`, unless no shell could continue it. Afterwards
        # the thread brings the screen back, when the program is in the foreground.
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspend)

    def _restore(self) -> None:
        self._desk.close()
        live, self._live = self._live, None
        if live is not None:
            try:
                live.stop()
            except (Exception, SystemExit) as exc:
                _log.warning("The terminal could not be restored: %s", one_line(exc))
            self._held_log.restore()


def restore_terminals() -> None:
    """Give every terminal back: the process ends at once."""
    for screen in _shown:
        screen.give_up()
