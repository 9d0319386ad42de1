"""Choose the reader for a recording by the file's content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from monitor.sources.edf import EdfRecording
from monitor.sources.mne_files.kinds import MNE_KINDS, is_part
from monitor.sources.mne_files.recording import MneRecording
from monitor.sources.recording import Recording
from monitor.sources.texts.brainflow_file import is_brainflow, open_brainflow
from monitor.sources.texts.muse import (
    is_mind_monitor,
    is_muselsl,
    open_mind_monitor,
    open_muselsl,
)
from monitor.sources.texts.openbci import is_openbci, open_openbci
from monitor.sources.xdf.recording import is_xdf, open_xdf

OpenRecording = Callable[[Path], Recording]
"""Opens a recording. Raises `InputError` for a file that nobody can stage."""

HEAD_BYTES = 64 * 1024
"""The beginning of a file, by which its format is recognised."""


EDF_BYTES = (b"0       ", b"\xffBIOSEMI")
"""The first bytes of an EDF or BDF file."""


@dataclass(frozen=True, slots=True)
class RecordingFormat:
    """A format of recordings.

    ``recognises`` takes the first `HEAD_BYTES` of a file. ``suffixes``, ends of names in lower
    case, are for files and folders that no format recognises.
    """

    recognises: Callable[[bytes], bool]
    open: OpenRecording
    suffixes: tuple[str, ...] = ()


FORMATS = (
    RecordingFormat(is_mind_monitor, open_mind_monitor),
    RecordingFormat(is_muselsl, open_muselsl),
    RecordingFormat(is_openbci, open_openbci),
    RecordingFormat(is_brainflow, open_brainflow),
    RecordingFormat(is_xdf, open_xdf, (".xdf", ".xdfz", ".xdf.gz")),
    *(
        RecordingFormat(kind.recognises, partial(MneRecording, kind=kind), kind.suffixes)
        for kind in MNE_KINDS
    ),
)
"""The formats besides EDF and BDF; the first one that recognises a file reads it."""

_SUFFIXES = (".edf", ".bdf", *(end for each in FORMATS for end in each.suffixes))


def open_recording(path: Path) -> Recording:
    """Open the recording at ``path`` with the reader for its format.

    The content decides, whatever the name: `FORMATS` are tried in turn. The name decides for the
    formats that have no first bytes of their own. `EdfRecording` reads the rest, and refuses a file
    that is none of EDF, EDF+, BDF and BDF+. ``FORMATS.md`` describes the formats.

    Raises `InputError` if the file cannot be read, is damaged, or has another format.
    """
    found = recognised_format(path)
    return found.open(path) if found else EdfRecording.open(path)


def may_be_recording(path: Path) -> bool:
    """Return True if ``path`` is a recording by its first bytes or its name.

    It may still be damaged, or hold no signal. A folder is searched by this. A file that belongs to
    another one, such as BrainVision's markers, is none. A file that may not be read counts as one:
    its reader gives the reason.
    """
    if path.name.lower().endswith(_SUFFIXES):
        return not is_part(path)
    try:
        with path.open("rb") as file:
            head = file.read(1)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return bool(head) and (recognised_format(path) is not None or _head(path).startswith(EDF_BYTES))


def recognised_format(path: Path) -> RecordingFormat | None:
    """Return the one of `FORMATS` that the file at ``path`` has, or None."""
    head, name = _head(path), path.name.lower()
    if head.startswith(EDF_BYTES):
        return None
    if found := next((each for each in FORMATS if head and each.recognises(head)), None):
        return found
    # The reader of EDF says why a file cannot be read.
    if not head and not _is_folder(path):
        return None
    return next((each for each in FORMATS if each.suffixes and name.endswith(each.suffixes)), None)


def _head(path: Path) -> bytes:
    """Return the beginning of a file; b"" for anything else, and if it cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
