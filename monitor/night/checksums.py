"""The checksum of a stored row. SQLite has none: a changed bit would be another stage."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

Value = str | bytes | int | float | None
"""A value that SQLite stores."""

Row = tuple[Value, ...]
"""The values of a stored row that its checksum covers."""


def checksum(values: Iterable[Value]) -> int:
    """Return the CRC-32 of a row's values, the same for a row as written and as read back.

    CRC-32 finds every error of up to 32 neighbouring bits, and one in four billion of the others is
    missed (Koopman 2002, "32-bit cyclic redundancy codes for Internet applications").
    """
    crc = 0
    for value in values:
        crc = zlib.crc32(_encoded(value), crc)
    return crc


def _encoded(value: Value) -> bytes:
    """Return ``value`` as bytes that no other value has, and that end where the value ends."""
    match value:
        case None:
            return b"n"
        case int() | float():
            # A REAL column returns 1 as 1.0 and -0.0 as 0.0.
            return b"f" + struct.pack("<d", value + 0.0)
        case str():
            text = value.encode()
            return b"t%d:" % len(text) + text
        case _:
            return b"b%d:" % len(value) + value
