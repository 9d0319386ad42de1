"""Choose the reader for a recording by the file's format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from monitor.sources.edf import EdfRecording
from monitor.sources.recording import Recording

_SUFFIXES = (".edf", ".bdf")
_FIRST_BYTES = (b"0       ", b"\xffBIOSEMI")

OpenRecording = Callable[[Path], Recording]
"""Opens a recording. Raises `InputError` for a file that nobody can stage."""


def open_recording(path: Path) -> Recording:
    """Open the recording at ``path`` with the reader for its format.

    There is one reader today: `EdfRecording` for EDF, EDF+, BDF and BDF+. It recognises these by
    the first bytes of the file, whatever its name, and refuses every other file. A reader for
    another format goes before it, chosen by the suffix of ``path`` (see ``ADDING.md``).

    Raises `InputError` if the file cannot be read, is damaged, or has another format.
    """
    return EdfRecording.open(path)


def may_be_recording(path: Path) -> bool:
    """Return True if the file ``path`` is a recording by its first bytes or its name.

    It may still be damaged, or hold no signal. A folder is searched by this. Raises OSError.
    """
    if path.suffix.lower() in _SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(8) in _FIRST_BYTES
