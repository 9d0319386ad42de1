"""Files of BrainFlow's ``DataFilter.write_file`` and of its file streamer: numbers, tab-separated.

A line is a sample, a column a row of the board's data, EEG in microvolts. Nothing names the board:
it is known by the number of columns, the stamps and their rate, if only boards with the same
channels fit.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import numpy as np

from monitor.errors import InputError
from monitor.sources.brainflow.boards import FileLayout, board_channels, file_layouts
from monitor.sources.texts.even_times import mended, recorded_rate_hz
from monitor.sources.texts.recording import EARLIEST_UTC, LATEST_UTC, TextLayout, TextRecording
from monitor.sources.texts.stamps import unix_seconds
from monitor.sources.texts.table import (
    Table,
    first_lines,
    new_reading,
    numbers,
    read_head,
    read_rows,
)

DELIMITER = "\t"

SAME_RATE = 0.012
"""The stamps show a rate this close to the board's: 250 and 256 Hz are 2.4 % apart."""

BLOCKS = 4
"""Blocks of the file, of 1 MiB each, in which the stamps are looked at."""

LISTED = 6
"""Boards that a message names."""


def is_brainflow(head: bytes) -> bool:
    """Return True if a file that begins with ``head`` holds tab-separated numbers and no names."""
    cells = first_lines(head)[0].split(DELIMITER)
    values = numbers(np.array([cell.encode("latin-1") for cell in cells], np.bytes_))
    is_stamp = (values > EARLIEST_UTC) & (values < LATEST_UTC)
    return len(cells) >= 4 and bool(np.isfinite(values).all() and is_stamp.any())


def open_brainflow(path: Path) -> TextRecording:
    """Open a file of BrainFlow.

    Raises `InputError` if it cannot be staged, and if its board is not known: the name of the file
    may then state it.
    """
    n_cells = first_lines(read_head(path))[0].count(DELIMITER) + 1
    table = Table(path, DELIMITER.encode(), n_cells, header_lines=0)
    name, found = _board(table)
    channels, notes = board_channels(name)
    layout = TextLayout(
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
        identity=repr(found),
    )
    return TextRecording(layout)


def _board(table: Table) -> tuple[str, FileLayout]:
    """Return name and layout of the board that recorded the file."""
    path, layouts = table.path, file_layouts(table.n_cells)
    parts = re.split(r"[.\s-]+", path.stem.lower())
    if stated := next((name for name in layouts if name in parts), None):
        return stated, layouts[stated]
    fitting = {name: each for name, each in layouts.items() if _fits(each, table)}
    if not fitting:
        raise InputError(
            f"{path} holds {table.n_cells} columns of numbers without names, and no board of "
            "BrainFlow writes such a file of EEG: give a file that names its channels, or convert "
            "it to EDF"
        )
    if len(set(fitting.values())) == 1:
        return next(iter(fitting.items()))
    names = list(fitting)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    raise InputError(
        f"{path} does not name the board that recorded it, and its {table.n_cells} columns fit "
        f"{', '.join(names[:LISTED])}{more}: put the board into the file's name, as in "
        f"'{path.stem}.{names[0]}{path.suffix}'"
    )


def _fits(layout: FileLayout, table: Table) -> bool:
    """Return True if the first stamps, their rate and the package numbers are those of a board."""
    columns = [layout.time_column, layout.number_column]
    stamps_s, package_numbers = np.concatenate(
        [
            np.stack([rows.numbers(column) for column in columns])
            for rows in islice(read_rows(table, columns, new_reading()), BLOCKS)
        ],
        axis=1,
    )
    if not (np.mean((stamps_s > EARLIEST_UTC) & (stamps_s < LATEST_UTC)) > 0.9):
        return False
    if not np.mean(package_numbers >= 0) > 0.9:
        return False
    risen_s, _ = mended(stamps_s, 1.0 / layout.sfreq_hz)
    rate_hz = recorded_rate_hz(risen_s, 0.0)
    return rate_hz is None or abs(rate_hz / layout.sfreq_hz - 1.0) <= SAME_RATE
