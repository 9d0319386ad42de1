"""Files of BrainFlow's ``DataFilter.write_file`` and of its file streamer: numbers, tab-separated.

A line is a sample, a column a row of the board's data, EEG in microvolts. Nothing names the board:
it is known by the number of columns, the stamps and their rate, if only boards with the same
channels fit.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from monitor.errors import InputError
from monitor.sources.brainflow.boards import FileLayout, board_channels, file_layouts
from monitor.sources.texts.even_times import mended, recorded_rate_hz
from monitor.sources.texts.recording import EARLIEST_UTC, LATEST_UTC, Layout, TextRecording
from monitor.sources.texts.stamps import unix_seconds
from monitor.sources.texts.table import Table, first_lines, numbers, read_head
from monitor.types import F64

DELIMITER = "\t"

SAME_RATE = 0.012
"""The stamps show a rate this close to the board's: 250 and 256 Hz are 2.4 % apart."""

LISTED = 6
"""Boards that a message names."""


def is_brainflow(head: bytes) -> bool:
    """Return True if a file that begins with ``head`` holds tab-separated numbers and no names."""
    cells = first_lines(head)[0].split(DELIMITER)
    return len(cells) >= 4 and not np.isnan(_row(cells)).any()


def open_brainflow(path: Path) -> TextRecording:
    """Open a file of BrainFlow.

    Raises `InputError` if it cannot be staged, and if its board is not known: the name of the file
    may then state it.
    """
    lines = first_lines(read_head(path))
    n_cells = lines[0].count(DELIMITER) + 1
    table = Table(path, DELIMITER.encode(), n_cells, header_lines=0)
    # A file as an array: (n_lines, n_cells).
    values = np.array([_row(c) for line in lines if len(c := line.split(DELIMITER)) == n_cells])
    name, found = _board(path, n_cells, values)
    channels, notes = board_channels(name)
    layout = Layout(
        recorder="BrainFlow",
        table=table,
        time_column=found.time_column,
        names=channels,
        columns=found.columns,
        times=unix_seconds,
        nominal_hz=found.sfreq_hz,
        number_column=found.number_column,
        notes=notes,
        # The same file read as of another board is another recording.
        identity=repr(replace(found, names=channels)),
    )
    return TextRecording(layout)


def _board(path: Path, n_cells: int, values: F64) -> tuple[str, FileLayout]:
    """Return name and layout of the board that recorded the file."""
    layouts = file_layouts(n_cells)
    parts = re.split(r"[.\s-]+", path.stem.lower())
    if stated := next((name for name in layouts if name in parts), None):
        return stated, layouts[stated]
    fitting = {name: layout for name, layout in layouts.items() if _fits(layout, values)}
    if not layouts or (values.shape[0] > 1 and not fitting):
        raise InputError(
            f"{path} holds {n_cells} columns of numbers without names, and no board of BrainFlow "
            "writes such EEG files: give a file that names its channels, or convert it to EDF"
        )
    if len(set(fitting.values())) == 1:
        return next(iter(fitting.items()))
    names = list(fitting)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    raise InputError(
        f"{path} does not name the board that recorded it, and its {n_cells} columns fit "
        f"{', '.join(names[:LISTED])}{more}: put the board into the file's name, as in "
        f"'{path.stem}.{names[0]}{path.suffix}'"
    )


def _fits(layout: FileLayout, values: F64) -> bool:
    """Return True if stamps and rate of the first lines (n_lines, n_cells) are those of a board."""
    stamps_s = values[:, layout.time_column]
    if not ((stamps_s > EARLIEST_UTC) & (stamps_s < LATEST_UTC)).all():
        return False
    if (values[:, layout.number_column] < 0).any():
        return False
    risen_s, _ = mended(stamps_s, 1.0 / layout.sfreq_hz)
    rate_hz = recorded_rate_hz(risen_s, 0.0)
    return rate_hz is None or abs(rate_hz / layout.sfreq_hz - 1.0) <= SAME_RATE


def _row(cells: list[str]) -> F64:
    return numbers(np.array([cell.encode() for cell in cells], np.bytes_))
