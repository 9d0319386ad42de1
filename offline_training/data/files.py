"""Write files whole, compute their checksums, and describe a failed write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from models.files import whole_file
from monitor.errors import MonitorError


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file's content, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Call ``write`` with a file that replaces ``path`` once it is safe on disk.

    Missing folders are created. Raises MonitorError if writing fails; ``path`` then stays as it
    was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            write(file)
    except OSError as exc:
        raise write_error(path, exc) from exc


def write_error(path: Path, exc: OSError) -> MonitorError:
    """Return the error to raise because ``path`` could not be written: often a full disk."""
    return MonitorError(
        f"{path} cannot be written: {exc.strerror or exc}. Make room or choose another folder; "
        "the same command continues"
    )
