"""Expert stages of a recording: from its own annotations or from a separate EDF+ hypnogram."""

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
from monitor.sources.edf import EdfRecording
from monitor.sources.edf_header import read_header, spoken_duration
from monitor.sources.edf_records import EdfAnnotation, scan_records

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
_TICK_S = 0.01  # of two boundaries closer than this, the phase is the same
_ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True)
class StageSpan:
    """A stretch with one stage; None where the expert said unscored or movement."""

    onset_s: float
    duration_s: float
    stage: Stage | None

    @property
    def end_s(self) -> float:
        return self.onset_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Hypnogram:
    """Expert stages in time order; never empty.

    Onsets are in seconds since ``start_utc``, which is None where the file carries no real date.
    """

    path: Path
    spans: tuple[StageSpan, ...]
    start_utc: datetime | None


def read_hypnogram(path: Path | str) -> Hypnogram:
    """The stages annotated in an EDF+ file, on that file's own time.

    Raises InputError when the file cannot be read, is damaged, or holds no sleep stages.
    """
    header = read_header(Path(path))
    spans = _spans(scan_records(header).annotations)
    if not spans:
        raise InputError(
            f"{path} holds no sleep stages: give an EDF+ hypnogram, whose annotations read "
            "'Sleep stage W', 'Sleep stage N2' and so on"
        )
    return Hypnogram(header.path, spans, header.start_utc if header.start_known else None)


def expert_hypnogram(recording: EdfRecording, path: Path | str | None = None) -> Hypnogram | None:
    """The stages of ``recording``, on its time: those in ``path``, else its own, else None.

    Where both files carry a real start date, the difference is honoured. Raises InputError when
    ``path`` cannot be read, holds no stages, or holds those of another recording.
    """
    if path is not None:
        return _matched(read_hypnogram(path), recording)
    spans = _spans(recording.annotations)
    start = recording.start_utc if recording.start_known else None
    return Hypnogram(recording.path, spans, start) if spans else None


def grid_origin_s(grid: Grid, hypnogram: Hypnogram | None, first_sample_s: float = 0.0) -> float:
    """Start of epoch 0: the first point of the 30-s grid at or after ``first_sample_s``.

    ``grid`` is 'start': the grid begins with the first sample; a number of seconds on the
    recording's time: the grid passes through it; or 'auto': the grid on which most boundaries of
    ``hypnogram`` lie, 'start' without one. An expert's grid need not begin with the recording.
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


def stages_on_grid(hypnogram: Hypnogram, origin_s: float, n_epochs: int) -> list[Stage | None]:
    """The expert's stage of each epoch from ``origin_s`` on: the one that fills most of it.

    None where unscored, movement or nothing fills most; of equals, the earlier one (AASM Manual:
    the stage that comprises the greatest portion of the epoch).
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


def _spans(annotations: Iterable[EdfAnnotation]) -> tuple[StageSpan, ...]:
    spans = []
    for annotation in annotations:
        # '@@' names the channel that an annotation belongs to (EDF+ section 2.2.4).
        text = annotation.text.split("@@")[0].strip().lower()
        if text.startswith(_PREFIX):
            stage = _STAGES.get(text.removeprefix(_PREFIX).strip())
        elif text == "movement time":
            stage = None
        else:
            continue
        spans.append(StageSpan(annotation.onset_s, annotation.duration_s, stage))
    # Scorers that state no durations mean: until the next stage, the last for one epoch.
    ends_s = [span.onset_s for span in spans[1:]] + [spans[-1].onset_s + EPOCH_S] if spans else []
    return tuple(
        span if span.duration_s > 0 else replace(span, duration_s=end_s - span.onset_s)
        for span, end_s in zip(spans, ends_s, strict=True)
    )


def _matched(hypnogram: Hypnogram, recording: EdfRecording) -> Hypnogram:
    """``hypnogram`` on the time of ``recording``, to which it must belong."""
    shift_s = 0.0
    if hypnogram.start_utc and recording.start_known:
        shift_s = (hypnogram.start_utc - recording.start_utc).total_seconds()
    spans = tuple(replace(s, onset_s=s.onset_s + shift_s) for s in hypnogram.spans)
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
    boundaries_s = sorted({s.onset_s for s in spans} | {s.end_s for s in spans})
    ticks = Counter(round(at_s % EPOCH_S / _TICK_S) for at_s in boundaries_s)
    return ticks.most_common(1)[0][0] * _TICK_S % EPOCH_S
