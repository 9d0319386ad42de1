"""The clock that an LSL stream is stamped by, and where it lies in the time of the session."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable

import numpy as np

from monitor.clock import Timeline
from monitor.types import F64

log = logging.getLogger(__name__)

SAME_CLOCK_S = 5.0
"""Stamps this close to LSL's clock are on it."""

STEP_S = 2.0
"""Stamps that go back by more, or leap into the future by more, come from a clock that was set."""

PAUSE_S = 0.25
"""Samples of a clock that was set, which came within so long after those before, follow them
without a gap: what they are late is delivery, of some packets at most."""

SUSPENDED_S = 0.1
"""LSL's clock stands still while Linux is suspended. A difference of less is measurement."""

CLOSE_READING_S = 0.001
"""Two clocks that are read within so long are read at once."""

EARLIEST_S, LATEST_S = 60.0, 24 * 3600.0
"""How far from now a clock's offset of earlier may place its samples and still be believed."""


class StreamClock:
    """From stamps to session time: ``stamp + offset_s``.

    A stream on LSL's clock is placed exactly. Any other clock is placed by when its first samples
    arrived, or where an earlier run placed it. A clock that was set is placed anew: on from what
    came already, or if there was a pause, by arrival again.
    """

    def __init__(
        self, timeline: Timeline, lsl_now: Callable[[], float], offset_s: float | None
    ) -> None:
        self._timeline = timeline
        self._lsl_now = lsl_now
        self.offset_s = offset_s
        self.shared = False
        self.period_s = 0.0
        self.untimed = 0  # samples left out, as no stamp has come yet
        self._timed = False
        self._anchored = False
        self._last_s = -np.inf  # session time of the newest sample
        self._was_now = False  # whether that was about now when it came

    def forget(self) -> None:
        """The stamps may come from another clock now."""
        self._anchored = self._timed = False

    def skip(self, stamps_s: F64) -> int:
        """How many samples to leave out, as no stamp of this clock came before them nor with them:
        nothing tells when they were taken. ``untimed`` counts them until one comes."""
        if self._timed:
            return 0
        known = np.flatnonzero(np.isfinite(stamps_s))
        first = int(known[0]) if known.size else stamps_s.size
        self.untimed += first
        if known.size:
            self._timed = True
            if self.untimed:
                log.warning("%d samples without a time were left out", self.untimed)
            self.untimed = 0
        return first

    def follow_suspension(self) -> None:
        """The session's time went on while this machine slept; LSL's did not."""
        if self._anchored and self.shared and self.offset_s is not None:
            offset_s = self._shared_offset_s()
            if abs(offset_s - self.offset_s) > SUSPENDED_S:
                log.warning(
                    "the machine was suspended for %.1f s; times go on after it",
                    offset_s - self.offset_s,
                )
                self.offset_s = offset_s

    def anchor(self, stamps_s: F64, keep: bool = True) -> None:
        """Place the clock of ``stamps_s`` (n,), which came just now; where it was if that may be
        right still, unless told not to ``keep`` it."""
        now_s, shared_s = self._timeline.now_s(), self._shared_offset_s()
        lsl_now_s = now_s - shared_s
        known_s = stamps_s[np.isfinite(stamps_s)]
        first_s, newest_s = (known_s[0], known_s[-1]) if known_s.size else (lsl_now_s, lsl_now_s)
        before_s = self.offset_s
        # The first may have waited for us, the newest may run ahead; a clock just set is suspect.
        away_s = np.abs(np.array([first_s, newest_s]) - lsl_now_s)
        same = away_s.min() < SAME_CLOCK_S if keep else away_s.max() < STEP_S
        self.shared = bool(same and first_s + shared_s > self._last_s - STEP_S)
        if self.shared:
            self.offset_s = shared_s
        elif before_s is None or not (
            keep and max(now_s - EARLIEST_S, self._last_s) <= first_s + before_s <= now_s + LATEST_S
        ):
            arrived_s, following_s = now_s - newest_s, self._last_s + self.period_s - first_s
            paused = arrived_s - following_s > PAUSE_S
            self.offset_s = float(arrived_s if paused else following_s)
        if before_s is not None and self.offset_s is not None:
            moved_s = self.offset_s - before_s
            if abs(moved_s) > SUSPENDED_S:
                log.warning(
                    "The LSL stream's clock jumped by %+.0f s: its samples are timed by their "
                    "arrival from here on, and no epoch moves",
                    -moved_s,
                )
        self._anchored = True

    def map(self, stamps_s: F64) -> list[tuple[F64, bool]]:
        """Session times of ``stamps_s`` (n,), cut where the clock was set (True: just before)."""
        restarted = not self._anchored
        if restarted:
            self.anchor(stamps_s)
        assert self.offset_s is not None
        now_s = self._timeline.now_s()
        times_s = stamps_s + self.offset_s
        before_s = np.concatenate([[self._last_s], times_s[:-1]])
        if not restarted and np.abs(times_s - before_s).max() < STEP_S:
            self._last_s = float(times_s[-1])
            self._was_now = abs(self._last_s - now_s) < SAME_CLOCK_S
            return [(times_s, False)]
        # A sender may run ahead all the time; it may not leap from now into the future.
        was_now = np.abs(before_s - now_s) < SAME_CLOCK_S
        was_now[:1] = self._was_now
        leaps = (times_s - before_s > STEP_S) & (times_s > now_s + STEP_S) & was_now
        cuts = np.flatnonzero((times_s - before_s < -STEP_S) | leaps)
        if restarted:
            cuts = cuts[cuts > 0]
        mapped = []
        for start, stop in itertools.pairwise([*sorted({0, *cuts.tolist()}), stamps_s.size]):
            if start in cuts:
                self.anchor(stamps_s[start:], keep=False)
            part_s = stamps_s[start:stop] + self.offset_s
            mapped.append((part_s, restarted or start in cuts))
            known_s = part_s[np.isfinite(part_s)]
            if known_s.size:
                self._last_s = float(known_s[-1])
                self._was_now = abs(self._last_s - now_s) < SAME_CLOCK_S
            restarted = False
        return mapped

    def _shared_offset_s(self) -> float:
        """Session time minus LSL's clock, as of the closest of a few readings: between two clocks
        a busy machine may do something else for longer than `SUSPENDED_S`."""
        readings = []
        for _ in range(5):
            before_s = self._timeline.now_s()
            lsl_s = self._lsl_now()
            after_s = self._timeline.now_s()
            readings.append((after_s - before_s, (before_s + after_s) / 2 - lsl_s))
            if after_s - before_s < CLOSE_READING_S:
                break
        return min(readings)[1]
