"""Find the hypnogram of a recording by file name alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from monitor.errors import InputError
from monitor.sources.listing import visible_files

HYPNOGRAM_ENDINGS = ("-hypnogram.edf", "-hypnogram.bdf", "-nsrr.xml", "-profusion.xml")
"""Endings of a hypnogram's name, after the recording's name. Case is ignored; the first match
wins."""

SCORED = "-scored"
"""Every file that `sleep-monitor score` writes for ``X.edf`` begins with the name ``X-scored``: it
replaces neither the recording nor an expert's hypnogram, and is never taken for one."""

_PSG = "-psg"
# After subject and night, a Sleep-EDF name has two letters for the recording and its scorer:
# SC4001E0-PSG.edf was scored in SC4001EC-Hypnogram.edf.
_SLEEP_EDF = re.compile(r"((?:SC4|ST7)\d{3})[A-Z][A-Z0-9]-PSG", re.IGNORECASE)


def find_hypnogram(recording: Path) -> Path | None:
    """Return the hypnogram beside ``recording``, or None. No file is opened.

    The hypnogram of ``X.edf`` or ``X-PSG.edf`` lies in the same folder. Its name is ``X`` followed
    by one of `HYPNOGRAM_ENDINGS`; in Sleep-EDF it shares the recording's first six characters.

    Raises InputError if two hypnograms could belong to the recording.
    """
    try:
        files = visible_files(recording.parent)
    except OSError:  # a folder that may not be listed: its files can still be named
        return None
    return hypnogram_among(recording, {path.name.lower(): path for path in files})


def hypnogram_among(recording: Path, files: dict[str, Path]) -> Path | None:
    """Return the hypnogram of ``recording`` among ``files``, the paths by name in lower case.

    Raises InputError as `find_hypnogram` does.
    """
    for ending in HYPNOGRAM_ENDINGS:
        if found := files.get(recording_stem(recording).lower() + ending):
            return found
    if night := _SLEEP_EDF.fullmatch(recording.stem):
        return _only(recording, sorted(_hypnograms_of(night[1].lower(), files)))
    return None


def recording_stem(recording: Path) -> str:
    """Return the file's name without ``-PSG`` and suffix."""
    stem = recording.stem
    return stem[: -len(_PSG)] if stem.lower().endswith(_PSG) else stem


def _hypnograms_of(night: str, files: dict[str, Path]) -> Iterable[Path]:
    """Find the EDF or BDF hypnograms whose name begins with ``night``."""
    return (
        path
        for name, path in files.items()
        if name.startswith(night) and name.endswith(HYPNOGRAM_ENDINGS[:2]) and SCORED not in name
    )


def _only(recording: Path, found: list[Path]) -> Path | None:
    if len(found) > 1:
        raise InputError(
            f"{recording} has more than one hypnogram, {found[0].name} and {found[1].name}: "
            "move all but one away"
        )
    return found[0] if found else None
