"""Parse the annotations of EDF+ and BDF+: time-stamped annotation lists (TALs).

A list is an onset, perhaps a duration, and texts (Kemp & Olivan 2003, section 2.2.2)::

    +600<15>30<14>Sleep stage W<14><0>

Recorders write it in many ways: without sign, with a decimal comma or an exponent, with an empty
duration or one of -1, without the final NUL. What can be read counts; the rest is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from monitor.sources.recording import Annotation
from monitor.text import clean

LATEST_S = 366 * 86400.0
"""Largest time that counts, either way: no recording lasts longer, and dates stay possible."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?", re.IGNORECASE)
# Where a recorder left out the NUL, the next onset stands like a text of the list before it. It is
# one if a duration follows, if a text precedes and another follows, or after an empty text.
_MISSING_NUL = re.compile(
    rb"\x14(?=[+-]\d+(?:[.,]\d*)?\x15)|(?<=\x14)\x14(?=[+-]\d+(?:[.,]\d*)?\x14)"
    rb"|\x14(?=[+-]\d+(?:[.,]\d*)?\x14[^\x14\0])"
)


@dataclass(frozen=True, slots=True)
class AnnotationLists:
    """The annotation lists of one data record.

    - ``record_onset_s``: the start of the record. None unless the first list states it: a list that
      keeps time has an empty first text.
    - ``unread``: the number of lists whose onset, and of annotations whose duration, is no number.
      An annotation without a readable duration has the duration 0; a list without onset is dropped.
    """

    record_onset_s: float | None
    annotations: tuple[Annotation, ...]
    unread: int


def parse_annotation_lists(raw: bytes) -> AnnotationLists:
    """Parse the bytes that an annotation signal has in one data record."""
    record_onset_s: float | None = None
    annotations: list[Annotation] = []
    unread = 0
    for place, (onset, duration, texts) in enumerate(_lists(raw)):
        onset_s, stated = _seconds(onset), _seconds(duration)
        if place == 0 and texts[:1] == [b""]:
            record_onset_s = onset_s
        if onset_s is None:
            unread += any(texts) or not texts
            continue
        own = [
            Annotation(onset_s, max(0.0, stated or 0.0), text)
            for text in map(_decode, texts)
            if text
        ]
        if stated is None and duration.strip():
            unread += len(own)
        annotations.extend(own)
    return AnnotationLists(record_onset_s, tuple(annotations), unread)


def _lists(raw: bytes) -> Iterator[tuple[bytes, bytes, list[bytes]]]:
    """Yield onset, duration and texts of each list."""
    for piece in _MISSING_NUL.sub(b"\x14\0", raw).split(b"\0"):
        if not piece.strip():
            continue  # a record is padded with NUL, or with blanks
        stamp, *texts = piece.split(b"\x14")
        onset, _, duration = stamp.partition(b"\x15")
        # Each text is followed by the separator, so that an empty piece ends the list.
        yield onset, duration, texts[:-1] if texts and not texts[-1].strip() else texts


def _seconds(raw: bytes) -> float | None:
    """Return a time in seconds; None if it is no number or no time of a recording."""
    text = raw.decode("latin-1").strip().replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    seconds = float(text)
    return seconds if abs(seconds) <= LATEST_S else None


def _decode(text: bytes) -> str:
    """Decode a text. EDF+ requires UTF-8; older recorders write Latin-1."""
    try:
        return clean(text.decode("utf-8"))
    except UnicodeDecodeError:
        return clean(text.decode("latin-1"))
