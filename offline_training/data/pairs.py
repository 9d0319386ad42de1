"""Pair each recording with its hypnogram."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from monitor.errors import InputError
from monitor.sources.formats import may_be_recording
from monitor.sources.hypnogram_files import (
    HYPNOGRAM_ENDINGS,
    hypnogram_among,
    recording_stem,
)
from monitor.sources.listing import visible_files, visible_folders


@dataclass(frozen=True, slots=True)
class Pair:
    """A recording and its expert stages.

    - ``name`` is the recording's path below the root, without ``-PSG`` and suffix, with '/' between
      its parts. It is unique under one root.
    - ``hypnogram`` may be EDF+ or XML. It is None if only the recording's own annotations can hold
      stages.
    """

    recording: Path
    hypnogram: Path | None
    name: str


def find_pairs(root: Path) -> list[Pair]:
    """Find every recording below ``root`` and its hypnogram; order them by name.

    `formats.may_be_recording` finds them. `find_hypnogram` says which names a hypnogram may have.
    Hidden files and folders are ignored.

    Raises InputError if ``root`` is not a folder or holds no recording, if two recordings have the
    same name, or if two hypnograms could belong to one recording.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: give the folder that holds the recordings")
    pairs = []
    for folder in visible_folders(root, _refuse):
        visible = visible_files(folder)
        files = {path.name.lower(): path for path in visible}
        for path in visible:
            name = path.name.lower()
            if not name.endswith(HYPNOGRAM_ENDINGS) and may_be_recording(path):
                pairs.append(Pair(path, hypnogram_among(path, files), _name(root, path)))
    if not pairs:
        raise InputError(f"{root} holds no recording: give the folder that does")
    pairs.sort(key=lambda pair: pair.name)
    for first, second in pairwise(pairs):
        if first.name == second.name:
            raise InputError(
                f"{first.recording} and {second.recording} would both be called {first.name}: "
                "rename or move one of them"
            )
    return pairs


def _refuse(exc: OSError) -> None:
    raise InputError(f"{exc.filename} cannot be read: {exc.strerror}") from exc


def _name(root: Path, recording: Path) -> str:
    return (recording.relative_to(root).parent / recording_stem(recording)).as_posix()
