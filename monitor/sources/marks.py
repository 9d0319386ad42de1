"""Lights off and on as a recording carries them, in its annotations."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from monitor.sources.edf_records import EdfAnnotation
from monitor.types import Mark, MarkKind

_KINDS = {"lights off": MarkKind.LIGHTS_OFF, "lights on": MarkKind.LIGHTS_ON}


def recorded_marks(annotations: Iterable[EdfAnnotation], start_utc: datetime) -> list[Mark]:
    """Marks in the annotations (texts such as "Lights off@@EEG F4-A1"), in their order.

    A recorder may write one for each channel: those of the same second are one mark.
    """
    marks: dict[tuple[MarkKind, int], Mark] = {}
    for annotation in annotations:
        kind = _KINDS.get(annotation.text.partition("@@")[0].strip().lower())
        if kind is not None:
            time_utc = start_utc + timedelta(seconds=annotation.onset_s)
            marks.setdefault((kind, math.floor(annotation.onset_s)), Mark(kind, time_utc))
    return list(marks.values())
