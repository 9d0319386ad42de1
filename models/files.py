"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would change line ends

PART = ".part"
"""Suffix of a file that is still being written."""


@contextmanager
def whole_file(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Yield a binary file that replaces ``path`` when the block ends, once it is safe on disk.

    If the block raises, or the disk is full, ``path`` stays as it was and nothing is left beside
    it. A new file gets ``mode``, less the umask, before anything is in it; one that is replaced
    passes its own mode on. Raises OSError.
    """
    part = path.with_name(path.name + PART)
    try:
        part.unlink(missing_ok=True)  # left by a crash, perhaps with another mode
        with os.fdopen(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode), "wb"
        ) as file:
            if path.exists():
                part.chmod(stat.S_IMODE(path.stat().st_mode))
            yield file
            file.flush()
            # Without this, a loss of power after the rename can leave an empty file.
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
