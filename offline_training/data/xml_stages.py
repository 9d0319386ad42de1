"""Read expert stages from the XML files of the National Sleep Research Resource (NSRR).

There are two kinds: NSRR's own annotations (root ``PSGAnnotation``, events with onset and duration)
and Compumedics Profusion exports (root ``CMPStudyConfig``, one stage code per epoch, starting at
the recording's first sample). Both use Rechtschaffen & Kales: 0 wake, 1 to 4, 5 REM, 6 movement,
9 unscored.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from models.contract import EPOCH_S, Stage
from monitor.errors import InputError
from monitor.sources.hypnogram import Hypnogram, StageSpan

_STAGES = {
    "0": Stage.W,
    "1": Stage.N1,
    "2": Stage.N2,
    "3": Stage.N3,
    "4": Stage.N3,
    "5": Stage.R,
    "6": None,
    "9": None,
}
# A stage is 'Stage 2 sleep|2' or 'Wake|0'. Other events repeat their name: 'SDO|SDO'.
_STAGE_CONCEPT = re.compile(r"[^|]+\|(\d+)")


def read_xml_stages(path: Path) -> Hypnogram:
    """Read the stages in an NSRR or Profusion file; onsets count from the recording's start.

    Raises InputError if the file cannot be read, is not XML or is of another kind; if it declares
    a document type (which could define entities that fill the memory); or if it holds no stages, an
    unknown stage code, or epochs of another length than 30 s.
    """
    root = _parse(path)
    if root.tag == "PSGAnnotation":
        spans = _events(path, root)
    elif root.tag == "CMPStudyConfig":
        spans = _epochs(path, root)
    else:
        raise InputError(
            f"{path} is neither an NSRR nor a Profusion file: its root is '{root.tag}', "
            "not PSGAnnotation or CMPStudyConfig"
        )
    if not spans:
        raise InputError(f"{path} holds no sleep stages: it may hold other events only")
    length_s = _number(path, root.findtext("EpochLength"), "EpochLength")
    if length_s != EPOCH_S:
        raise InputError(f"{path} has epochs of {length_s:g} s: stages must be of 30-s epochs")
    return Hypnogram(path, tuple(sorted(spans, key=lambda span: span.onset_s)), None)


def _parse(path: Path) -> ElementTree.Element:
    # With expat itself a document type is refused where it begins, before any entity is expanded.
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: object) -> NoReturn:
        raise InputError(
            f"{path} declares a document type, which stage files never do: it is not read"
        )

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as exc:
        raise InputError(f"{path} is damaged: it is not XML ({exc}). Copy it again") from exc
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
    return builder.close()


def _events(path: Path, root: ElementTree.Element) -> list[StageSpan]:
    """Read the stages among the events of an NSRR file."""
    spans = []
    for event in root.iter("ScoredEvent"):
        concept = _STAGE_CONCEPT.fullmatch((event.findtext("EventConcept") or "").strip())
        if concept is None:
            continue
        onset_s = _number(path, event.findtext("Start"), "Start of a stage")
        duration_s = _number(path, event.findtext("Duration"), "Duration of a stage")
        spans.append(StageSpan(onset_s, duration_s, _stage(path, concept[1])))
    return spans


def _epochs(path: Path, root: ElementTree.Element) -> list[StageSpan]:
    """Read the stage codes of a Profusion file."""
    return [
        StageSpan(EPOCH_S * i, EPOCH_S, _stage(path, (element.text or "").strip()))
        for i, element in enumerate(root.iterfind("SleepStages/SleepStage"))
    ]


def _stage(path: Path, code: str) -> Stage | None:
    if code not in _STAGES:
        raise InputError(f"{path} holds the stage code '{code}': known are 0 to 6 and 9 (unscored)")
    return _STAGES[code]


def _number(path: Path, text: str | None, field: str) -> float:
    """Parse ``text``, the value of ``field``. Raises InputError unless it is a number >= 0."""
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InputError(
            f"{path} is damaged: its {field} is '{text or ''}', not a number of 0 or more"
        )
    return value
