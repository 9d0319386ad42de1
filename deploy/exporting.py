"""Report files of an engine build that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitor.errors import InputError


@contextmanager
def writing_to(exported: Path) -> Iterator[None]:
    """Report an OSError in the block as an `InputError` about the folder ``exported``."""
    try:
        yield
    except OSError as exc:
        raise InputError(
            f"cannot write to {exported}: {exc.strerror or exc}; choose another folder with "
            "--exported"
        ) from exc
