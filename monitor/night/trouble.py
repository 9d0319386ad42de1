"""The errors of a night's file: each kind with its cause and what to do about it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from monitor.errors import InputError, MonitorError
from monitor.night.rows import RowError
from monitor.text import clean


class Trouble(StrEnum):
    """The kind of an error of a night's file."""

    FULL = "full"
    LOCKED = "locked"
    READ_ONLY = "read-only"
    FORBIDDEN = "forbidden"
    DISK = "disk"
    DAMAGED = "damaged"
    OTHER = "other"


_ADVICE = {
    Trouble.FULL: ("the disk is full", "make room"),
    Trouble.LOCKED: (
        "another program has locked it",
        "close that program, such as a viewer, a backup or another monitor",
    ),
    Trouble.READ_ONLY: ("it can only be read", "make the file and its disk writable"),
    Trouble.FORBIDDEN: (
        "it cannot be opened",
        "check that it and its folder are there, and may be read and written",
    ),
    Trouble.DISK: ("the disk failed", "make room or mend the disk"),
    Trouble.OTHER: ("SQLite refused", "make room or mend the disk"),
}
"""What is wrong, and what to do. `damaged` describes the kind that is missing here."""

# Primary result codes: https://www.sqlite.org/rescode.html
_SQLITE = {
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_LOCKED: Trouble.LOCKED,
    sqlite3.SQLITE_PROTOCOL: Trouble.LOCKED,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_PERM: Trouble.FORBIDDEN,
    sqlite3.SQLITE_AUTH: Trouble.FORBIDDEN,
    sqlite3.SQLITE_CANTOPEN: Trouble.FORBIDDEN,
    sqlite3.SQLITE_IOERR: Trouble.DISK,
    sqlite3.SQLITE_CORRUPT: Trouble.DAMAGED,
    sqlite3.SQLITE_NOTADB: Trouble.DAMAGED,
    sqlite3.SQLITE_FORMAT: Trouble.DAMAGED,
}
_ERRNO = {
    errno.ENOSPC: Trouble.FULL,
    errno.EDQUOT: Trouble.FULL,
    errno.EFBIG: Trouble.FULL,
    errno.EROFS: Trouble.READ_ONLY,
    errno.EACCES: Trouble.FORBIDDEN,
    errno.EPERM: Trouble.FORBIDDEN,
    errno.ENOENT: Trouble.FORBIDDEN,
    errno.EIO: Trouble.DISK,
}


class StoreError(MonitorError):
    """The night's file failed; ``trouble`` is the kind."""

    def __init__(self, text: str, trouble: Trouble) -> None:
        super().__init__(text)
        self.trouble = trouble


Failure = sqlite3.Error | OSError | UnicodeDecodeError | RowError
"""Errors that a night's file causes. A name in a damaged schema need not be UTF-8."""


def trouble_of(exc: Failure) -> Trouble:
    """Return the kind of an error of SQLite or the system."""
    if isinstance(exc, OSError):
        return _ERRNO.get(exc.errno or 0, Trouble.OTHER)
    if isinstance(exc, UnicodeDecodeError | RowError):
        return Trouble.DAMAGED
    code = getattr(exc, "sqlite_errorcode", None)
    if code is None:  # raised by Python: a text in the file is not UTF-8
        return Trouble.DAMAGED if "decode" in str(exc) else Trouble.OTHER
    return _SQLITE.get(code & 0xFF, Trouble.OTHER)  # the upper bits tell more than is needed


def damaged(path: Path, what: str) -> StoreError:
    """Return the error of a file whose content was changed; ``what`` says what is wrong."""
    return StoreError(
        f"the night store {path} is damaged: {what}; save what is sound with: sleep-monitor nights "
        f"export {path} --output epochs.csv",
        Trouble.DAMAGED,
    )


def unusable(path: Path, exc: Failure) -> InputError:
    """Return the error of a file that cannot be opened to store a night in it."""
    trouble = trouble_of(exc)
    if trouble is Trouble.DAMAGED:
        return InputError(
            f"cannot use {path} as the night store: it is no SQLite file, or a damaged one "
            f"({_why(exc)}); choose another with --store"
        )
    wrong, advice = _ADVICE[trouble]
    return InputError(
        f"cannot use {path} as the night store: {wrong} ({_why(exc)}); {advice}, or choose another "
        "with --store"
    )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise `StoreError` for an error of SQLite, or of the system, in the block."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError, RowError) as exc:
        trouble = trouble_of(exc)
        if trouble is Trouble.DAMAGED:
            raise damaged(path, _why(exc)) from exc
        wrong, advice = _ADVICE[trouble]
        raise StoreError(
            f"the night store {path} failed: {wrong} ({_why(exc)}); what was stored before is "
            f"safe: {advice}, then run the same command again to continue",
            trouble,
        ) from exc


def _why(exc: Failure) -> str:
    # SQLite repeats names and texts of the file, which may hold anything.
    return clean((exc.strerror or str(exc)) if isinstance(exc, OSError) else str(exc))
