"""Text files of the OpenBCI GUI, of version 5 and of the versions before.

Lines that begin with % state the format, such as ``%Sample Rate = 250 Hz``. Version 5 then names
the columns: ``Sample Index, EXG Channel 0, ..., Timestamp, Other, Timestamp (Formatted)``. Earlier
ones name none: the sample number, the channels, accelerometer and auxiliary values, the time of
day and, since version 2, Unix milliseconds. Values are microvolts.
"""

from __future__ import annotations

import re
from pathlib import Path

from monitor.errors import InputError
from monitor.sources.brainflow.boards import board_channels
from monitor.sources.texts.recording import ReadTimes, TextLayout, TextRecording
from monitor.sources.texts.stamps import (
    local_times,
    times_of_day,
    unix_milliseconds,
    unix_seconds,
)
from monitor.sources.texts.table import Table, first_lines, read_head, usual_cells

_BEGIN = re.compile(r"%\s*OpenBCI Raw E[EX]G Data", re.IGNORECASE)
_RATE = re.compile(r"%\s*Sample Rate\s*=\s*([\d.]+)", re.IGNORECASE)
_COUNT = re.compile(r"%\s*Number of channels\s*=\s*(\d+)", re.IGNORECASE)
BOARDS = {8: "cyton", 16: "cyton_daisy"}
"""Boards of OpenBCI whose channels BrainFlow names, by their number of channels."""

DELIMITER = ","


def is_openbci(head: bytes) -> bool:
    """Return True if a file that begins with ``head`` is a text file of the OpenBCI GUI."""
    return bool(_BEGIN.match(first_lines(head)[0]))


def open_openbci(path: Path) -> TextRecording:
    """Open a text file of the OpenBCI GUI. Raises `InputError` if it cannot be staged."""
    lines = first_lines(read_head(path))
    comments = [line for line in lines if line.startswith("%")]
    rows = [line for line in lines if line and not line.startswith("%")]
    named = bool(rows) and rows[0].lower().startswith("sample index")
    names = [name.strip().lower() for name in rows.pop(0).split(DELIMITER)] if named else []
    if not rows:
        raise InputError(f"{path} is a file of the OpenBCI GUI without samples: give another")
    table = Table(
        path, DELIMITER.encode(), usual_cells(rows, DELIMITER), len(comments) + int(named)
    )
    sample = next(row.split(DELIMITER) for row in rows if row.count(DELIMITER) + 1 == table.n_cells)
    columns = _channels(path, names, comments, table.n_cells)
    time_column, times = _time(path, names, sample)
    channels, notes = _names(len(columns))
    rate = next((m[1] for line in comments if (m := _RATE.match(line))), "0")
    layout = TextLayout(
        recorder="OpenBCI GUI",
        table=table,
        time_column=time_column,
        names=channels,
        columns=columns,
        times=times,
        nominal_hz=float(rate) if re.fullmatch(r"\d{1,5}(\.\d*)?", rate) else 0.0,
        local=times is local_times,
        dated=times is not times_of_day,
        number_column=0,
        notes=notes,
    )
    return TextRecording(layout)


def _channels(path: Path, names: list[str], comments: list[str], n_cells: int) -> tuple[int, ...]:
    if names:
        columns = tuple(n for n, name in enumerate(names) if re.match("e[ex]g channel", name))
    else:
        stated = next((int(m[1]) for line in comments if (m := _COUNT.match(line))), 0)
        # Before the channels is the sample number; after them are three values and the time.
        count = stated or next((n for n in (16, 8, 4) if n + 5 <= n_cells), 0)
        columns = tuple(range(1, 1 + count))
    if not columns or max(columns) >= n_cells - 1 or len(names) > n_cells:
        raise InputError(
            f"{path} is damaged: its {n_cells} columns do not hold the channels that its header "
            "states. Export it again from the OpenBCI GUI"
        )
    return columns


def _time(path: Path, names: list[str], sample: list[str]) -> tuple[int, ReadTimes]:
    """Return the column of the time and its reader: by name, or by the last cells of ``sample``."""
    if "timestamp" in names:
        return names.index("timestamp"), unix_seconds
    if "timestamp (formatted)" in names:
        return names.index("timestamp (formatted)"), local_times
    last = len(sample) - 1
    if re.fullmatch(r"1\d{12}", sample[last].strip()):
        return last, unix_milliseconds
    for column in (last, last - 1):
        if re.fullmatch(r"\d+:\d+:\d+(\.\d+)?", sample[column].strip()):
            return column, times_of_day
    raise InputError(
        f"{path} has no column of times: export it again from the OpenBCI GUI, with time stamps"
    )


def _names(count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of ``count`` channels, and notes: the file numbers its channels only."""
    if count in BOARDS:
        return board_channels(BOARDS[count])
    names = tuple(f"EEG {number}" for number in range(1, 1 + count))
    return names, ("The file does not name its channels; choose the frontal ones with --channel.",)
