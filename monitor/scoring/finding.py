"""Find the recordings among files and folders."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from monitor.errors import InputError
from monitor.exports.exported import PROGRAM
from monitor.sinks.epochs_csv import COLUMNS
from monitor.sources.edf_header import read_header
from monitor.sources.formats import may_be_recording
from monitor.sources.hypnogram_files import HYPNOGRAM_ENDINGS, SCORED
from monitor.sources.listing import is_plain_folder, visible_files, visible_folders
from monitor.text import printed

_OWN = PROGRAM.encode()
_TABLE = ",".join(COLUMNS).encode()
_START_BYTES = 1 << 20
"""Every file that names its program does so within these."""

_OWN_STEMS = re.compile(rf".*{SCORED}.*|.*_task-sleep_eeg", re.IGNORECASE)
"""Names of the monitor's own files: `score`'s, and BIDS recordings."""

_log = logging.getLogger(__name__)


def find_recordings(paths: Sequence[Path], *, recursive: bool = False) -> list[Path]:
    """Return the recordings that ``paths`` name, each once, and those in the folders among them.

    Recordings are found by content. Hypnograms and the files that `score` wrote are passed over,
    hidden files, and folders within folders unless ``recursive``. Raises `InputError` for a path
    that is not there, or a folder that cannot be read.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for each in _files_of(path, recursive):
            found.setdefault(os.path.realpath(each), each)
    return list(found.values())


def is_own(path: Path) -> bool:
    """Return True if the monitor wrote the file ``path``. Raises OSError."""
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    return _OWN in start or start.startswith(_TABLE)


def _files_of(path: Path, recursive: bool) -> Iterator[Path]:
    try:
        if not is_plain_folder(path):
            if not os.path.lexists(path):
                raise InputError(f"{path} does not exist: check the name")
            if why := _not_recorded(path):
                _log.info("Passed over: %s %s", printed(str(path)), why)
            else:
                yield path
            return
        for folder in visible_folders(path, _noted(path)) if recursive else (path,):
            yield from _recordings_in(folder)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise InputError(f"{printed(str(path))} cannot be read: {reason}") from exc


def _noted(top: Path) -> Callable[[OSError], None]:
    def note(exc: OSError) -> None:
        if exc.filename == str(top):
            raise exc
        _log.warning("%s cannot be read: %s", printed(str(exc.filename)), exc.strerror)

    return note


def _recordings_in(folder: Path) -> Iterator[Path]:
    for path in visible_files(folder):
        try:
            if not _not_recorded(path):
                yield path
        except OSError:  # a file that may not be read fails with its reason when it is staged
            yield path


def _not_recorded(path: Path) -> str:
    """Return why ``path`` is no recording but a file that belongs to one; "" if it is none."""
    if path.name.lower().endswith(HYPNOGRAM_ENDINGS) or _holds_annotations_only(path):
        return "holds stages, not signals"
    if _OWN_STEMS.fullmatch(path.stem) and path.is_file() and is_own(path):
        return "was written by sleep-monitor"
    if path.is_file() and not may_be_recording(path):
        return "is no recording of a format that is read"
    return ""


def _holds_annotations_only(path: Path) -> bool:
    try:
        return all(signal.is_annotation for signal in read_header(path).signals)
    except InputError:  # of another format, or damaged: the reader says which
        return False
