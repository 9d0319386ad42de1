"""Times for samples whose stamps jitter: a line through the stamps, followed all night.

A headband samples evenly, by a crystal that is off by some parts per million. What it is stamped
with is worse: packets that share a stamp, stamps taken on arrival over Bluetooth, milliseconds.
So the stamps only steer a line, time = phase + number * period, and a sample gets the line's time
at its number. The number counts lost samples too; where the device does not tell it, the stamps do.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from monitor.types import F64

MEMORY_S = 30.0
"""How far back the line looks (time constant). White jitter of 10 ms at 256 Hz leaves 0.13 ms;
a crystal that warms up (10 ppm an hour) is followed to some microseconds."""

RATE_DOUBT = 0.005
"""How far off a nominal rate may be, as a standard deviation: a "256 Hz" Muse was seen at 255."""

RATE_RANGE = 0.02
"""The rate never leaves nominal by more: what looks like it is samples that are missing."""

JITTER_AT_FIRST_S = 0.01
"""Mean jitter that is expected before any was seen, as of stamps taken on arrival by Bluetooth."""

CLEAN_AFTER_S = 5.0
"""Stamps are clean once so long of them came a period apart, within `CLEAN_PERIODS`."""

CLEAN_PERIODS = 0.3
UNEVEN_COST = 8
"""Even steps that one uneven step takes back: a lost packet, or one sent twice, is one, and may
happen all the time; many are no accident, but stamps that are shared by a packet."""

STEP_JITTERS = 3.0
STEP_MIN_PERIODS = 2.0
STEP_STAYS_S = 0.25
"""Jittery stamps have stepped if the mean of so long lies off the line by so many mean jitters: the
mean of a quarter second is off by 0.2 of them at most for single stamps, by 0.6 for packets."""

STEER_JITTERS = 2.0
"""A stamp steers by no more: one that is far off says that something was lost, not how fast the
device is."""

OUTLIER_JITTERS = 8.0
"""A stamp this far from those before it is no jitter: something happened here."""

LONG_GAP_S = 1.0
"""After a gap of more, the line starts afresh where the stamps are; only its rate is kept."""

LATE_S = 0.5
"""A clean stamp further behind than this is no sample that was overtaken: the clock stepped."""

SLEW = 0.1
"""Times approach a line that moved by so much of a period each sample: no gap, no repeat."""


CROWDED = 1.3
"""More samples in a time than so many times what it holds: a backlog that came at once. Its stamps
are late, and nothing stepped."""


class SampleClock:
    """Smooth times, and gaps as they were, for samples stamped by a jittery or drifting clock.

    - Times rise by one period within `SLEW`, except over a gap, where they rise by whole periods
      more (by anything after `LONG_GAP_S`), and for samples sent twice or late, which get the
      times of their places. Always finite.
    - The same, bit for bit, however the samples are cut into chunks.

    A recursive least-squares fit with forgetting. It runs sample by sample (2 us each): each step
    depends on the one before, and chunks are a dozen samples.
    """

    def __init__(self, sfreq_hz: float) -> None:
        self._nominal_s = self._period_s = 1.0 / sfreq_hz
        self._forget = 1.0 / (MEMORY_S * sfreq_hz)
        self._clean_after = CLEAN_AFTER_S * sfreq_hz
        # Covariance of phase and period, in units of a stamp's variance.
        self._var_phase, self._cov = 1.0, 0.0
        self._rate_doubt = (RATE_DOUBT * self._period_s / JITTER_AT_FIRST_S) ** 2
        self._var_period = self._rate_doubt
        self._jitter_s = JITTER_AT_FIRST_S  # mean distance of stamps from the line
        self._even = 0.0  # even steps from stamp to stamp, up to twice _clean_after
        self._stamp_s = math.nan  # the newest
        self._started = False
        # Times are kept from here: added to unix seconds, periods would be rounded by 30 ppm.
        self._origin_s: float | None = None
        self._number: int | None = None  # the device's number of the newest sample
        self._line_s = 0.0  # the line at the newest sample
        self._time_s = -math.inf  # the time it was given
        self._window = _Window()

    @property
    def rate_hz(self) -> float:
        """The true rate, as far as it is known now."""
        return 1.0 / self._period_s

    def restart(self) -> None:
        """The device was away, or its clock was set: keep the rate, take the phase anew."""
        self._started = False

    def smooth(self, stamps_s: F64, index: npt.NDArray[np.int64] | None = None) -> F64:
        """Times (n,) of samples stamped ``stamps_s`` (n,), in the order they arrived.

        ``index`` (n,) counts samples as the device does, lost ones included; without it the stamps
        tell. A stamp that is not finite is taken to lie on the line.
        """
        if not self._started and stamps_s.size and not math.isfinite(stamps_s[0]):
            stamps_s = _begin_at_a_stamp(stamps_s, index, self._period_s)
        if self._origin_s is None:
            known = stamps_s[np.isfinite(stamps_s)]
            self._origin_s = float(known[0]) if known.size else 0.0
        stamps = (stamps_s - self._origin_s).tolist()
        numbers = [None] * stamps_s.size if index is None else index.tolist()
        times = [self._place(stamp_s, n) for stamp_s, n in zip(stamps, numbers, strict=True)]
        return np.array(times) + self._origin_s

    def _place(self, stamp_s: float, number: int | None) -> float:
        """The time of the next sample to arrive."""
        step = 1
        if number is not None:
            step = 1 if self._number is None else number - self._number
            if step <= 0 and self._started:
                return self._time_s + step * self._period_s
            self._number = number
        if not self._started:
            return self._start(stamp_s)
        off_s = stamp_s - self._line_s - step * self._period_s
        if not math.isfinite(off_s):
            return self._advance(step)
        if number is None:
            were_clean, clean = self._clean, self._judge_step(stamp_s)
            near_s = CLEAN_PERIODS * self._period_s
            if clean and not were_clean and abs(off_s) > near_s:
                # What was lost until now has pulled at the line.
                self._period_s, self._var_period = self._nominal_s, self._rate_doubt
                return self._start(stamp_s)
            if off_s > LONG_GAP_S:
                return self._start(stamp_s)
            if clean and off_s > -LATE_S:
                away = round(off_s / self._period_s)
                if abs(off_s - away * self._period_s) < near_s:
                    step += away
                    off_s -= away * self._period_s
                    if step <= 0:
                        return self._time_s + step * self._period_s
        elif step * self._period_s > LONG_GAP_S:
            return self._start(stamp_s)
        return self._follow(stamp_s, off_s, step)

    @property
    def _clean(self) -> bool:
        return self._even >= self._clean_after

    def _judge_step(self, stamp_s: float) -> bool:
        """Whether stamps are clean, by how far this one is from the one before: a period; or whole
        periods, now and then; never anything else."""
        periods = (stamp_s - self._stamp_s) / self._period_s
        self._stamp_s = stamp_s
        if not math.isfinite(periods) or abs(periods - round(periods)) >= CLEAN_PERIODS:
            self._even = 0.0
        elif round(periods) == 1:
            self._even = min(self._even + 1.0, 2.0 * self._clean_after)
        else:
            self._even = max(self._even - UNEVEN_COST, 0.0)
        return self._clean

    def _start(self, stamp_s: float) -> float:
        """Begin the line at a sample, never before one that was given a time already."""
        begin_s = stamp_s if math.isfinite(stamp_s) else self._line_s + self._period_s
        self._line_s, self._time_s = begin_s, max(begin_s, self._time_s + self._period_s)
        self._var_phase, self._cov = 1.0, 0.0
        self._window = _Window()
        self._started = True
        return self._time_s

    def _follow(self, stamp_s: float, off_s: float, step: int) -> float:
        """Go ``step`` samples on, and let the stamp, ``off_s`` off the line there, steer."""
        least_s = STEP_MIN_PERIODS * self._period_s
        outlier_s = max(OUTLIER_JITTERS * self._jitter_s, least_s)
        apart_s = self._window.add(stamp_s, off_s, outlier_s)
        self._jitter_s += (apart_s - self._jitter_s) / self._clean_after
        if self._window.whole:
            self._line_s += step * self._period_s
        else:
            near_s = max(STEER_JITTERS * self._jitter_s, self._period_s)
            self._steer(min(max(off_s, -near_s), near_s), step)
        window, span_s = self._window, stamp_s - self._window.since_s
        if span_s >= STEP_STAYS_S:
            crowded = window.count * self._period_s > CROWDED * span_s
            least_s = max(STEP_JITTERS * self._jitter_s, least_s)
            stepped = not crowded and abs(window.mean_s) > least_s
            if stepped and window.whole:
                self._window = _Window()
                return self._move(window, step)
            # It stepped in mid-window, perhaps: then the next one is all on the other side.
            self._window = _Window(whole=stepped or (crowded and window.whole))
        return self._give(self._line_s, step)

    def _steer(self, off_s: float, step: int) -> None:
        """Least squares: what a stamp ``off_s`` off the line says of phase and period."""
        grow = 1.0 + step * self._forget
        a = (self._var_phase + step * (2.0 * self._cov + step * self._var_period)) * grow
        b = (self._cov + step * self._var_period) * grow
        c = self._var_period * grow
        self._var_phase, self._cov, self._var_period = a / (a + 1), b / (a + 1), c - b * b / (a + 1)
        self._line_s += step * self._period_s + self._var_phase * off_s
        period_s = self._period_s + self._cov * off_s
        range_s = RATE_RANGE * self._nominal_s
        self._period_s = min(max(period_s, self._nominal_s - range_s), self._nominal_s + range_s)

    def _move(self, window: _Window, step: int) -> float:
        """The stamps have stepped. Ahead: samples were lost. Behind: there is nothing to undo."""
        # The phase is as certain as the mean of the window; of the rate it says nothing.
        self._var_phase, self._cov = max(self._var_phase, 1.0 / window.count), 0.0
        self._line_s += window.mean_s
        lost = max(0, round(window.mean_s / self._period_s))
        return self._give(self._line_s, step + lost)

    def _advance(self, step: int) -> float:
        self._line_s += step * self._period_s
        return self._give(self._line_s, step)

    def _give(self, line_s: float, step: int) -> float:
        """The line's time, approached without a tear, ``step`` samples after the last one."""
        straight_s = self._time_s + step * self._period_s
        slew_s = SLEW * self._period_s
        self._time_s = straight_s + min(max(line_s - straight_s, -slew_s), slew_s)
        return self._time_s


