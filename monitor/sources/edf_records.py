"""Read the data records of an EDF+ file once: their start times, annotations and the fingerprint.

The start times show the gaps of a discontinuous file, and of one wrongly marked as continuous.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from monitor.sources.annotation_lists import parse_annotation_lists
from monitor.sources.edf_header import EdfHeader
from monitor.sources.edf_segments import Segment, find_segments
from monitor.sources.recording import Annotation

_PASS_BYTES = 4 * 1024 * 1024
"""Bytes of the file that are read at a time."""


@dataclass(frozen=True, slots=True)
class EdfRecords:
    """The content of the data records, apart from the samples.

    - ``segments`` are in time order and do not overlap; () in a file without signals.
    - ``annotations`` are sorted by onset. ``unread``: the number of those that could not be read.
    - ``fingerprint``: SHA-256 of the whole file.
    - ``segment_notes``: what the user must know about the start times of the records.
    """

    segments: tuple[Segment, ...]
    annotations: tuple[Annotation, ...]
    unread: int
    fingerprint: str
    segment_notes: tuple[str, ...]

    @property
    def notes(self) -> list[str]:
        """Facts about the records that the user must know, one sentence each."""
        notes = [*self.segment_notes]
        if self.unread:
            verb = "annotation has" if self.unread == 1 else "annotations have"
            notes.append(f"{self.unread} {verb} an onset or a duration that cannot be read.")
        return notes


def scan_records(header: EdfHeader) -> EdfRecords:
    """Read the whole file once, in blocks of about 4 MB.

    The fingerprint covers the whole content: two recordings that differ in one sample have
    different fingerprints, and a renamed or copied file keeps its own.

    Raises `InputError` if the records of a discontinuous file have no onset or no order, and
    OSError if the disk fails.
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
    segments, segment_notes = find_segments(header, onsets_s)
    return EdfRecords(
        segments, tuple(annotations), unread, digest.hexdigest(), tuple(segment_notes)
    )


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
