"""Notices that a night's file was deleted, replaced or changed while a monitor writes it."""

from __future__ import annotations

import os
from pathlib import Path

JOURNAL = ("-wal", "-shm")
"""Suffixes of SQLite's files beside a night that is being written."""

SUFFIXES = ("", *JOURNAL, "-journal", ".lock")
"""Suffixes of every file of a night's store."""


def store_files(path: Path) -> list[Path]:
    """Return every file that a night's store ``path`` may have, existing or not."""
    path = path.resolve()  # SQLite and the lock follow links too
    return [path.with_name(path.name + suffix) for suffix in SUFFIXES]


class FileWatch:
    """The identity of a night's file and of its journal, as they were at the last `note`.

    POSIX lets a file be removed, moved or cut while a program writes it, and SQLite does not
    notice: its writes succeed, and are gone when the program ends.
    """

    def __init__(self, path: Path) -> None:
        self._paths = [path.with_name(path.name + suffix) for suffix in ("", *JOURNAL)]
        self._seen = [_look(each) for each in self._paths]

    def note(self) -> None:
        """Take the sizes and times of the files as they are now. Call it after each write."""
        for n, path in enumerate(self._paths):
            now, before = _look(path), self._seen[n]
            # A file that was lost since the last look stays lost.
            if now is not None and (before is None or _same(now, before)):
                self._seen[n] = now

    def lost(self) -> str:
        """Return what happened to a file that is no longer in its place; "" if all of them are."""
        for path, before in zip(self._paths, self._seen, strict=True):
            now = _look(path)
            if before is None:
                continue
            if now is None:
                return f"{path} was deleted or moved"
            if not _same(now, before):
                return f"{path} was replaced by another file"
        return ""

    def remove_journal(self) -> None:
        """Remove the journal of a file that is gone. SQLite would apply it to any other file."""
        file, *journal = zip(self._paths, self._seen, strict=True)
        if _is_there(*file):
            return
        for path, before in journal:
            if _is_there(path, before):
                path.unlink(missing_ok=True)

    def touched(self) -> bool:
        """Return True if another program wrote or cut a file since `note`."""
        (file, journal, _), now = self._seen, [_look(path) for path in self._paths]
        if file is None or now[0] is None:
            return False
        cut = journal is not None and now[1] is not None and now[1].st_size < journal.st_size
        return cut or now[0].st_mtime_ns != file.st_mtime_ns or now[0].st_size != file.st_size


def _is_there(path: Path, before: os.stat_result | None) -> bool:
    now = _look(path)
    return now is not None and before is not None and _same(now, before)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