class _Window:
    """How far stamps lie off the line on average, for a while.

    ``whole``: the line is known to have been left before it began, not in the middle of it.
    """

    __slots__ = ("count", "since_s", "sum_s", "whole")

    def __init__(self, whole: bool = False) -> None:
        self.whole = whole
        self.count = 0
        self.since_s = self.sum_s = 0.0

    @property
    def mean_s(self) -> float:
        return self.sum_s / self.count

    def add(self, stamp_s: float, off_s: float, outlier_s: float) -> float:
        """Take a stamp, ``off_s`` off the line; how far it is from the mean of those before. An
        outlier begins the window anew: a backlog that is being delivered does not stay, its
        stamps fall back towards the line."""
        apart_s = abs(off_s - self.mean_s) if self.count else 0.0
        if apart_s > outlier_s:
            self.whole, self.count, self.sum_s = True, 0, 0.0
        if not self.count:
            self.since_s = stamp_s
        self.count, self.sum_s = self.count + 1, self.sum_s + off_s
        return min(apart_s, outlier_s)


def _begin_at_a_stamp(stamps_s: F64, index: npt.NDArray[np.int64] | None, period_s: float) -> F64:
    """The first stamp made finite, if any is: by counting back from the first that is."""
    known = np.flatnonzero(np.isfinite(stamps_s))
    if not known.size:
        return stamps_s
    first = int(known[0])
    back = first if index is None else int(index[first] - index[0])
    return np.concatenate([[stamps_s[first] - back * period_s], stamps_s[1:]])
