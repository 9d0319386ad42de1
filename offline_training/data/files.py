"""Files that are whole or not there, and the checksums that tell."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from monitor.errors import MonitorError

PART = ".part"


def sha256_of(path: Path) -> str:
    """SHA-256 of the file's content, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls ``write`` with a file that takes the place of ``path`` once it is safe on disk.

    Raises MonitorError when it cannot be written; ``path`` is then what it was.
    """
    part = path.with_name(path.name + PART)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as exc:
        part.unlink(missing_ok=True)
        raise unwritable(path, exc) from exc


def unwritable(path: Path, exc: OSError) -> MonitorError:
    """What to tell where ``path`` could not be written: a full disk above all."""
    return MonitorError(
        f"{path} cannot be written: {exc.strerror or exc}. Make room or choose another folder; "
        "the same command continues"
    )
