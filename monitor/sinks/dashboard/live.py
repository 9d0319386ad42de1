"""Keeps the picture on the screen up to date: `Dashboard`, and `night_view` to choose a view."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta, tzinfo
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from monitor.clock import Clock, SystemClock
from monitor.night.state import NightState
from monitor.sinks.dashboard.layout import render
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.quiet import HeldLog
from monitor.sinks.log import NightView, PlainLog

logger = logging.getLogger(__name__)

MIN_INTERVAL_S = 0.2
"""At most five frames a second."""

_SHARE_OF_CPU = 0.2
_NOTICE_S = 15.0
_POLL_S = 0.05
_JOIN_S = 5.0


class FramePacer:
    """Decides when a frame is due: something changed, and the last frame is long enough ago.

    Frames that take long come less often, so that drawing takes a fifth of one core at most.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
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
        interval_s = max(MIN_INTERVAL_S, cost_s / _SHARE_OF_CPU)
        self._earliest_s = self._began_s + interval_s


class Dashboard:
    """The night on the terminal's second screen, drawn by a thread of its own.

    - `update` stores the newest snapshot and returns; it never draws and never waits.
    - If drawing fails it is logged once, the terminal is restored and plain lines follow: the
      night goes on.
    - Log lines meant for the terminal wait until it is free again; the newest warning is shown.
    - ``told``: where plain lines would begin, see `PlainLog`.
    """

    def __init__(
        self,
        console: Console,
        clock: Clock | None = None,
        *,
        timezone: tzinfo | None = None,
        told: NightState | None = None,
    ) -> None:
        self._console = console
        self._clock = clock or SystemClock()
        self._look = Look.of(console, timezone)
        self._pacer = FramePacer(self._clock)
        self._log = HeldLog()
        self._plain = PlainLog(console.file, timezone=timezone, told=told)
        self._live: Live | None = None
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._failed = False
        # One tuple, replaced whole: the drawing thread never sees half an update.
        self._newest: tuple[NightState, float] | None = None
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

    def update(self, state: NightState) -> None:
        """Show ``state`` from the next frame on."""
        if self._failed:
            self._plain.update(state)
            return
        self._newest = (state, self._clock.monotonic_s())
        self._wake.set()

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
        if self._newest is None or self._live is None:
            return
        state, seen_s = self._newest
        now = self._now(state, seen_s)
        notice = self._notice()
        width, height = self._console.size
        if self._pacer.due((id(state), seen_s, now.replace(microsecond=0), width, height, notice)):
            frame = render(state, width, height, self._look, now=now, notice=notice)
            self._live.update(frame, refresh=True)
            self._pacer.done()
            self.frames += 1

    def _now(self, state: NightState, seen_s: float) -> datetime:
        """A live source's clock goes on between snapshots; a recording's does not."""
        if state.speed is not None or state.ended:
            return state.clock_utc
        return state.clock_utc + timedelta(seconds=self._clock.monotonic_s() - seen_s)

    def _notice(self) -> str | None:
        now_s = self._clock.monotonic_s()
        if self._log.count != self._notice_seen:
            self._notice_seen = self._log.count
            self._notice_until_s = now_s + _NOTICE_S
        return self._log.newest if now_s < self._notice_until_s else None

    def _fail(self, error: BaseException) -> None:
        self._restore()
        logger.error(
            "The dashboard could not draw and is off; the night goes on in plain lines",
            exc_info=error,
        )
        if self._newest is not None:
            # What the screen has shown so far is not repeated line by line.
            self._plain.skip(self._newest[0])
        self._failed = True

    def _restore(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            try:
                live.stop()
            except (Exception, SystemExit) as error:
                logger.warning("The terminal could not be restored: %s", error)
            self._log.give_back()


def night_view(
    console: Console,
    clock: Clock | None = None,
    *,
    plain: bool = False,
    timezone: tzinfo | None = None,
    told: NightState | None = None,
) -> NightView:
    """A `Dashboard` where ``console`` is a terminal that can show one, a `PlainLog` elsewhere."""
    if plain or not console.is_terminal or console.is_dumb_terminal:
        return PlainLog(console.file, timezone=timezone, told=told)
    return Dashboard(console, clock, timezone=timezone, told=told)
