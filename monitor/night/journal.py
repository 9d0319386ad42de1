"""Finds damage in the journal that a killed monitor leaves beside a night's file.

SQLite reads its journal up to the first frame whose checksum is wrong, and takes the rest for the
remains of an older journal: a night would be shorter without a word. The format is described in
https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
import sys
from array import array
from pathlib import Path
from typing import BinaryIO

_HEADER, _FRAME = struct.Struct(">8I"), struct.Struct(">6I")
_MAGIC = 0x377F0682
"""The last bit of the journal's magic number is 1 if its checksums add big-endian words."""

Sums = tuple[int, int]


def journal_damage(path: Path) -> str:
    """Return what is wrong with the journal of the night's file ``path``; "" if nothing is.

    Damage shows by the ends of the writes at and after it. A power cut may break the last write
    off, which looks the same. A journal that was cut shows nothing. Raises OSError.
    """
    # A monitor may write the journal meanwhile: what is wrong then is right the next time.
    return _damage(path) and _damage(path)


def _damage(path: Path) -> str:
    try:
        with path.with_name(path.name + "-wal").open("rb") as file:
            return _damage_in(file)
    except FileNotFoundError:
        return ""


def _damage_in(file: BinaryIO) -> str:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return ""
    magic, _, page_size, _, *salts, sum_1, sum_2 = _HEADER.unpack(header)
    sums = _added((0, 0), header[:24], magic)
    if magic & ~1 != _MAGIC or sums != (sum_1, sum_2):
        return "the header of its journal is damaged, so no write in it can be read"
    n_lost, sound = 0, True
    while len(frame := file.read(_FRAME.size + page_size)) == _FRAME.size + page_size:
        _, size_after, *frame_salts, sum_1, sum_2 = _FRAME.unpack_from(frame)
        if sound:
            sums = _added(_added(sums, frame[:8], magic), frame[_FRAME.size :], magic)
            sound = frame_salts == salts and sums == (sum_1, sum_2)
        # The last frame of a write holds the size of the file after it. Frames with other salts are
        # remains.
        n_lost += not sound and frame_salts == salts and size_after > 0
    return f"its journal is damaged, {n_lost} of its writes cannot be read" if n_lost else ""


def _added(sums: Sums, data: bytes, magic: int) -> Sums:
    """Return the checksum ``sums`` of a journal after ``data``, a multiple of 8 bytes."""
    words = array("I", data)
    if (sys.byteorder == "big") != bool(magic & 1):
        words.byteswap()
    first, second = sums
    pairs = iter(words)
    for one, other in zip(pairs, pairs, strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second
