"""CSV files of a Muse: those of muselsl, and those of the app Mind Monitor.

muselsl (`muselsl record`): ``timestamps,TP9,AF7,AF8,TP10,Right AUX``, Unix seconds and microvolts.
Mind Monitor: ``TimeStamp`` in local time, band powers, ``RAW_TP9`` and so on in microvolts from 0
to 1682 (Muse's SDK: 1682.815 uV over the range of its converter), sensors, and ``Elements`` with
remarks such as ``/muse/event/connected``.
"""

from __future__ import annotations

from pathlib import Path

from monitor.errors import InputError
from monitor.sources.channel_names import is_eeg
from monitor.sources.texts.recording import TextLayout, TextRecording
from monitor.sources.texts.stamps import local_times, unix_seconds
from monitor.sources.texts.table import Table, first_lines, names_of, read_head, usual_cells
from monitor.text import clean

MUSE_HZ = 256.0
"""The rate of Muse 2016 and later. A Muse of 2014 has 220 Hz: the stamps show it."""

RAW = "raw_"
_TIMES = ("timestamps", "timestamp")


def is_muselsl(head: bytes) -> bool:
    """Return True if a file that begins with ``head`` is a CSV file of muselsl."""
    names = _names(head)
    return any(name in _TIMES for name in names) and not is_mind_monitor(head)


def is_mind_monitor(head: bytes) -> bool:
    """Return True if a file that begins with ``head`` is a CSV file of Mind Monitor."""
    names = _names(head)
    return "timestamp" in names and any(n.startswith((RAW, "delta_")) for n in names)


def open_muselsl(path: Path) -> TextRecording:
    """Open a CSV file of muselsl. Raises `InputError` if it cannot be staged."""
    table, names = _table(path)
    lower = [name.lower() for name in names]
    time_column = next(lower.index(name) for name in _TIMES if name in lower)
    columns = [n for n, name in enumerate(names) if is_eeg(name) or "AUX" in name.upper()]
    if not any(is_eeg(names[n]) for n in columns):
        others = clean(", ".join(name for n, name in enumerate(names) if n != time_column))
        raise InputError(
            f"{path} holds no EEG, only {others}: give the file of the EEG, which has the columns "
            "TP9, AF7, AF8, TP10"
        )
    layout = TextLayout(
        recorder="muselsl",
        table=table,
        time_column=time_column,
        names=_distinct([names[n] for n in columns]),
        columns=tuple(columns),
        times=unix_seconds,
        nominal_hz=MUSE_HZ,
    )
    return TextRecording(layout)


def open_mind_monitor(path: Path) -> TextRecording:
    """Open a CSV file of Mind Monitor. Raises `InputError` if it cannot be staged."""
    table, names = _table(path)
    lower = [name.lower() for name in names]
    columns = [n for n, name in enumerate(lower) if name.startswith(RAW)]
    if not columns:
        raise InputError(
            f"{path} is a Mind Monitor file of band powers only, which cannot be staged: record "
            "with the columns RAW_TP9, RAW_AF7, RAW_AF8, RAW_TP10"
        )
    layout = TextLayout(
        recorder="Mind Monitor",
        table=table,
        time_column=lower.index("timestamp"),
        names=_distinct([names[n][len(RAW) :] for n in columns]),
        columns=tuple(columns),
        times=local_times,
        nominal_hz=MUSE_HZ,
        local=True,
        event_column=lower.index("elements") if "elements" in lower else None,
        slow="set 'Recording Interval' to 'Constant' in Mind Monitor",
    )
    return TextRecording(layout)


def _names(head: bytes) -> list[str]:
    return [name.lower() for name in names_of(first_lines(head)[0])[1]]


def _table(path: Path) -> tuple[Table, tuple[str, ...]]:
    lines = first_lines(read_head(path))
    delimiter, names = names_of(lines[0])
    n_cells = usual_cells(lines[1:], delimiter) or len(names)
    if n_cells < len(names):
        raise InputError(
            f"{path} is damaged: it names {len(names)} columns, and its lines have {n_cells}. Copy "
            "or export it again"
        )
    return Table(path, delimiter.encode(), n_cells, header_lines=1), names


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Return the names, cleaned, with a number after each that repeats another."""
    distinct: list[str] = []
    for number, name in enumerate(map(clean, names), 1):
        distinct.append(f"{name}.{number}" if name in distinct else name)
    return tuple(distinct)
