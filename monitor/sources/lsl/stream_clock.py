"""Map the stamps of an LSL stream, made by any clock, to times on the timeline."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable

import numpy as np

from monitor.clock import Timeline
from monitor.errors import InputError
from monitor.types import F64

_log = logging.getLogger(__name__)

SAME_CLOCK_S = 5.0
"""Stamps this close to LSL's clock were made by it."""

STEP_S = 2.0
"""If stamps go back by more, or jump into the future by more, their clock was set."""

PAUSE_S = 0.25
"""If samples of a clock that was set come within this time after the samples before, they follow
them without a gap. They are late by the delivery of a few packets at most."""

SUSPENDED_S = 0.1
"""LSL's clock stands still while Linux is suspended. A smaller difference is an error of
measurement."""

CLOSE_READING_S = 0.001
"""Two clocks that are read within this time count as read at the same time."""

EARLIEST_S, LATEST_S = 60.0, 24 * 3600.0
"""The offset of an earlier run is used again only if it places the first sample no further than
this before now, or after now. No sample may be further in the future."""


class StreamClock:
    """The map from stamps to times: ``stamp + offset_s``.

    - A stream on LSL's clock (``shared``) is placed exactly.
    - A stream on any other clock is placed by the arrival of its first samples, or as in an earlier
      run of the night (``offset_s``).
    - If that clock is set, the stream is placed anew: its samples follow those before without a gap
      or, after a pause, by their arrival.
    - A sender may send samples before their time, as one that plays a recording fast does. The log
      says so once.

    ``lsl_now`` reads LSL's clock. ``period_s`` must be set before the first call of `map`.
    """

    def __init__(
        self, timeline: Timeline, lsl_now: Callable[[], float], offset_s: float | None
    ) -> None:
        self._timeline = timeline
        self._lsl_now = lsl_now
        self.offset_s = offset_s
        self.shared = False
        self.period_s = 0.0
        self.untimed = 0  # samples dropped so far, because no stamp has come yet
        self._timed = False
        self._anchored = False
        self._last_s = -np.inf  # the time of the newest sample
        self._was_now = False  # True if that time was about now when the sample came
        self._ahead = False  # True once the log has said that samples come before their time

    def forget(self) -> None:
        """Expect another clock: the stream was opened anew, or its clock was reset."""
        self._anchored = self._timed = False

    def skip(self, stamps_s: F64) -> int:
        """Return how many of the first samples to drop, because they have no time.

        Before the first stamp of a clock, nothing shows when samples were taken. ``untimed`` counts
        the dropped samples until a stamp comes.
        """
        if self._timed:
            return 0
        known = np.flatnonzero(np.isfinite(stamps_s))
        first = int(known[0]) if known.size else stamps_s.size
        self.untimed += first
        if known.size:
            self._timed = True
            if self.untimed:
                _log.warning("%d samples without a time were dropped", self.untimed)
            self.untimed = 0
        return first

    def follow_suspension(self) -> None:
        """Correct the offset if this machine was suspended: meanwhile LSL's clock stood still."""
        if self._anchored and self.shared and self.offset_s is not None:
            offset_s = self._shared_offset_s()
            if abs(offset_s - self.offset_s) > SUSPENDED_S:
                _log.warning(
                    "The machine was suspended for %.1f s; the night continues after this gap",
                    offset_s - self.offset_s,
                )
                self.offset_s = offset_s

    def anchor(self, stamps_s: F64, keep: bool = True) -> None:
        """Place the clock of ``stamps_s`` (n,), whose samples came just now.

        With ``keep``, the offset so far is kept if it is still plausible; without it, the clock was
        set, and the offset is certainly wrong.
        """
        now_s, shared_s = self._timeline.now_s(), self._shared_offset_s()
        lsl_now_s = now_s - shared_s
        known_s = stamps_s[np.isfinite(stamps_s)]
        first_s, newest_s = (known_s[0], known_s[-1]) if known_s.size else (lsl_now_s, lsl_now_s)
        before_s = self.offset_s
        # The first sample may have waited in a buffer, and the newest may be ahead of time, so one
        # of them must fit. A clock that was just set is trusted less: both must.
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
            # Deliveries that overlap look like a clock that is set back again and again. Their
            # samples must not follow one another into the future.
            future = self._was_now and following_s - arrived_s > STEP_S
            self.offset_s = float(arrived_s if paused or future else following_s)
        if before_s is not None and self.offset_s is not None:
            moved_s = self.offset_s - before_s
            if abs(moved_s) > SUSPENDED_S:
                _log.warning(
                    "The LSL stream's clock jumped by %+.0f s: from here on the times of its "
                    "samples follow from their arrival, and no epoch moves",
                    -moved_s,
                )
        self._anchored = True

    def map(self, stamps_s: F64) -> list[tuple[F64, bool]]:
        """Return the times of ``stamps_s`` (n,) in parts, cut where the clock was set.

        Each part is (times (n_part,), True if the clock was set just before it). Raises
        `InputError` for times that are more than `LATEST_S` in the future.
        """
        restarted = not self._anchored
        if restarted:
            self.anchor(stamps_s)
        assert self.offset_s is not None
        now_s = self._timeline.now_s()
        times_s = stamps_s + self.offset_s
        before_s = np.concatenate([[self._last_s], times_s[:-1]])
        # The usual case: nothing stepped.
        if not restarted and np.abs(times_s - before_s).max() < STEP_S:
            self._note_newest(times_s, now_s)
            return [(times_s, False)]
        # A sender may be ahead of time all the night; it may not jump from now into the future.
        was_now = np.abs(before_s - now_s) < SAME_CLOCK_S
        was_now[:1] = self._was_now
        jumps = (times_s - before_s > STEP_S) & (times_s > now_s + STEP_S) & was_now
        cuts = np.flatnonzero((times_s - before_s < -STEP_S) | jumps)
        if restarted:
            cuts = cuts[cuts > 0]
        parts = []
        for start, stop in itertools.pairwise([*sorted({0, *cuts.tolist()}), stamps_s.size]):
            if start in cuts:
                self.anchor(stamps_s[start:], keep=False)
            part_s = stamps_s[start:stop] + self.offset_s
            parts.append((part_s, restarted or start in cuts))
            known_s = part_s[np.isfinite(part_s)]
            if known_s.size:
                self._note_newest(known_s, now_s)
            restarted = False
        return parts

    def _note_newest(self, times_s: F64, now_s: float) -> None:
        self._last_s = float(times_s[-1])
        ahead_s = self._last_s - now_s
        self._was_now = abs(ahead_s) < SAME_CLOCK_S
        if ahead_s > LATEST_S:
            raise InputError(
                f"the LSL stream's samples are more than {LATEST_S / 3600:.0f} h ahead of this "
                "computer's clock: correct the clock or the rate in the sender"
            )
        if ahead_s > STEP_S and not self._ahead:
            self._ahead = True
            _log.warning(
                "The LSL stream's samples are stamped %.0f s ahead of this computer's clock, so "
                "its epochs are staged before their time: correct the clock or the rate in the "
                "sender",
                ahead_s,
            )

    def _shared_offset_s(self) -> float:
        """Return the timeline minus LSL's clock, by the closest of a few readings.

        Between the readings of two clocks, a busy machine may run something else for longer than
        `SUSPENDED_S`.
        """
        readings = []
        for _ in range(5):
            before_s = self._timeline.now_s()
            lsl_s = self._lsl_now()
            after_s = self._timeline.now_s()
            readings.append((after_s - before_s, (before_s + after_s) / 2 - lsl_s))
            if after_s - before_s < CLOSE_READING_S:
                break
        return min(readings)[1]
