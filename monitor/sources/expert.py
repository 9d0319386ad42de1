"""Read the expert's stages of a recording: find them, read them, lay them on its time.

One rule for every command: the hypnogram that the user names, else the one beside the recording,
else the recording's own annotations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from models.contract import EPOCH_S
from monitor.errors import InputError
from monitor.sources.durations import spoken_duration
from monitor.sources.edf_header import read_header
from monitor.sources.edf_records import scan_records
from monitor.sources.hypnogram import Hypnogram, StageSpan, contradiction_note
from monitor.sources.hypnogram_files import find_hypnogram
from monitor.sources.recording import Recording, Start, StartDate
from monitor.sources.stage_annotations import StageAnnotations, pick_stages
from monitor.sources.xml_stages import read_xml_stages

_DAY_S = 86400.0
_UNCLEAR = "their times of day are compared: check that the stages lie where they should."


def expert_hypnogram(recording: Recording, path: Path | str | None = None) -> Hypnogram | None:
    """Return the expert's stages of ``recording``, on its time; None if there are none.

    They come from the hypnogram at ``path``; without it from the hypnogram beside the recording
    (`find_hypnogram`), else from the recording's own annotations. The recording itself may be named
    as ``path``. The suffix .xml means XML as in NSRR and Profusion, every other EDF+.

    A hypnogram may cover a part of the recording only, such as lights off to lights on. Real dates,
    or the same dummy date, in both files place it. If the dates do not compare, the times of day
    do; if a file has none, the hypnogram begins with the recording. `Hypnogram.notes` says so.

    Raises `InputError` if a hypnogram cannot be read, holds no stages, or scores an epoch outside
    the recording.
    """
    found = Path(path) if path is not None else find_hypnogram(recording.path)
    if found is None:
        return _own(recording)
    if found == recording.path and (own := _own(recording)):
        return own
    return _laid(read_hypnogram(found), recording)


def read_hypnogram(path: Path | str) -> Hypnogram:
    """Read the stages of an EDF+ or XML file, on that file's own time.

    Raises `InputError` if the file cannot be read, is damaged, or holds no sleep stages.
    """
    path = Path(path)
    if path.suffix.lower() == ".xml":
        return read_xml_stages(path)
    header = read_header(path)
    try:
        records = scan_records(header)
    except OSError as exc:  # the disk failed after the header was read
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
    picked = pick_stages(path, records.annotations)
    if picked.unknown and all(span.stage is None for span in picked.spans):
        raise InputError(
            f"{path} holds no sleep stage that is known, but {picked.unknown_words}: write "
            "'Sleep stage W', 'Sleep stage N2' and so on"
        )
    if not picked.spans:
        raise InputError(
            f"{path} holds no sleep stages: give an EDF+ hypnogram, whose annotations read "
            "'Sleep stage W', 'Sleep stage N2' and so on"
        )
    notes = (*_notes(path, picked), *(f"{path.name}: {note}" for note in records.notes))
    return Hypnogram(path, picked.spans, header.start, notes)


def _own(recording: Recording) -> Hypnogram | None:
    """Return the stages in the annotations of ``recording``, or None."""
    picked = pick_stages(recording.path, recording.annotations)
    if not picked.spans:
        return None
    notes = _notes(recording.path, picked)
    return Hypnogram(recording.path, picked.spans, recording.start, notes)


def _notes(path: Path, picked: StageAnnotations) -> tuple[str, ...]:
    contradictions = contradiction_note(path, picked.spans)
    if not picked.unknown:
        return contradictions
    return (
        *contradictions,
        f"{path.name} has stages in words that are not known, {picked.unknown_words}: these epochs "
        "count as unscored.",
    )


def _laid(hypnogram: Hypnogram, recording: Recording) -> Hypnogram:
    """Return ``hypnogram`` on the time of ``recording``; raise `InputError` if it does not fit."""
    shifts_s: list[float] = [0.0]
    notes: list[str] = []
    if hypnogram.start is not None:
        shifts_s, notes = _shifts_s(hypnogram.start, recording.start)
    laid = [_shifted(hypnogram.spans, shift_s) for shift_s in shifts_s]
    spans = next((spans for spans in laid if _fits(spans, recording)), None)
    if spans is None:
        raise _other_recording(hypnogram.path, laid[0], recording)
    start = recording.start if hypnogram.start_utc is not None else hypnogram.start
    placing = [f"{hypnogram.path.name} and {recording.path.name} {note}" for note in notes]
    return Hypnogram(hypnogram.path, spans, start, (*hypnogram.notes, *placing))


def _shifts_s(hypnogram: Start, recording: Start) -> tuple[list[float], list[str]]:
    """Return the seconds from the recording's start to the hypnogram's, and notes for the user.

    The likeliest comes first; the others count if it does not fit.
    """
    difference_s = (hypnogram.utc - recording.utc).total_seconds()
    # Of times of day only, the two that are nearest to each other count: a night spans midnight.
    nearest_s = (difference_s + _DAY_S / 2) % _DAY_S - _DAY_S / 2
    if hypnogram.utc == recording.utc:
        return [0.0], []
    if not (hypnogram.has_time and recording.has_time):
        return [0.0], [
            "have no start times that compare: the hypnogram counts as beginning with the "
            "recording."
        ]
    if hypnogram.known and recording.known:
        # A dummy date need not be the one of EDF+: two files of one date may span midnight.
        same_date = hypnogram.utc.date() == recording.utc.date()
        return [difference_s, nearest_s] if same_date else [difference_s], []
    if hypnogram.date is recording.date is StartDate.DUMMY:
        return [nearest_s, difference_s], []
    return [nearest_s], [f"have no dates that compare: {_UNCLEAR}"]


def _shifted(spans: tuple[StageSpan, ...], shift_s: float) -> tuple[StageSpan, ...]:
    return tuple(replace(span, onset_s=span.onset_s + shift_s) for span in spans)


def _fits(spans: tuple[StageSpan, ...], recording: Recording) -> bool:
    """Return True unless ``spans`` score beyond the recording by more than an epoch."""
    last_s = recording.duration_s + EPOCH_S
    return all(span.onset_s >= -EPOCH_S and span.end_s <= last_s for span in _scored(spans))


def _scored(spans: tuple[StageSpan, ...]) -> Iterator[StageSpan]:
    return (span for span in spans if span.stage is not None)


def _other_recording(path: Path, spans: tuple[StageSpan, ...], recording: Recording) -> InputError:
    first_s, last_s = spans[0].onset_s, max(span.end_s for span in spans)
    return InputError(
        f"{path} does not belong to {recording.path}: it covers "
        f"{spoken_duration(last_s - first_s)} from {_spoken_offset(first_s)}, the recording "
        f"lasts {spoken_duration(recording.duration_s)}. Give the hypnogram of this recording"
    )


def _spoken_offset(offset_s: float) -> str:
    if abs(offset_s) < EPOCH_S:
        return "its start"
    return f"{spoken_duration(abs(offset_s))} {'after' if offset_s > 0 else 'before'} its start"
