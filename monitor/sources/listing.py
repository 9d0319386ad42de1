"""List the files of folders in which recordings are searched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from monitor.sources.mne_files.kinds import FOLDER_SUFFIXES


def is_plain_folder(path: Path) -> bool:
    """Return True for a folder that holds recordings, and is none itself (`FOLDER_SUFFIXES`)."""
    return path.is_dir() and not path.name.lower().endswith(FOLDER_SUFFIXES)


def visible_files(folder: Path) -> list[Path]:
    """Return the files in ``folder`` that are not hidden, by name. Raises OSError.

    A folder that is one recording counts as a file.
    """
    with os.scandir(folder) as found:  # thousands of files, looked at once for each of them
        names = [each.name for each in found if each.name[0] != "." and _counts(each)]
    return [folder / name for name in sorted(names)]


def visible_folders(top: Path, note: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield ``top`` and the folders in it that are not hidden, in order. Links are not followed.

    ``note`` takes the error of a folder that cannot be read.
    """
    for folder, names, _ in os.walk(top, onerror=note):
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".") and not name.lower().endswith(FOLDER_SUFFIXES)
        )
        yield Path(folder)


def _counts(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file() or (entry.is_dir() and entry.name.lower().endswith(FOLDER_SUFFIXES))
    except OSError:  # a link to itself
        return False
