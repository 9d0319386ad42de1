"""Read the data records of an EDF+ file once: their start times, annotations and the fingerprint.

The start times show the gaps of a discontinuous file, and of one wrongly marked as continuous.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np

from monitor.sources.edf_header import EdfHeader
from monitor.sources.edf_segments import Segment, find_segments
from monitor.sources.recording import Annotation

_PASS_BYTES = 4 * 1024 * 1024
"""Bytes of the file that are read at a time."""

# A time-stamped annotation list (TAL): onset, duration, texts (EDF+ section 2.2.2).
_TAL = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14([^\x00]*)\x00")


@dataclass(frozen=True, slots=True)
class EdfRecords:
    """The content of the data records, apart from the samples.

    - ``segments`` are in time order and do not overlap; () in a file without signals.
    - ``annotations`` are sorted by onset.
    - ``fingerprint``: SHA-256 of the whole file.
    - ``notes``: what the user must know about them, one sentence each.
    """

    segments: tuple[Segment, ...]
    annotations: tuple[Annotation, ...]
    fingerprint: str
    notes: tuple[str, ...]


def scan_records(header: EdfHeader) -> EdfRecords:
    """Read the whole file once, in blocks of about 4 MB.

    The fingerprint covers the whole content: two recordings that differ in one sample have
    different fingerprints, and a renamed or copied file keeps its own.

    Raises `InputError` if the records of a discontinuous file have no onset or no order, and
    OSError if the disk fails.
    """
    onsets_s: list[float | None] = []
    annotations: list[Annotation] = []
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
                tals = [row[place].tobytes() for place in places]
                onsets_s.append(_record_onset_s(tals[0]))
                for tal in tals:
                    annotations.extend(_annotations(tal))
        while rest := file.read(_PASS_BYTES):
            digest.update(rest)
    annotations.sort(key=lambda a: a.onset_s)
    segments, notes = find_segments(header, onsets_s)
    return EdfRecords(segments, tuple(annotations), digest.hexdigest(), tuple(notes))


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


def _record_onset_s(tal: bytes) -> float | None:
    """Return the start time of a record: the onset of the first entry, if its text is empty."""
    first = _TAL.match(tal)
    return float(first[1]) if first and first[3][:1] in (b"", b"\x14") else None


def _annotations(tal: bytes) -> list[Annotation]:
    # A list that fills its record to the last byte lacks the final NUL.
    return [
        Annotation(float(onset), float(duration or 0.0), _decode(text))
        for onset, duration, texts in _TAL.findall(tal + b"\0")
        for text in texts.split(b"\x14")
        if text
    ]


def _decode(text: bytes) -> str:
    """Decode a text. EDF+ requires UTF-8; older recorders write Latin-1."""
    try:
        return text.decode("utf-8").strip()
    except UnicodeDecodeError:
        return text.decode("latin-1").strip()
