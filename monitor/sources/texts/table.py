"""Read a large table of text, a block at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.errors import InputError
from monitor.types import F64, Bool

HEAD_BYTES = 64 * 1024
"""The beginning of a file, by which its format is recognised."""

_BLOCK_BYTES = 1024 * 1024
_LONGEST_LINE = 64 * 1024
"""A longer line is damage, such as the zeros that a power cut leaves, and is skipped unread."""

Cells = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True)
class Table:
    """The shape of a file's lines: ``n_cells`` cells each, separated by ``delimiter``.

    The first ``header_lines`` lines are no rows.
    With a semicolon between the cells, a comma is a decimal point: spreadsheets save so in many
    countries.
    """

    path: Path
    delimiter: bytes
    n_cells: int
    header_lines: int


@dataclass(slots=True)
class Reading:
    """Facts about the lines that were read so far.

    ``cut``: the file ends within a line. ``skipped``: lines that hold another number of cells.
    """

    digest: Any
    lines: int = 0
    skipped: int = 0
    cut: bool = False


def new_reading() -> Reading:
    """Return a `Reading` of nothing."""
    return Reading(hashlib.sha256())


def read_head(path: Path) -> bytes:
    """Return the beginning of a file. Raises `InputError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc


def first_lines(head: bytes) -> list[str]:
    """Return the whole lines at the beginning of a file, without a byte order mark."""
    text = head.removeprefix(b"\xef\xbb\xbf").decode("latin-1").replace("\r\n", "\n")
    lines = text.split("\n")
    return lines[:-1] if len(lines) > 1 else lines


def names_of(line: str) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter of a line of names, and the names without quotes."""
    delimiter = max(",;\t", key=line.count)
    return delimiter, tuple(name.strip().strip('"').strip() for name in line.split(delimiter))


def usual_cells(lines: Sequence[str], delimiter: str) -> int:
    """Return the number of cells that most of ``lines`` have; 0 without lines."""
    counts = Counter(line.count(delimiter) + 1 for line in lines if line)
    return counts.most_common(1)[0][0] if counts else 0


class Rows:
    """Lines of a table, split when a cell is asked for.

    ``number_columns`` are read together when the first of them is: NumPy's reader of text takes
    1 us a line, a split in Python four times as long.
    """

    def __init__(self, lines: list[bytes], delimiter: bytes, number_columns: Sequence[int]) -> None:
        self.lines = lines
        self._delimiter = delimiter
        self._columns = sorted(set(number_columns))
        self._values: F64 | None = None  # (n_lines, n_columns)

    def cells(self, number: int) -> Cells:
        """Return the cells (n,) of a column."""
        delimiter = self._delimiter
        cells = [line.split(delimiter, number + 1)[number] for line in self.lines]
        return np.array(cells, dtype=np.bytes_)

    def numbers(self, number: int) -> F64:
        """Return the cells (n,) of a column as numbers; NaN for a cell that holds none."""
        if not self.lines:
            return np.zeros(0)
        if self._values is None:
            self._values = self._all_numbers()
        return self._values[:, self._columns.index(number)].copy()

    def only(self, kept: Bool) -> Rows:
        """Return the rows for which ``kept`` (n,) is True."""
        if kept.all():
            return self
        lines = [line for line, good in zip(self.lines, kept.tolist(), strict=True) if good]
        rows = Rows(lines, self._delimiter, self._columns)
        rows._values = None if self._values is None else self._values[kept]
        return rows

    def _all_numbers(self) -> F64:
        try:
            return np.loadtxt(
                b"\n".join(self.lines).decode("ascii").split("\n"),
                delimiter=self._delimiter.decode(),
                usecols=self._columns,
                comments=None,
                ndmin=2,
            )
        except ValueError:  # a cell is empty or holds no number
            return np.stack([numbers(self.cells(each)) for each in self._columns], axis=1)


def read_rows(table: Table, number_columns: Sequence[int], reading: Reading) -> Iterator[Rows]:
    """Yield the rows of the file, in blocks; ``reading`` counts what was read. Raises OSError."""
    delimiter, n_delimiters = table.delimiter, table.n_cells - 1
    to_skip = table.header_lines
    for block in _line_blocks(table, reading):
        lines = [line for line in block[to_skip:] if line]
        to_skip = max(0, to_skip - len(block))
        rows = [line for line in lines if line.count(delimiter) == n_delimiters]
        reading.lines += len(lines)
        reading.skipped += len(lines) - len(rows)
        if rows:
            yield Rows(rows, delimiter, number_columns)


def numbers(cells: Cells) -> F64:
    """Return the cells (n,) as numbers; NaN for a cell that holds none."""
    try:
        values: F64 = cells.astype(np.float64)
    except ValueError:
        values = np.array([_number(cell) for cell in cells.tolist()], dtype=np.float64)
    return values


def _number(cell: bytes) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan


def _line_blocks(table: Table, reading: Reading) -> Iterator[list[bytes]]:
    rest, skipping = b"", False
    with table.path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            reading.digest.update(block)
            whole, newline, tail = (rest + block).rpartition(b"\n")
            if newline:
                if skipping:
                    whole, skipping = whole.partition(b"\n")[2], False
                if b"\r" in whole:
                    whole = whole.replace(b"\r\n", b"\n").removesuffix(b"\r")
                if table.delimiter == b";":
                    whole = whole.replace(b",", b".")
                yield whole.split(b"\n")
            rest = tail
            if len(rest) > _LONGEST_LINE:
                rest, skipping = b"", True
                reading.skipped += 1
    reading.cut = bool(rest.strip() or skipping)
