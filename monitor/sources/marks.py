"""Lights off and on as a recording carries them, in its annotations."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from monitor.sources.edf_records import EdfAnnotation
from monitor.types import Mark, MarkKind

_KINDS = {"lights off": MarkKind.LIGHTS_OFF, "lights on": MarkKind.LIGHTS_ON}
_SAME_S = 1.0


def recorded_marks(annotations: Iterable[EdfAnnotation], start_utc: datetime) -> list[Mark]:
    """Marks in the annotations (texts such as "Lights off@@EEG F4-A1"), in order of time.

    A recorder may write one for each channel: within a second of one another they are one mark.
    """
    marks: list[Mark] = []
    last_s: dict[MarkKind, float] = {}
    for annotation in sorted(annotations, key=lambda each: each.onset_s):
        kind = _KINDS.get(annotation.text.partition("@@")[0].strip().lower())
        if kind is None or annotation.onset_s - last_s.get(kind, -math.inf) < _SAME_S:
            continue
        last_s[kind] = annotation.onset_s
        marks.append(Mark(kind, start_utc + timedelta(seconds=annotation.onset_s)))
    return marks
