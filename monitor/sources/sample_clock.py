"""Smooth the times of samples whose stamps jitter.

A headband samples evenly, by a crystal that is off by some parts per million. Its stamps are worse:
packets share a stamp, or stamps are taken on arrival over Bluetooth, milliseconds late. So the
stamps only steer a line (`FittedLine`), and a sample gets the line's time at its number. The number
counts lost samples too. Some devices send it; for the others it follows from the stamps.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from monitor.sources.fitted_line import EXPECTED_JITTER_S, FittedLine
from monitor.sources.stamp_window import StampWindow
from monitor.types import F64

CLEAN_AFTER_S = 5.0
CLEAN_PERIODS = 0.3
"""Stamps are clean once they were a period apart, within `CLEAN_PERIODS`, for `CLEAN_AFTER_S`."""

UNEVEN_COST = 8
"""Even steps that one uneven step cancels. A lost or repeated packet makes one uneven step, and may
happen all night; many uneven steps mean that the samples of a packet share a stamp."""

STEP_JITTERS = 3.0
STEP_MIN_PERIODS = 2.0
STEP_STAYS_S = 0.25
"""Jittery stamps have stepped if their mean over `STEP_STAYS_S` lies off the line by more than
`STEP_JITTERS` mean jitters and `STEP_MIN_PERIODS`. Without a step, the mean of a quarter second is
off by at most 0.2 jitters for single stamps, and 0.6 for packets."""

STEER_JITTERS = 2.0
"""A stamp steers the line by no more than this. A stamp further off means that samples were lost,
and contains no information on the rate."""

OUTLIER_JITTERS = 8.0
"""A stamp this far from the ones before is no jitter: samples were lost, or came late."""

LONG_GAP_S = 1.0
"""After a longer gap the line starts anew at the stamps; only its rate is kept."""

LATE_S = 0.5
"""A clean stamp further back than this is no sample that was overtaken: the clock stepped."""

SLEW = 0.1
"""After a correction, times approach the line by at most this part of a period each sample, so that
there is no gap and no repeat."""

CROWDED = 1.3
"""If more samples than this factor allows came in a time, they are a backlog that arrived at once:
their stamps are late, and no step happened."""


class SampleClock:
    """Smooth times for samples that a jittery or drifting clock has stamped; gaps stay.

    - Times rise by one period within `SLEW`. Over a gap they rise by whole periods more (after
      `LONG_GAP_S` by any amount). Samples that came twice or late get the times of their places.
    - Times are always finite.
    - The times are the same, bit for bit, however the samples are cut into chunks.

    It runs sample by sample (3 us each): each step depends on the one before, and a chunk holds
    only a dozen samples.
    """

    def __init__(self, sfreq_hz: float) -> None:
        self._line = FittedLine(sfreq_hz)
        self._clean_after = CLEAN_AFTER_S * sfreq_hz
        self._jitter_s = EXPECTED_JITTER_S  # mean distance of the stamps from the line
        self._even = 0.0  # even steps from stamp to stamp, up to twice _clean_after
        self._stamp_s = math.nan  # of the newest sample
        self._started = False
        # Times are kept relative to this one: added to unix seconds, a period would be rounded by
        # 30 ppm.
        self._origin_s: float | None = None
        self._number: int | None = None  # the device's number of the newest sample
        self._time_s = -math.inf  # the time of the newest sample
        self._window = StampWindow()
        self._newest_stamp_s = math.nan

    @property
    def rate_hz(self) -> float:
        """The true rate as far as it is known now."""
        return 1.0 / self._line.period_s

    @property
    def ahead_s(self) -> float:
        """Seconds by which the newest time is ahead of its stamp; 0 if either is unknown."""
        ahead_s = self._time_s - self._newest_stamp_s
        return ahead_s if math.isfinite(ahead_s) else 0.0

    def restart(self) -> None:
        """Keep the rate and forget the phase: the device was away, or its clock was set."""
        self._started = False

    def smooth(self, stamps_s: F64, index: npt.NDArray[np.int64] | None = None) -> F64:
        """Return the times (n,) of samples with ``stamps_s`` (n,), in order of arrival.

        ``index`` (n,) is the device's own sample number, lost samples included; without it, the
        stamps show the losses. A sample whose stamp is not finite lies on the line.
        """
        if not self._started and stamps_s.size and not math.isfinite(stamps_s[0]):
            stamps_s = _with_finite_start(stamps_s, index, self._line.period_s)
        if self._origin_s is None:
            known = stamps_s[np.isfinite(stamps_s)]
            self._origin_s = float(known[0]) if known.size else 0.0
        stamps = (stamps_s - self._origin_s).tolist()
        numbers = [None] * stamps_s.size if index is None else index.tolist()
        times = [self._place(stamp_s, n) for stamp_s, n in zip(stamps, numbers, strict=True)]
        if stamps:
            self._newest_stamp_s = stamps[-1]
        return np.array(times) + self._origin_s

    def _place(self, stamp_s: float, number: int | None) -> float:
        """Return the time of the next sample to arrive."""
        step = 1
        if number is not None:
            step = 1 if self._number is None else number - self._number
            if step <= 0 and self._started:
                return self._time_s + step * self._line.period_s
            self._number = number
        if not self._started:
            return self._start(stamp_s)
        off_s = stamp_s - self._line.time_s - step * self._line.period_s
        if not math.isfinite(off_s):
            self._line.advance(step)
            return self._approach(step)
        if number is not None:
            if step * self._line.period_s > LONG_GAP_S:
                return self._start(stamp_s)
            return self._follow(stamp_s, off_s, step)
        return self._place_by_stamp(stamp_s, off_s)

    def _place_by_stamp(self, stamp_s: float, off_s: float) -> float:
        """Return the time of a sample without a number, whose stamp lies ``off_s`` off the line."""
        step = 1
        were_clean, clean = self._clean, self._judge_step(stamp_s)
        near_s = CLEAN_PERIODS * self._line.period_s
        if clean and not were_clean and abs(off_s) > near_s:
            # Samples that were lost until now have pulled at the line: fit it anew.
            self._line.forget_rate()
            return self._start(stamp_s)
        if off_s > LONG_GAP_S:
            return self._start(stamp_s)
        if clean and off_s > -LATE_S:
            away = round(off_s / self._line.period_s)
            if abs(off_s - away * self._line.period_s) < near_s:
                step += away
                off_s -= away * self._line.period_s
                if step <= 0:
                    return self._time_s + step * self._line.period_s
        return self._follow(stamp_s, off_s, step)

    @property
    def _clean(self) -> bool:
        return self._even >= self._clean_after

    def _judge_step(self, stamp_s: float) -> bool:
        """Return True if the stamps are clean, counting the step from the stamp before to this one.

        Clean stamps are one period apart, now and then several whole periods, and never anything
        else.
        """
        periods = (stamp_s - self._stamp_s) / self._line.period_s
        self._stamp_s = stamp_s
        if not math.isfinite(periods) or abs(periods - round(periods)) >= CLEAN_PERIODS:
            self._even = 0.0
        elif round(periods) == 1:
            self._even = min(self._even + 1.0, 2.0 * self._clean_after)
        else:
            self._even = max(self._even - UNEVEN_COST, 0.0)
        return self._clean

    def _start(self, stamp_s: float) -> float:
        """Begin the line at a sample, but never before the time that the last sample received."""
        period_s = self._line.period_s
        begin_s = stamp_s if math.isfinite(stamp_s) else self._line.time_s + period_s
        self._line.start(begin_s)
        self._time_s = max(begin_s, self._time_s + period_s)
        self._window = StampWindow()
        self._started = True
        return self._time_s

    def _follow(self, stamp_s: float, off_s: float, step: int) -> float:
        """Move on by ``step`` samples and let the stamp, ``off_s`` off the line there, steer."""
        line = self._line
        least_s = STEP_MIN_PERIODS * line.period_s
        outlier_s = max(OUTLIER_JITTERS * self._jitter_s, least_s)
        apart_s = self._window.add(stamp_s, off_s, outlier_s)
        self._jitter_s += (apart_s - self._jitter_s) / self._clean_after
        if self._window.whole:
            # The stamps may have stepped: they do not steer until that is decided.
            line.advance(step)
        else:
            near_s = max(STEER_JITTERS * self._jitter_s, line.period_s)
            line.steer(min(max(off_s, -near_s), near_s), step)
        window, span_s = self._window, stamp_s - self._window.since_s
        if span_s >= STEP_STAYS_S:
            crowded = window.count * line.period_s > CROWDED * span_s
            least_s = max(STEP_JITTERS * self._jitter_s, least_s)
            stepped = not crowded and abs(window.mean_s) > least_s
            if stepped and window.whole:
                self._window = StampWindow()
                return self._move(window, step)
            # A step in mid-window shows in a mean that is too small: measure it in the next window.
            self._window = StampWindow(whole=stepped or (crowded and window.whole))
        return self._approach(step)

    def _move(self, window: StampWindow, step: int) -> float:
        """Move the line to stamps that have stepped, ``step`` samples after the last one.

        Ahead, samples were lost, and the times jump by whole periods. Back, the times only approach
        the line: those that were returned stay.
        """
        self._line.shift(window.mean_s, window.count)
        lost = max(0, round(window.mean_s / self._line.period_s))
        return self._approach(step + lost)

    def _approach(self, step: int) -> float:
        """Return the time ``step`` samples after the last one, moved towards the line by `SLEW`."""
        straight_s = self._time_s + step * self._line.period_s
        slew_s = SLEW * self._line.period_s
        self._time_s = straight_s + min(max(self._line.time_s - straight_s, -slew_s), slew_s)
        return self._time_s


def _with_finite_start(stamps_s: F64, index: npt.NDArray[np.int64] | None, period_s: float) -> F64:
    """Return the stamps with a finite first one, counted back from the first that is finite.

    If none is finite, the stamps are returned as they are.
    """
    known = np.flatnonzero(np.isfinite(stamps_s))
    if not known.size:
        return stamps_s
    first = int(known[0])
    back = first if index is None else int(index[first] - index[0])
    return np.concatenate([[stamps_s[first] - back * period_s], stamps_s[1:]])
