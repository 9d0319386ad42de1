"""Find the gaps of a recording by the start times of its data records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.errors import InputError
from monitor.sources.edf_header import EdfHeader
from monitor.types import F64

COARSEST_S = 1.0
"""Recorders round start times to a second at most. A larger step back means that a continuous file
counts anew."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Records that follow each other without a gap. ``start_s`` is the first sample's time."""

    first_record: int
    n_records: int
    start_s: float


def find_segments(
    header: EdfHeader, onsets_s: Sequence[float | None]
) -> tuple[tuple[Segment, ...], list[str]]:
    """Return the segments of a recording, and the notes for the user about its start times.

    ``onsets_s`` has the start time of each data record, or None where the file states none that can
    be read; it is empty in plain EDF. Continuous files are cut too: some recorders call a file
    continuous that has gaps.

    The deviation of a record is its start time minus the time at which it would begin without
    gaps. A gap moves all later records. So a deviation that comes back is rounding, and only a
    step that is larger than all of these is a gap. A deviation that creeps is a rounded record
    duration, and no gap either.

    Raises `InputError` if a record of a discontinuous file (EDF+D) has no usable start time, or if
    its records are not in time order.
    """
    signals = [s for s in header.signals if not s.is_annotation and s.samples_per_record]
    if not signals:
        return (), []
    if not onsets_s:
        return (Segment(0, header.n_records, 0.0),), []
    half_sample_s = header.record_s / max(s.samples_per_record for s in signals) / 2
    stated_s = np.array([math.nan if onset_s is None else onset_s for onset_s in onsets_s])
    if header.discontinuous:
        _check_order(header, stated_s)
    deviation_s, n_anew = _deviations(stated_s, header.record_s)
    lowest_s = np.minimum.accumulate(deviation_s[::-1])[::-1]  # of this record and the later ones
    rounding_s = float(np.max(deviation_s - lowest_s))
    cuts = np.flatnonzero(np.diff(lowest_s) > half_sample_s + rounding_s) + 1
    firsts = np.concatenate([[0], cuts])
    counts = np.diff([*firsts, header.n_records])
    segments = _place(firsts, counts, deviation_s, header.record_s)
    away_s = float(np.max(np.abs(deviation_s - np.repeat(deviation_s[firsts], counts))))
    return segments, [
        *_missing_notes(int(np.count_nonzero(np.isnan(stated_s))), stated_s.size),
        *_anew_notes(n_anew),
        *_inexact_notes(away_s, half_sample_s),
    ]


def _place(
    firsts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], deviation_s: F64, record_s: float
) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    end_s = -math.inf
    for first, n_records in zip(firsts.tolist(), counts.tolist(), strict=True):
        # A creeping deviation must not make a segment begin before the one before it ends.
        start_s = max(float(deviation_s[first]) + first * record_s, end_s)
        segments.append(Segment(first, n_records, start_s))
        end_s = start_s + n_records * record_s
    return tuple(segments)


def _deviations(stated_s: F64, record_s: float) -> tuple[F64, int]:
    """Return the deviation of each record (n,), and how often the start times count anew.

    A record without a start time, or with one that lies outside those of its two
    neighbours, follows the record before it. Where the start times count anew, the recording goes
    on without a gap.
    """
    known = np.flatnonzero(np.isfinite(stated_s))
    known = known[~_slips(stated_s[known])]
    if not known.size:
        return np.zeros(stated_s.size), 0
    at_s = stated_s[known]
    deviation_s = at_s - known * record_s
    anew = np.diff(at_s) < -COARSEST_S
    deviation_s[1:] -= np.cumsum(np.where(anew, np.diff(deviation_s), 0.0))
    newest = np.searchsorted(known, np.arange(stated_s.size), side="right") - 1
    return deviation_s[np.maximum(newest, 0)], int(np.count_nonzero(anew))


def _slips(at_s: F64) -> npt.NDArray[np.bool_]:
    """Return True for each time (n,) that lies outside two neighbours that are in order."""
    slips = np.zeros(at_s.size, dtype=bool)
    if at_s.size > 2:
        before_s, self_s, after_s = at_s[:-2], at_s[1:-1], at_s[2:]
        slips[1:-1] = (before_s <= after_s) & ((self_s < before_s) | (self_s > after_s))
        slips[0] = at_s[1] <= at_s[2] and at_s[0] > at_s[1]
    return slips


def _check_order(header: EdfHeader, stated_s: F64) -> None:
    """Raise `InputError` if the records of a discontinuous file cannot be placed."""
    missing = np.flatnonzero(np.isnan(stated_s))
    if missing.size:
        raise InputError(
            f"{header.path} is damaged: it is discontinuous (EDF+D) and its data record "
            f"{missing[0] + 1} has no start time. Export it again"
        )
    steps_s = np.diff(stated_s)
    # Start times that are rounded to a second may repeat, but not so often that they fall behind.
    behind_s = (stated_s.size - 1) * header.record_s - (stated_s[-1] - stated_s[0])
    exact = header.record_s > COARSEST_S or behind_s > COARSEST_S
    backward = np.flatnonzero(steps_s <= 0 if exact else steps_s < 0)
    if backward.size:
        record = int(backward[0]) + 1
        raise InputError(
            f"{header.path} is damaged: its data record {record + 1} begins at "
            f"{stated_s[record]:g} s, not after the one before it ({stated_s[record - 1]:g} s). "
            "Export it again"
        )


def _missing_notes(n_missing: int, n_records: int) -> list[str]:
    if not n_missing:
        return []
    return [
        f"{n_missing} of {n_records} data records state no start time that can be read: the "
        "recording counts as continuous there."
    ]


def _anew_notes(n_anew: int) -> list[str]:
    if not n_anew:
        return []
    times = "once" if n_anew == 1 else f"{n_anew} times"
    return [
        f"The start times of the data records count anew {times}: the recording counts as "
        "continuous there."
    ]


def _inexact_notes(away_s: float, half_sample_s: float) -> list[str]:
    if away_s <= half_sample_s:
        return []
    return [
        f"The start times of the data records are inexact, by up to {away_s:.2g} s: the sampling "
        "rate counts."
    ]
