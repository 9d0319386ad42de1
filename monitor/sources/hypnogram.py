"""The expert's stages, and the grid of 30-s epochs that they lie on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from models.contract import EPOCH_S, Stage
from monitor.config import Grid
from monitor.sources.recording import Start

_TICK_S = 0.01
"""Boundaries whose positions on the 30-s grid differ by less than this agree with each other."""

_ROUNDING_S = 1e-6
"""Tolerance for the rounding of floating-point seconds."""


@dataclass(frozen=True, slots=True)
class StageSpan:
    """A stretch with one stage; ``stage`` is None if the expert wrote unscored or movement."""

    onset_s: float
    duration_s: float
    stage: Stage | None

    @property
    def end_s(self) -> float:
        return self.onset_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Hypnogram:
    """The expert's stages in time order; never empty.

    - Onsets are in seconds since ``start``. It is None in a file that counts from the recording's
      start, as XML does.
    - ``notes``: what the user must know about the stages, one sentence each.
    """

    path: Path
    spans: tuple[StageSpan, ...]
    start: Start | None
    notes: tuple[str, ...] = ()

    @property
    def start_utc(self) -> datetime | None:
        """The start if it is a real moment, else None."""
        return self.start.utc if self.start is not None and self.start.known else None


def contradiction_note(path: Path, spans: Sequence[StageSpan]) -> tuple[str, ...]:
    """Return a note if stages of ``spans``, in time order, lie on others that differ; else ()."""
    reached_s, reached, number = -math.inf, None, 0
    for span in spans:
        if span.stage is None:
            continue
        if span.onset_s < reached_s - _TICK_S and span.stage is not reached:
            number += 1
        if span.end_s > reached_s:
            reached_s, reached = span.end_s, span.stage
    if not number:
        return ()
    verb = "stage lies" if number == 1 else "stages lie"
    return (f"{path.name}: {number} {verb} on others that differ; of each two the first counts.",)


def grid_origin_s(grid: Grid, hypnogram: Hypnogram | None, first_sample_s: float = 0.0) -> float:
    """Return the start of epoch 0: the first point of the 30-s grid from ``first_sample_s`` on.

    ``grid`` decides where the grid lies:

    - 'start': it begins with the first sample;
    - a number of seconds on the recording's time: it passes through this moment;
    - 'auto': most boundaries of ``hypnogram`` lie on it, since an expert's grid need not begin with
      the recording; without a hypnogram as 'start'.
    """
    if grid == "start" or (grid == "auto" and hypnogram is None):
        return first_sample_s
    if grid == "auto":
        assert hypnogram is not None
        spans = hypnogram.spans
        phase_s = majority_phase_s(sorted({s.onset_s for s in spans} | {s.end_s for s in spans}))
    else:
        phase_s = grid
    offset_s = (phase_s - first_sample_s) % EPOCH_S
    return first_sample_s + (0.0 if offset_s > EPOCH_S - _ROUNDING_S else offset_s)


def whole_epochs(duration_s: float, origin_s: float) -> int:
    """Return the number of whole epochs from ``origin_s`` to the end of a recording."""
    # The summand keeps rounding from cutting off the last one.
    return math.floor((duration_s - origin_s) / EPOCH_S + 1e-6)


def stages_on_grid(hypnogram: Hypnogram, origin_s: float, n_epochs: int) -> list[Stage | None]:
    """Return the expert's stage of each of ``n_epochs`` epochs from ``origin_s`` on.

    An epoch gets the stage that fills most of it (AASM Manual: the stage that comprises the
    greatest portion of the epoch); of two that fill equally much, the earlier one. It gets None if
    unscored, movement or no annotation fills most of it.
    """
    shares: list[dict[Stage | None, float]] = [{} for _ in range(n_epochs)]
    for span in hypnogram.spans:
        first = max(0, math.floor((span.onset_s - origin_s) / EPOCH_S))
        stop = min(n_epochs, math.ceil((span.end_s - origin_s) / EPOCH_S))
        for epoch in range(first, stop):
            start_s = origin_s + epoch * EPOCH_S
            inside_s = min(span.end_s, start_s + EPOCH_S) - max(span.onset_s, start_s)
            shares[epoch][span.stage] = shares[epoch].get(span.stage, 0.0) + inside_s
    stages: list[Stage | None] = []
    for share in shares:
        share[None] = EPOCH_S - sum(share[stage] for stage in share if stage is not None)
        most_s = max(share.values())
        stages.append(next(s for s, filled_s in share.items() if filled_s > most_s - _ROUNDING_S))
    return stages


def majority_phase_s(boundaries_s: Iterable[float]) -> float:
    """Return the position on the 30-s grid that most of ``boundaries_s`` share; 0 of none."""
    ticks = Counter(round(at_s % EPOCH_S / _TICK_S) for at_s in boundaries_s)
    return ticks.most_common(1)[0][0] * _TICK_S % EPOCH_S if ticks else 0.0
