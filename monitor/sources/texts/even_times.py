"""Even times for the samples of a file whose stamps jitter; gaps stay.

A live source must time a sample when it comes (`sample_clock.SampleClock`). A file shows what came
later, too: samples that come late after a stall are followed by samples that do not. So the times
follow the earliest stamps, and only a delay that stays is a loss. Arrays compute it: a night takes
a second instead of half a minute.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.sources.rate import settled_rate_hz
from monitor.types import F64

I64 = npt.NDArray[np.int64]

LATE_S = 10.0
"""Samples may come this late after a stall of the link, and still get their own times."""

SLOPE_S, SLOPES = 60.0, 9
"""Length of the pieces that the true rate is measured over: it is the median of their rates. A
short recording has at least `SLOPES` of them, since a piece with a loss shows a lower rate."""

MINUTES_AGREE = 0.002
"""The rates of half of the pieces differ by less than this, or the true rate is not known."""

RATE_RANGE = 0.02
"""The true rate stays this close to the rate of the recording, as in `FittedLine`."""

STEP_S = 0.25
"""A loss is a step of the earliest stamps within this time."""

STEP_PERIODS, STEP_JITTERS = 2.5, 1.5
"""The smallest loss: in periods, and in delays of the stamps. 95 % of the stamps come with a
smaller delay."""

KNOT_S = 10.0
"""Between points this far apart the clock of the samples runs evenly."""

PIECE_KNOTS = 60
"""A piece of ten minutes needs some megabytes; it is ten times as long as what it needs ahead."""

CREEP = 0.1
"""A correction shortens a period by this part at most, so that times always rise."""

SET_S = 2.0
"""If stamps go back by more, their clock was set. A single stamp that is off by more is damaged."""

HOUR_S, DAY_S = 3600.0, 86400.0

RATE_WINDOW_S, RATE_WINDOWS = 30.0, 9
"""The rate of a recording is the one that most of these windows show."""


@dataclass(frozen=True, slots=True, eq=False)
class EvenTimes:
    """The times of ``n`` samples, in seconds after the first sample; they rise.

    - ``begin_s``: the time of the first sample, in seconds after its stamp.
    - A sample's time is its place times the period, plus a correction that changes slowly. The
      place counts lost samples, too.
    - ``gap_starts`` (n_gaps,): the number of the first sample after each loss; ``lost`` (n_gaps,):
      the samples that were lost until then. Without the device's count this is a measured time,
      and no whole number.
    - ``knots`` (n_knots,) are places, ``corrections_s`` (n_knots,) the corrections there.
    """

    n: int
    begin_s: float
    period_s: float
    gap_starts: I64
    lost: F64
    knots: F64
    corrections_s: F64

    @property
    def gaps_s(self) -> F64:
        """The length of each loss, (n_gaps,)."""
        gaps_s: F64 = np.diff(self.lost, prepend=0.0) * self.period_s
        return gaps_s

    def at(self, start: int, stop: int) -> F64:
        """Return the times of the samples from number ``start`` to before ``stop``."""
        place = _places(np.arange(start, stop), self.gap_starts, self.lost)
        times_s: F64 = place * self.period_s + np.interp(place, self.knots, self.corrections_s)
        return times_s


def recorded_rate_hz(stamps_s: F64, nominal_hz: float) -> float | None:
    """Return the rate of samples with these rising stamps (n,), or None if they do not show it.

    It is ``nominal_hz`` (0: unknown) if the stamps agree, see `rate.settled_rate_hz`.
    """
    if not stamps_s.size or stamps_s[0] == stamps_s[-1]:
        return None
    last_s = max(stamps_s[0], stamps_s[-1] - RATE_WINDOW_S)
    found: Counter[float] = Counter()
    for begin_s in np.linspace(stamps_s[0], last_s, RATE_WINDOWS):
        window = np.searchsorted(stamps_s, [begin_s, begin_s + RATE_WINDOW_S])
        rate_hz = settled_rate_hz(spread(stamps_s[slice(*window)]), nominal_hz)
        found.update([rate_hz] if rate_hz else [])
    return found.most_common(1)[0][0] if found else None


def even_times(stamps_s: F64, sfreq_hz: float, lost: I64 | None = None) -> EvenTimes:
    """Place samples with these rising stamps (n,), whose rate is ``sfreq_hz`` within 2 %.

    ``lost`` (n,): the samples lost before each one, as the device counted them.
    """
    gap_starts = np.zeros(0, np.int64) if lost is None else np.flatnonzero(lost)
    gaps = np.zeros(0) if lost is None else lost[gap_starts].astype(np.float64)
    begin_s, n = float(stamps_s[0]), stamps_s.size
    stamps_s = spread(stamps_s)
    period_s = _true_period_s(stamps_s, gap_starts, np.cumsum(gaps), 1.0 / sfreq_hz)
    # A long night is placed piece by piece, each with the samples ahead that it needs.
    knot_n, step_n = (max(2, round(length_s / period_s)) for length_s in (KNOT_S, STEP_S))
    ahead_n = max(2, round(LATE_S / period_s))
    after, knots, corrections_s = 0, [], []
    for start in range(0, n, PIECE_KNOTS * knot_n):
        stop = min(start + PIECE_KNOTS * knot_n, n)
        numbers = np.arange(start, min(stop + 2 * step_n + ahead_n, n))
        places = _places(numbers, gap_starts, np.cumsum(gaps))
        off_s = stamps_s[numbers] - begin_s - places * period_s
        earliest_s = _minimum_ahead(off_s, ahead_n)
        late_s = float(np.quantile(off_s - earliest_s, 0.95))
        least_s = max(STEP_PERIODS * period_s, STEP_JITTERS * late_s)
        seen = slice(max(after - start, 0), stop - start + 2 * step_n)
        starts, steps_s, end = _steps(off_s[seen], earliest_s[seen], step_n, least_s, stop - start)
        after = start + (seen.start or 0) + end
        gap_starts = np.concatenate([gap_starts, starts + start + seen.start])
        order = np.argsort(gap_starts, kind="stable")
        gap_starts = gap_starts[order]
        gaps = np.concatenate([gaps, steps_s / period_s])[order]
        now = _places(numbers, gap_starts, np.cumsum(gaps))
        earliest_s -= (now - places) * period_s
        for at in range(0, stop - start, knot_n):
            piece = slice(at, min(at + knot_n, stop - start))
            knots.append(np.median(now[piece]))
            corrections_s.append(np.median(earliest_s[piece]))
    creep_s = CREEP * period_s * np.array(knots)
    risen_s = np.maximum.accumulate(corrections_s + creep_s) - creep_s
    return EvenTimes(
        n,
        float(risen_s[0]),
        period_s,
        gap_starts,
        np.cumsum(gaps),
        np.array(knots),
        risen_s - risen_s[0],
    )


def mended(stamps_s: F64, period_s: float, summer_time: bool = False) -> tuple[F64, int]:
    """Return stamps (n,) that rise, and how often their clock was set.

    A stamp that is missing (NaN), or alone more than `SET_S` before or after both neighbours, lies
    between these. After a step back, or of more than a day, samples follow without a gap. With
    ``summer_time`` the stamps are local times, and a step of an hour forward is no gap, either.
    Samples that overtook each other share a time.
    """
    stamps_s = stamps_s.copy()
    stamps_s[_alone(stamps_s)] = np.nan
    missing = np.flatnonzero(np.isnan(stamps_s))
    if 0 < missing.size < stamps_s.size:
        known = np.flatnonzero(np.isfinite(stamps_s))
        stamps_s[missing] = np.interp(missing, known, stamps_s[known])
    steps_s = np.diff(stamps_s)
    was_set = (steps_s < -SET_S) | (steps_s > DAY_S)
    if summer_time:
        was_set |= np.abs(steps_s - HOUR_S) < SET_S
    if was_set.any():
        stamps_s[1:] -= np.cumsum(np.where(was_set, steps_s - period_s, 0.0))
    return np.maximum.accumulate(stamps_s, out=stamps_s), int(np.count_nonzero(was_set))


def _alone(stamps_s: F64) -> I64:
    """Return the numbers of the stamps that lie outside both neighbours, by more than `SET_S`."""
    steps_s = np.diff(stamps_s)
    after = np.flatnonzero(np.abs(steps_s) > SET_S) + 1
    inner = after[after < stamps_s.size - 1]
    before_s, self_s, after_s = stamps_s[inner - 1], stamps_s[inner], stamps_s[inner + 1]
    outside = (before_s - self_s > SET_S) | (self_s - after_s > SET_S)
    alone: I64 = inner[(before_s <= after_s) & outside]
    if steps_s.size and not -SET_S <= steps_s[0] <= DAY_S and alone[:1].tolist() != [1]:
        return np.append(alone, 0)  # the first stamp has one neighbour only
    return alone


def spread(stamps_s: F64) -> F64:
    """Return rising stamps (n,) in which samples that shared a stamp lie between two stamps.

    Packets share the time of their arrival, and some recorders round to a second.
    """
    differ = stamps_s[1:] > stamps_s[:-1]
    if differ.all() or np.count_nonzero(differ) < 2:
        return stamps_s
    starts = np.append(0, np.flatnonzero(differ) + 1)
    counts = np.diff(starts, append=stamps_s.size)
    lengths_s = np.diff(stamps_s[starts])
    usual_s, usual_n = float(np.median(lengths_s)), int(np.median(counts))
    long = lengths_s > 1.5 * usual_s
    lengths_s = np.append(np.minimum(lengths_s, usual_s), usual_s)
    # The file, and each stretch without a gap, begins and ends between two stamps.
    first, last = np.append(True, long), np.append(long, True)
    out_of = np.where(first | last, np.maximum(counts, usual_n), counts)
    skipped = np.where(first, out_of - counts, 0)
    nth = np.arange(stamps_s.size) - np.repeat(starts - skipped, counts)
    spread_s: F64 = stamps_s + nth * np.repeat(lengths_s / out_of, counts)
    return spread_s


def _places(sample: I64, gap_starts: I64, lost: F64) -> F64:
    """Return the places of samples by their numbers (n,): the lost ones count, too."""
    so_far = np.concatenate([[0.0], lost])
    places: F64 = sample + so_far[np.searchsorted(gap_starts, sample, side="right")]
    return places


def _true_period_s(stamps_s: F64, gap_starts: I64, lost: F64, period_s: float) -> float:
    """Return the period that the stamps show over a minute, most of the time."""
    step = max(1, min(round(SLOPE_S / period_s), stamps_s.size // SLOPES))
    places = _places(np.arange(0, stamps_s.size, step), gap_starts, lost)
    if places.size < 2:
        return period_s
    periods_s = np.diff(stamps_s[::step]) / np.diff(places)
    low_s, median_s, high_s = np.quantile(periods_s, [0.25, 0.5, 0.75])
    # If minutes differ, samples are lost all the time: the median says little of the clock.
    steady = high_s - low_s <= MINUTES_AGREE * period_s
    near = abs(median_s / period_s - 1.0) <= RATE_RANGE
    return float(median_s) if steady and near else period_s


def _minimum_ahead(values: F64, n: int) -> F64:
    """Return for each value (m,) the minimum of it and the ``n - 1`` values after it.

    Van Herk 1992: the minimum of the rest of a block, and of the beginning of the next one.
    """
    padded = np.concatenate([values, np.full(n - values.size % n + n, np.inf)]).reshape(-1, n)
    rest = np.minimum.accumulate(padded[:, ::-1], axis=1)[:, ::-1].ravel()
    begin = np.minimum.accumulate(padded, axis=1).ravel()
    lowest: F64 = np.minimum(rest[: values.size], begin[n - 1 : n - 1 + values.size])
    return lowest


def _steps(off_s: F64, earliest_s: F64, n: int, least_s: float, limit: int) -> tuple[I64, F64, int]:
    """Return where and by how much ``earliest_s`` steps up by ``least_s`` or more in ``n`` samples.

    A step lies where ``off_s``, the stamps themselves, steps most. Steps are looked for before
    sample ``limit``; the third value is the sample up to which they were found.
    """
    starts: list[int] = []
    steps_s: list[float] = []
    end = 0
    for at in np.flatnonzero(earliest_s[n:] - earliest_s[:-n] > least_s).tolist():
        if at >= limit:
            break
        if at < end:
            continue
        end = min(at + 2 * n, off_s.size - 1)
        starts.append(at + 1 + int(np.argmax(np.diff(off_s[at : end + 1]))))
        steps_s.append(float(earliest_s[end] - earliest_s[at]))
    return np.array(starts, np.int64), np.array(steps_s), end
