"""Read files and texts that anyone may have written: bounded, and with one clear error.

A file that is named by mistake may be a folder, a pipe, a device or a recording of gigabytes, and a
JSON text may be built to exhaust memory. Every JSON file of the project is read here. The
configuration, which is TOML, obeys the same limits.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LARGEST_JSON = 8 * 2**20
"""Bytes of a JSON file. The largest that the project writes, an index of 10,000 recordings, has
about 2 MB. In memory a value may need a hundred times the bytes of its text."""

DEEPEST = 32
"""Levels of nesting of a JSON or TOML value. The project writes at most eight."""

_TOO_DEEP = f"is nested more than {DEEPEST} levels deep"

_NONBLOCK, _BINARY = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_BINARY", 0)
"""The first exists on Unix. The second exists on Windows, which would translate line ends."""

_INT64 = 2**63
"""Integers that other programs read lie within 64 bits. Python's own have no limit: one of
thousands of digits overflows where it becomes a float, and takes long to print."""


class UnreadableError(ValueError):
    """A file cannot be read, or its content cannot be used. The text is the end of a sentence that
    begins with the file's name, such as "is not UTF-8 text"."""


def read_bytes(path: Path, largest: int) -> bytes:
    """Return the content of a regular file of at most ``largest`` bytes.

    Raises FileNotFoundError, and `UnreadableError` for all else: a folder, pipe or device, a file
    that may not be read or is too large, a path that no file can have.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        file_number = os.open(path, os.O_RDONLY | _NONBLOCK | _BINARY)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise UnreadableError(f"cannot be read: {exc.strerror}") from exc
    except ValueError as exc:  # A NUL in the path.
        raise UnreadableError(f"cannot be the name of a file: {exc}") from exc
    try:
        status = os.fstat(file_number)
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableError(f"cannot be read: {os.strerror(errno.EISDIR)}")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("is a pipe or a device, and not a file")
        size = status.st_size
        with open(file_number, "rb", closefd=False) as file:
            # The file may grow while it is read.
            data = b"" if size > largest else file.read(largest + 1)
    except OSError as exc:
        raise UnreadableError(f"cannot be read: {exc.strerror}") from exc
    finally:
        os.close(file_number)
    if max(size, len(data)) > largest:
        raise UnreadableError(f"has more than {largest} bytes: it is another kind of file")
    return data


def decoded(data: bytes) -> str:
    """Return UTF-8 ``data`` as text, without a byte order mark. Raises `UnreadableError`."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UnreadableError(
            f"is not UTF-8 text (byte {exc.start} is 0x{data[exc.start]:02x}): save it as UTF-8"
        ) from exc


def read_json(path: Path, largest: int = LARGEST_JSON) -> Any:
    """Return the value in the JSON file ``path``.

    Raises FileNotFoundError, and `UnreadableError` as `read_bytes` and `parsed_json` do.
    """
    return parsed_json(decoded(read_bytes(path, largest)))


def parsed_json(text: str | bytes, finite: bool = False) -> Any:
    """Return the value of a JSON text. Its integers have 64 bits.

    NaN and infinity may occur, which JSON lacks and Python writes; ``finite`` refuses them, and
    numbers that are too large for a float.

    Raises `UnreadableError` if the text is not JSON (RFC 8259), has a key twice, or if the value is
    nested more than `DEEPEST` times.
    """
    if isinstance(text, bytes):
        text = decoded(text)
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats)
    except RecursionError as exc:
        raise UnreadableError(_TOO_DEEP) from exc
    except UnreadableError:
        raise
    except ValueError as exc:  # Not JSON, or an integer of thousands of digits.
        raise UnreadableError(f"is not JSON: {exc}") from exc
    check_value(value, finite)
    return value


def check_value(value: object, finite: bool = False, depth: int = 0) -> None:
    """Check the limits of a value that was parsed from JSON or TOML: its depth and integers.

    ``finite``: check the other numbers too. Raises `UnreadableError`.
    """
    if isinstance(value, dict | list):
        if depth == DEEPEST:
            raise UnreadableError(_TOO_DEEP)
        for each in value.values() if isinstance(value, dict) else value:
            check_value(each, finite, depth + 1)
    elif isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise UnreadableError("has an integer of more than 64 bits")
    elif finite and isinstance(value, float) and not math.isfinite(value):
        raise UnreadableError("has a number that is not finite")


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            # The first letters: a key may be as long as its file.
            raise UnreadableError(f"has the key {key[:40]!r} twice in one object")
        found[key] = value
    return found
