"""The lock of a night's file: one monitor writes it, and nobody deletes it meanwhile."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from monitor.errors import InputError
from monitor.night.file_watch import store_files
from monitor.night.trouble import translated

PRIVATE = 0o600
"""Mode of a new file: only its owner may read it."""

LOCK_S = 0.5
"""Time to wait for the lock of a file that another monitor writes: `is_being_written` may hold it
for a moment."""


def lock_of(path: Path) -> FileLock:
    """Return the lock of the night's file ``path``, which has no links in it; not acquired yet."""
    return FileLock(path.with_name(path.name + ".lock"), mode=PRIVATE)


def release(lock: FileLock) -> None:
    """Give up ``lock``, and remove its file."""
    # The file is removed while the lock is held: a process that waits for it notices, and makes a
    # new one. Windows does not remove an open file; there it stays, empty.
    with suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def is_being_written(path: Path) -> bool:
    """Return True if a monitor writes the night ``path`` now.

    It does not touch the night. A lock that a killed monitor left is removed.
    """
    lock = lock_of(path.resolve())
    # While a night goes on its lock file is there. Without one, none is made.
    if not os.path.lexists(lock.lock_file):
        return False
    try:
        lock.acquire(timeout=LOCK_S / 10)
    except Timeout:
        return True
    except OSError:  # the file of another user, who may or may not write it
        return False
    release(lock)
    return False


def delete_night(path: Path) -> None:
    """Delete the night ``path`` with its journal and lock.

    Raises `InputError` if a monitor writes it now, and `StoreError` if a file cannot be deleted.
    """
    lock = lock_of(path)
    with translated(path):
        try:
            lock.acquire(timeout=LOCK_S)
        except Timeout as exc:
            raise InputError(
                f"{path} goes on now: end the monitor that writes it, then delete the night"
            ) from exc
        try:
            remove_files(path)
        finally:
            release(lock)


def remove_files(path: Path) -> None:
    """Remove the files of the night ``path``. Its lock must be held."""
    # The file is last: SQLite would apply a journal that is left to another file of this name.
    for each in reversed(store_files(path)):
        if each.suffix != ".lock":  # `release` removes it
            each.unlink(missing_ok=True)
