"""Read the data records of an EDF+ file once: their start times, annotations and the fingerprint.

The start times show the gaps of a discontinuous file, and of one wrongly marked as continuous.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from monitor.errors import InputError
from monitor.sources.annotation_lists import parse_annotation_lists
from monitor.sources.edf_header import EdfHeader
from monitor.sources.recording import Annotation

_PASS_BYTES = 4 * 1024 * 1024
"""Bytes of the file that are read at a time."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Records that follow each other without a gap. ``start_s`` is the first sample's time."""

    first_record: int
    n_records: int
    start_s: float


@dataclass(frozen=True, slots=True)
class EdfRecords:
    """The content of the data records, apart from the samples.

    - ``segments`` are in time order and do not overlap; () in a file without signals.
    - ``annotations`` are sorted by onset. ``unread``: the number of those that could not be read.
    - ``fingerprint``: SHA-256 of the whole file.
    """

    segments: tuple[Segment, ...]
    annotations: tuple[Annotation, ...]
    unread: int
    fingerprint: str

    @property
    def notes(self) -> list[str]:
        """Sentences for the user about annotations that could not be read."""
        if not self.unread:
            return []
        verb = "annotation has" if self.unread == 1 else "annotations have"
        return [f"{self.unread} {verb} an onset or a duration that cannot be read."]


def scan_records(header: EdfHeader) -> EdfRecords:
    """Read the whole file once, in blocks of about 4 MB.

    The fingerprint covers the whole content: two recordings that differ in one sample have
    different fingerprints, and a renamed or copied file keeps its own.

    Raises `InputError` if a record of a discontinuous file has no onset, or if the records are not
    in time order. Raises OSError if the disk fails.
    """
    onsets_s: list[float | None] = []
    annotations: list[Annotation] = []
    unread = 0
    digest = hashlib.sha256()
    places = _annotation_places(header)
    records_per_pass = max(1, _PASS_BYTES // header.record_bytes)
    with header.path.open("rb") as file:
        digest.update(file.read(header.header_bytes))
        for first in range(0, header.n_records, records_per_pass):
            n = min(records_per_pass, header.n_records - first)
            block = file.read(n * header.record_bytes)
            digest.update(block)
            if not places:
                continue
            rows = np.frombuffer(block, dtype=np.uint8).reshape(n, header.record_bytes)
            for row in rows:
                lists = [parse_annotation_lists(row[place].tobytes()) for place in places]
                onsets_s.append(lists[0].record_onset_s)
                for each in lists:
                    annotations.extend(each.annotations)
                    unread += each.unread
        while rest := file.read(_PASS_BYTES):
            digest.update(rest)
    annotations.sort(key=lambda a: a.onset_s)
    segments = _segments(header, onsets_s)
    return EdfRecords(segments, tuple(annotations), unread, digest.hexdigest())


def _annotation_places(header: EdfHeader) -> list[slice]:
    """Return the bytes of each annotation signal in a record; the first one keeps the time."""
    places = []
    offset = 0
    for signal in header.signals:
        end = offset + signal.samples_per_record * header.sample_bytes
        if signal.is_annotation:
            places.append(slice(offset, end))
        offset = end
    return places


def _segments(header: EdfHeader, onsets_s: list[float | None]) -> tuple[Segment, ...]:
    """Cut the records where an onset differs from the expected one by more than half a sample.

    This applies to EDF+C files too: some recorders call a file continuous that has gaps.
    """
    signals = [s for s in header.signals if not s.is_annotation]
    if not signals:
        return ()
    if not onsets_s:
        return (Segment(0, header.n_records, 0.0),)
    tolerance_s = header.record_s / max(s.samples_per_record for s in signals) / 2
    cuts: list[tuple[int, float]] = []
    previous_s = -np.inf
    for record, onset_s in enumerate(onsets_s):
        first, start_s = cuts[-1] if cuts else (0, 0.0)
        expected_s = start_s + (record - first) * header.record_s
        if onset_s is None:
            if header.discontinuous:
                raise InputError(
                    f"{header.path} is damaged: it is discontinuous (EDF+D) and its data record "
                    f"{record + 1} has no start time. Export it again"
                )
            onset_s = expected_s
        if onset_s <= previous_s:
            raise InputError(
                f"{header.path} is damaged: its data record {record + 1} begins at {onset_s:g} s, "
                f"not after the one before it ({previous_s:g} s). Export it again"
            )
        previous_s = onset_s
        if not cuts or abs(onset_s - expected_s) > tolerance_s:
            cuts.append((record, onset_s))
    ends = [record for record, _ in cuts[1:]] + [header.n_records]
    return tuple(
        Segment(first, end - first, start_s)
        for (first, start_s), end in zip(cuts, ends, strict=True)
    )
