"""Look through the chunks of an XDF file: the headers, and what of the file is whole.

Format: XDF 1.0 (github.com/sccn/xdf/wiki/Specifications). A chunk is its length, a tag, and
content. LabRecorder writes a boundary chunk every 10 s, at which a reader finds the chunks again
after damage.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

MAGIC = b"XDF:"
FILE_HEADER, STREAM_HEADER, SAMPLES, CLOCK_OFFSET, BOUNDARY, STREAM_FOOTER = 1, 2, 3, 4, 5, 6
BOUNDARY_ID = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")

BOUNDARY_CHUNK = b"\x01\x12\x05\x00" + BOUNDARY_ID

LONGEST_XML = 4 * 2**20
"""Bytes of the longest description that is read: a thousand channels need some 100 KB."""

MOST_STREAMS = 256

_SEARCH_BYTES = 2**20


@dataclass(slots=True)
class Chunks:
    """The chunks of a file.

    - ``header``: the XML of the file header. ``streams``: the XML of each stream by its number.
    - ``whole``: begin and end of the stretches of whole chunks, in bytes, in order.
    - ``lost_bytes`` lie between them, or after the last one: ``ends_early`` is True.
    """

    header: str = ""
    streams: dict[int, str] = field(default_factory=dict)
    whole: list[tuple[int, int]] = field(default_factory=list)
    lost_bytes: int = 0
    ends_early: bool = False


def scan(file: BinaryIO) -> Chunks:
    """Look through ``file``, past its first 4 bytes. Raises OSError."""
    chunks = Chunks()
    size = file.seek(0, 2)
    begin = at = len(MAGIC)
    while at < size:
        end = _scan_chunk(file, at, size, chunks)
        if end is not None:
            at = end
            continue
        if at > begin:
            chunks.whole.append((begin, at))
        begin = _after_boundary(file, at, size)
        chunks.lost_bytes += begin - at
        chunks.ends_early = begin == size
        at = begin
    if at > begin:
        chunks.whole.append((begin, at))
    return chunks


def _scan_chunk(file: BinaryIO, at: int, size: int, chunks: Chunks) -> int | None:
    """Look at the chunk at byte ``at``; return its end, or None if there is no whole chunk."""
    file.seek(at)
    n_bytes = file.read(1)
    if n_bytes not in (b"\x01", b"\x04", b"\x08"):
        return None
    length = int.from_bytes(file.read(n_bytes[0]), "little")
    content, end = at + 1 + n_bytes[0] + 2, at + 1 + n_bytes[0] + length
    if length < 2 or end > size:
        return None
    (tag,) = struct.unpack("<H", file.read(2))
    if not FILE_HEADER <= tag <= STREAM_FOOTER:
        return None
    if tag == FILE_HEADER and length < LONGEST_XML:
        chunks.header = _text(file, end - content)
    elif tag == STREAM_HEADER and 6 <= length < LONGEST_XML and len(chunks.streams) < MOST_STREAMS:
        (number,) = struct.unpack("<I", file.read(4))
        chunks.streams[number] = _text(file, end - content - 4)
    return end


def _text(file: BinaryIO, n_bytes: int) -> str:
    return file.read(n_bytes).decode("utf-8", "replace")


def _after_boundary(file: BinaryIO, at: int, size: int) -> int:
    """Return the end of the first boundary chunk after byte ``at``, or the size of the file."""
    while at < size:
        file.seek(at)
        found = file.read(_SEARCH_BYTES + len(BOUNDARY_ID)).find(BOUNDARY_ID)
        if found >= 0:
            return at + found + len(BOUNDARY_ID)
        at += _SEARCH_BYTES
    return size
