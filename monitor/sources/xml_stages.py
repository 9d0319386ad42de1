"""Read expert stages from the XML files of the National Sleep Research Resource (NSRR).

There are two kinds: NSRR's own annotations (root ``PSGAnnotation``, events with onset and duration)
and Compumedics Profusion exports (root ``CMPStudyConfig``, one stage code per epoch, starting at
the recording's first sample). Both use Rechtschaffen & Kales: 0 wake, 1 to 4, 5 REM, 6 movement,
9 unscored.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from models.contract import EPOCH_S, Stage
from monitor.errors import InputError
from monitor.sources.annotation_lists import LATEST_S
from monitor.sources.hypnogram import Hypnogram, StageSpan, contradiction_note
from monitor.sources.stage_words import NUMBERS, stage_word
from monitor.text import clean

_LARGEST_BYTES = 64 * 1024 * 1024
"""Size of a file that is read. An annotated night has one or two megabytes."""

_DEEPEST = 64
"""Levels of elements that are read. Stage files have five."""

# A stage is 'Stage 2 sleep|2' or 'Wake|0'. Other events repeat their name: 'SDO|SDO'.
_STAGE_CONCEPT = re.compile(r"[^|]+\|(\d+)")
_DECLARED = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
# A file whose declaration could be read as bytes is not in UTF-16, although some declare it.
_BYTE_CODECS = re.compile(r"(utf-8|iso8859|cp\d|mac|koi8|gb|big5|shift|euc|ascii|latin)")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
"""The first bytes of a file that show its encoding, whatever it declares."""


def read_xml_stages(path: Path) -> Hypnogram:
    """Read the stages in an NSRR or Profusion file; onsets count from the recording's start.

    Raises InputError if the file cannot be read, is not XML or is of another kind; if it declares
    a document type (which could define entities that fill the memory) or is too large or too deeply
    nested; or if it holds no stages, an unknown stage, or epochs of another length than 30 s.
    """
    root = _parse(path)
    if root.tag == "PSGAnnotation":
        spans = _events(path, root)
    elif root.tag == "CMPStudyConfig":
        spans = _epochs(path, root)
    else:
        raise InputError(
            f"{path} is neither an NSRR nor a Profusion file: its root is '{clean(root.tag)}', "
            "not PSGAnnotation or CMPStudyConfig"
        )
    if not spans:
        raise InputError(f"{path} holds no sleep stages: it may hold other events only")
    length_s = _number(path, root.findtext("EpochLength"), "EpochLength")
    if length_s != EPOCH_S:
        raise InputError(f"{path} has epochs of {length_s:g} s: stages must be of 30-s epochs")
    ordered = tuple(sorted(spans, key=lambda span: span.onset_s))
    return Hypnogram(path, ordered, None, contradiction_note(path, ordered))


def _parse(path: Path) -> ElementTree.Element:
    # With expat itself a document type is refused where it begins, before any entity is expanded.
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise InputError(f"{path} nests more than {_DEEPEST} elements: it is no stage file")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: object) -> NoReturn:
        raise InputError(
            f"{path} declares a document type, which stage files never do: it is not read"
        )

    parser.StartDoctypeDeclHandler = refuse
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError(f"{path} is larger than 64 MB: it is no stage file")
        # From a text, expat takes no encoding that the file declares.
        parser.Parse(_decoded(path.read_bytes()), True)
    except expat.ExpatError as exc:
        raise InputError(f"{path} is damaged: it is not XML ({exc}). Copy it again") from exc
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
    return builder.close()


def _decoded(raw: bytes) -> str:
    """Decode a file: by its first bytes, as it declares, as UTF-8, or as Windows writes text."""
    declared = _DECLARED.match(raw.lstrip()[:200])
    shown = next((codec for start, codec in _BOMS if raw.startswith(start)), None)
    for encoding in (shown, declared and declared[1].decode("ascii"), "utf-8", "cp1252"):
        try:
            # Python knows slow codecs too, and codecs of no text.
            if encoding and (encoding is shown or _BYTE_CODECS.match(codecs.lookup(encoding).name)):
                return raw.decode(encoding)
        except (LookupError, UnicodeError):
            continue
    return raw.decode("latin-1")


def _events(path: Path, root: ElementTree.Element) -> list[StageSpan]:
    """Read the stages among the events of an NSRR file."""
    spans = []
    for event in _stage_events(root):
        onset_s = _number(path, event.findtext("Start"), "Start of a stage")
        duration_s = _number(path, event.findtext("Duration"), "Duration of a stage")
        concept = (event.findtext("EventConcept") or "").strip()
        code = _STAGE_CONCEPT.fullmatch(concept)
        stage = _stage(path, code[1] if code else concept)
        spans.append(StageSpan(onset_s, duration_s, stage))
    return spans


def _stage_events(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield the events that are stages: those of the type 'Stages', or with a stage's code."""
    for event in root.iter("ScoredEvent"):
        kind = (event.findtext("EventType") or "").strip().casefold()
        concept = (event.findtext("EventConcept") or "").strip()
        if kind.startswith("stage") or (not kind and _STAGE_CONCEPT.fullmatch(concept)):
            yield event


def _epochs(path: Path, root: ElementTree.Element) -> list[StageSpan]:
    """Read the stages of a Profusion file."""
    if len(root.findall("SleepStages")) > 1:
        raise InputError(f"{path} holds the stages of several scorers: give a file with one")
    return [
        StageSpan(EPOCH_S * i, EPOCH_S, _stage(path, (element.text or "").strip()))
        for i, element in enumerate(root.iterfind("SleepStages/SleepStage"))
    ]


def _stage(path: Path, text: str) -> Stage | None:
    """Return the stage of a code or a word. Raises InputError if it is neither."""
    if text in NUMBERS:
        return NUMBERS[text]
    word = stage_word(text)
    if word is None or not word.known or text.isdigit():
        raise InputError(
            f"{path} holds the stage code '{clean(text)}': known are 0 to 6 and 9 (unscored), and "
            "words such as 'N2'"
        )
    return word.stage


def _number(path: Path, text: str | None, field: str) -> float:
    """Parse ``text``, the value of ``field``: seconds. Raises InputError if it is none."""
    shown = clean(text or "")
    try:
        value = float(shown.replace(",", "."))
    except ValueError:
        value = math.nan
    if not 0 <= value <= LATEST_S:
        raise InputError(f"{path} is damaged: its {field} is '{shown}', not a number of 0 or more")
    return value
