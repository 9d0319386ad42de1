"""Read lights off and lights on from the annotations of a recording."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from monitor.sources.recording import Annotation
from monitor.types import Mark, MarkKind

_KINDS = {"lights off": MarkKind.LIGHTS_OFF, "lights on": MarkKind.LIGHTS_ON}
_SAME_S = 1.0
"""Annotations of one kind that lie closer than this are one mark."""


def recorded_marks(annotations: Iterable[Annotation], start_utc: datetime) -> list[Mark]:
    """Return the marks among ``annotations`` (texts such as "Lights off@@EEG F4-A1"), by time.

    A recorder may write one annotation for each channel: annotations of one kind within a second of
    each other are one mark.
    """
    marks: list[Mark] = []
    last_s: dict[MarkKind, float] = {}
    for annotation in sorted(annotations, key=lambda each: each.onset_s):
        # '@@' precedes the channel that an annotation belongs to (EDF+ section 2.2.4).
        kind = _KINDS.get(annotation.text.partition("@@")[0].strip().lower())
        if kind is None or annotation.onset_s - last_s.get(kind, -math.inf) < _SAME_S:
            continue
        last_s[kind] = annotation.onset_s
        with suppress(OverflowError):  # the recording is at the end of the calendar
            marks.append(Mark(kind, start_utc + timedelta(seconds=annotation.onset_s)))
    return marks
