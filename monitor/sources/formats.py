"""Choose the reader for a recording by the file's content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from monitor.sources.edf import EdfRecording
from monitor.sources.recording import Recording
from monitor.sources.texts.brainflow_file import is_brainflow, open_brainflow
from monitor.sources.texts.muse import (
    is_mind_monitor,
    is_muselsl,
    open_mind_monitor,
    open_muselsl,
)
from monitor.sources.texts.openbci import is_openbci, open_openbci

OpenRecording = Callable[[Path], Recording]
"""Opens a recording. Raises `InputError` for a file that nobody can stage."""

HEAD_BYTES = 64 * 1024
"""The beginning of a file, by which its format is recognised."""


@dataclass(frozen=True, slots=True)
class RecordingFormat:
    """A format of recordings. ``recognises`` takes the first `HEAD_BYTES` of a file."""

    recognises: Callable[[bytes], bool]
    open: OpenRecording


FORMATS = (
    RecordingFormat(is_mind_monitor, open_mind_monitor),
    RecordingFormat(is_muselsl, open_muselsl),
    RecordingFormat(is_openbci, open_openbci),
    RecordingFormat(is_brainflow, open_brainflow),
)
"""The formats besides EDF and BDF; the first one that recognises a file reads it."""


def open_recording(path: Path) -> Recording:
    """Open the recording at ``path`` with the reader for its format.

    The content decides, whatever the name: `FORMATS` are tried in turn. `EdfRecording` reads the
    rest, and refuses a file that is none of EDF, EDF+, BDF and BDF+. ``FORMATS.md`` describes the
    formats.

    Raises `InputError` if the file cannot be read, is damaged, or has another format.
    """
    found = recognised_format(path)
    return found.open(path) if found else EdfRecording.open(path)


def recognised_format(path: Path) -> RecordingFormat | None:
    """Return the one of `FORMATS` that the file at ``path`` has, or None."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return None  # the reader of EDF says why it cannot be read
    return next((each for each in FORMATS if each.recognises(head)), None)
