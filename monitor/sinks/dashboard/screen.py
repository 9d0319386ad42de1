"""A terminal's second screen, drawn by a thread of its own: `Screen`."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import datetime, tzinfo
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from rich.console import Console
from rich.live import Live

from monitor.clock import Clock
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.quiet import HeldLog

logger = logging.getLogger(__name__)

MIN_INTERVAL_S = 0.2
"""At most five frames a second."""

_NOTICE_S = 15.0
_POLL_S = 0.05
_JOIN_S = 5.0


class FramePacer:
    """Decides when a frame is due: something changed, and the last frame is long enough ago.

    Frames that take long come less often, so that drawing takes a ``share`` of one core at most.
    """

    def __init__(self, clock: Clock, share: float = 0.2) -> None:
        self._clock = clock
        self._share = share
        self._drawn: object = None
        self._earliest_s = 0.0
        self._began_s = 0.0

    def due(self, picture: object) -> bool:
        """Whether to draw ``picture``: anything that differs when the frame would."""
        now_s = self._clock.monotonic_s()
        if picture == self._drawn or now_s < self._earliest_s:
            return False
        self._drawn = picture
        self._began_s = now_s
        self._earliest_s = now_s + MIN_INTERVAL_S
        return True

    def done(self) -> None:
        """The frame is on the screen."""
        cost_s = self._clock.monotonic_s() - self._began_s
        interval_s = max(MIN_INTERVAL_S, cost_s / self._share)
        self._earliest_s = self._began_s + interval_s


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on the clock's steady hand and on its face."""

    monotonic_s: float
    utc: datetime


class Page(Protocol):
    """What a screen shows. Equal pages look alike, but for the time that passes."""

    def tick(self, moment: Moment) -> object:
        """What differs when the same page has to be drawn anew, as the second shown."""

    def draw(
        self, width: int, height: int, look: Look, moment: Moment, notice: str | None
    ) -> Canvas:
        """The page as ``width`` x ``height`` cells."""


PageT = TypeVar("PageT", bound=Page)


class Screen(Generic[PageT]):
    """Shows the newest page on the terminal's second screen.

    - `show` stores the page and returns; it never draws and never waits.
    - If drawing fails it is logged once, the terminal is restored and `show` says so from then
      on: plain lines follow, the night goes on.
    - Log lines meant for the terminal wait until it is free again; the newest warning is shown.
    """

    def __init__(
        self, console: Console, clock: Clock, timezone: tzinfo | None, share: float = 0.2
    ) -> None:
        self._console = console
        self._clock = clock
        self._look = Look.of(console, timezone)
        self._pacer = FramePacer(clock, share)
        self._log = HeldLog()
        self._live: Live | None = None
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._failed = False
        self._page: PageT | None = None  # replaced whole: never half an update
        self._notice_seen = 0
        self._notice_until_s = 0.0
        self.frames = 0

    def __enter__(self) -> Self:
        self._log.hold()
        try:
            self._live = Live(
                console=self._console,
                screen=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
            self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)
            self._thread.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def show(self, page: PageT) -> bool:
        """Show ``page`` from the next frame on; False once drawing has failed."""
        if self._failed:
            return False
        if page != self._page:
            self._page = page
            self._wake.set()
        return True

    def skip(self, page: PageT) -> None:
        """Plain lines follow, and ``page`` was seen: called once, when drawing has failed."""

    def close(self) -> None:
        """Stop drawing, then restore the terminal, then let held log lines out: in this order,
        so that nothing is written to a screen that is about to vanish."""
        self._stopping = True
        self._wake.set()
        thread, self._thread = self._thread, None
        try:
            if thread is not None:
                thread.join(_JOIN_S)
        finally:
            # A terminal that has been stopped (Ctrl-S) holds the thread in mid-frame; to write to
            # it here would hold the end of the night as well.
            if thread is None or not thread.is_alive():
                self._restore()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(_POLL_S)
            self._wake.clear()
            try:
                self._draw_if_due()
            except (Exception, SystemExit) as error:  # rich leaves a closed pipe by SystemExit
                self._fail(error)
                return

    def _draw_if_due(self) -> None:
        page = self._page
        if page is None or self._live is None:
            return
        moment = Moment(self._clock.monotonic_s(), self._clock.utc())
        notice = self._notice(moment)
        width, height = self._console.size
        if self._pacer.due((page, page.tick(moment), width, height, notice)):
            frame = page.draw(width, height, self._look, moment, notice)
            self._live.update(frame, refresh=True)
            self._pacer.done()
            self.frames += 1

    def _notice(self, moment: Moment) -> str | None:
        if self._log.count != self._notice_seen:
            self._notice_seen = self._log.count
            self._notice_until_s = moment.monotonic_s + _NOTICE_S
        return self._log.newest if moment.monotonic_s < self._notice_until_s else None

    def _fail(self, error: BaseException) -> None:
        self._restore()
        logger.error(
            "The dashboard could not draw and is off; the night goes on in plain lines",
            exc_info=error,
        )
        if self._page is not None:
            # What the screen has shown so far is not repeated line by line.
            self.skip(self._page)
        self._failed = True

    def _restore(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            try:
                live.stop()
            except (Exception, SystemExit) as error:
                logger.warning("The terminal could not be restored: %s", error)
            self._log.give_back()
