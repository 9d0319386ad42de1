"""Writes a small picture as PNG, with a palette (ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def png_url(levels: npt.NDArray[np.uint8], palette: Sequence[tuple[int, int, int]]) -> str:
    """Return ``levels`` (n_rows, n_columns) as a data URL. Level 0 is transparent.

    ``palette``: the colours of the levels 1, 2, ...; at most 255.
    """
    height, width = levels.shape
    colours = bytes((0, 0, 0)) + bytes(value for colour in palette for value in colour)
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter, 0: none
    rows[:, 1:] = levels
    data = b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", colours),
            _chunk(b"tRNS", b"\0"),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )
    return f"data:image/png;base64,{b64encode(data).decode()}"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
