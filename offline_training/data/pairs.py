"""Pair each recording with its hypnogram, by file name alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from monitor.errors import InputError

HYPNOGRAM_ENDINGS = ("-hypnogram.edf", "-hypnogram.bdf", "-nsrr.xml", "-profusion.xml")
"""Endings of a hypnogram's name, after the recording's name. Case is ignored; the first match
wins."""

_SUFFIXES = (".edf", ".bdf")
_PSG = "-psg"
# After subject and night, a Sleep-EDF name has two letters for the recording and its scorer:
# SC4001E0-PSG.edf was scored in SC4001EC-Hypnogram.edf.
_SLEEP_EDF = re.compile(r"((?:SC4|ST7)\d{3})[A-Z][A-Z0-9]-PSG", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pair:
    """A recording and its expert stages.

    - ``name`` is the recording's path below the root, without ``-PSG`` and suffix, with '/' between
      its parts. It is unique under one root.
    - ``hypnogram`` may be EDF+ or XML; `offline_training.data.expert.expert_stages` reads both. It
      is None if only the recording's own annotations can hold stages.
    """

    recording: Path
    hypnogram: Path | None
    name: str


def find_pairs(root: Path) -> list[Pair]:
    """Find every EDF and BDF recording below ``root`` and its hypnogram; order them by name.

    The hypnogram of ``X.edf`` or ``X-PSG.edf`` lies in the same folder. Its name is ``X`` followed
    by one of `HYPNOGRAM_ENDINGS`; in Sleep-EDF it shares the recording's first six characters.
    Hidden files and folders are ignored. No file is opened.

    Raises InputError if ``root`` is not a folder or holds no recording, if two recordings have the
    same name, or if two hypnograms could belong to one recording.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: give the folder that holds the recordings")
    pairs = []
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        if any(part.startswith(".") for part in folder.relative_to(root).parts):
            continue
        visible = [path for path in sorted(folder.iterdir()) if _is_visible(path)]
        files = {path.name.lower(): path for path in visible}
        for path in visible:
            name = path.name.lower()
            if name.endswith(_SUFFIXES) and not name.endswith(HYPNOGRAM_ENDINGS):
                pairs.append(Pair(path, _hypnogram(path, files), _name(root, path)))
    if not pairs:
        raise InputError(f"{root} holds no EDF or BDF recording: give the folder that does")
    pairs.sort(key=lambda pair: pair.name)
    for first, second in pairwise(pairs):
        if first.name == second.name:
            raise InputError(
                f"{first.recording} and {second.recording} would both be called {first.name}: "
                "rename or move one of them"
            )
    return pairs


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".") and path.is_file()


def _name(root: Path, recording: Path) -> str:
    return (recording.relative_to(root).parent / _stem(recording)).as_posix()


def _stem(recording: Path) -> str:
    stem = recording.stem
    return stem[: -len(_PSG)] if stem.lower().endswith(_PSG) else stem


def _hypnogram(recording: Path, files: dict[str, Path]) -> Path | None:
    """Find the hypnogram of ``recording`` among ``files``, the paths by name in lower case."""
    for ending in HYPNOGRAM_ENDINGS:
        if found := files.get(_stem(recording).lower() + ending):
            return found
    if night := _SLEEP_EDF.fullmatch(recording.stem):
        return _only(recording, sorted(_hypnograms_of(night[1].lower(), files)))
    return None


def _hypnograms_of(night: str, files: dict[str, Path]) -> Iterable[Path]:
    """Find the EDF or BDF hypnograms whose name begins with ``night``."""
    return (
        path
        for name, path in files.items()
        if name.startswith(night) and name.endswith(HYPNOGRAM_ENDINGS[:2])
    )


def _only(recording: Path, found: list[Path]) -> Path | None:
    if len(found) > 1:
        raise InputError(
            f"{recording} has more than one hypnogram, {found[0].name} and {found[1].name}: "
            "move all but one away"
        )
    return found[0] if found else None
