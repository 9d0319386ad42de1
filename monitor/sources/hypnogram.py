"""Read the expert's stages: from the recording's own annotations or from a separate EDF+ file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from models.contract import EPOCH_S, Stage
from monitor.config import Grid
from monitor.errors import InputError
from monitor.sources.durations import spoken_duration
from monitor.sources.edf_header import read_header
from monitor.sources.edf_records import scan_records
from monitor.sources.recording import Annotation, Recording

_PREFIX = "sleep stage "
# Rechtschaffen & Kales in the words of Sleep-EDF, and AASM in those of EDF+; N3 is R&K 3 and 4.
_STAGES = {
    "w": Stage.W,
    "1": Stage.N1,
    "2": Stage.N2,
    "3": Stage.N3,
    "4": Stage.N3,
    "n1": Stage.N1,
    "n2": Stage.N2,
    "n3": Stage.N3,
    "r": Stage.R,
}
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

    Onsets are in seconds since ``start_utc``, which is None if the file carries no real date.
    """

    path: Path
    spans: tuple[StageSpan, ...]
    start_utc: datetime | None


def read_hypnogram(path: Path | str) -> Hypnogram:
    """Read the stages in the annotations of an EDF+ file, on that file's own time.

    Raises `InputError` if the file cannot be read, is damaged, or holds no sleep stages.
    """
    header = read_header(Path(path))
    spans = _spans(scan_records(header).annotations)
    if not spans:
        raise InputError(
            f"{path} holds no sleep stages: give an EDF+ hypnogram, whose annotations read "
            "'Sleep stage W', 'Sleep stage N2' and so on"
        )
    return Hypnogram(header.path, spans, header.start_utc if header.start_known else None)


def expert_hypnogram(recording: Recording, path: Path | str | None = None) -> Hypnogram | None:
    """Return the expert's stages of ``recording``, on its time; None if there are none.

    They come from the hypnogram at ``path`` if it is given, else from the recording's own
    annotations. If both files carry a real start date, the stages are shifted by the difference.

    Raises `InputError` if ``path`` cannot be read, holds no stages, or belongs to another
    recording.
    """
    if path is not None:
        return _matched(read_hypnogram(path), recording)
    spans = _spans(recording.annotations)
    start = recording.start_utc if recording.start.known else None
    return Hypnogram(recording.path, spans, start) if spans else None


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
        phase_s = _majority_phase_s(hypnogram.spans)
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


def spans_on_recording(hypnogram: Hypnogram, recording: Recording) -> tuple[StageSpan, ...]:
    """Return the spans of ``hypnogram`` with onsets on the time of ``recording``.

    Unless both have a real start date, the hypnogram counts as beginning with the recording.
    """
    shift_s = 0.0
    if hypnogram.start_utc is not None and recording.start.known:
        shift_s = (hypnogram.start_utc - recording.start_utc).total_seconds()
    return tuple(replace(span, onset_s=span.onset_s + shift_s) for span in hypnogram.spans)


def _spans(annotations: Iterable[Annotation]) -> tuple[StageSpan, ...]:
    spans = []
    for annotation in annotations:
        # '@@' precedes the channel that an annotation belongs to (EDF+ section 2.2.4).
        text = annotation.text.split("@@")[0].strip().lower()
        if text.startswith(_PREFIX):
            stage = _STAGES.get(text.removeprefix(_PREFIX).strip())
        elif text == "movement time":
            stage = None
        else:
            continue
        spans.append(StageSpan(annotation.onset_s, annotation.duration_s, stage))
    # Some scorers state no durations: a stage then lasts until the next, the last for one epoch.
    ends_s = [span.onset_s for span in spans[1:]] + [spans[-1].onset_s + EPOCH_S] if spans else []
    return tuple(
        span if span.duration_s > 0 else replace(span, duration_s=end_s - span.onset_s)
        for span, end_s in zip(spans, ends_s, strict=True)
    )


def _matched(hypnogram: Hypnogram, recording: Recording) -> Hypnogram:
    """Return ``hypnogram`` on the time of ``recording``; raise `InputError` if it does not fit."""
    spans = spans_on_recording(hypnogram, recording)
    first_s, last_s = spans[0].onset_s, max(s.end_s for s in spans)
    scored = [s for s in spans if s.stage is not None]
    outside = any(s.end_s > recording.duration_s + EPOCH_S or s.onset_s < -EPOCH_S for s in scored)
    if outside or last_s - first_s < recording.duration_s - EPOCH_S:
        raise InputError(
            f"{hypnogram.path} does not belong to {recording.path}: it covers "
            f"{spoken_duration(last_s - first_s)} from {_spoken_offset(first_s)}, the recording "
            f"lasts {spoken_duration(recording.duration_s)}. Give the hypnogram of this recording"
        )
    return Hypnogram(hypnogram.path, spans, recording.start_utc if hypnogram.start_utc else None)


def _spoken_offset(offset_s: float) -> str:
    if abs(offset_s) < EPOCH_S:
        return "its start"
    return f"{spoken_duration(abs(offset_s))} {'after' if offset_s > 0 else 'before'} its start"


def _majority_phase_s(spans: Iterable[StageSpan]) -> float:
    """Return the position on the 30-s grid that most boundaries of ``spans`` share."""
    boundaries_s = sorted({s.onset_s for s in spans} | {s.end_s for s in spans})
    ticks = Counter(round(at_s % EPOCH_S / _TICK_S) for at_s in boundaries_s)
    return ticks.most_common(1)[0][0] * _TICK_S % EPOCH_S
