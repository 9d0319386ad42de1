"""Read the time stamps of a table: Unix time, local date and time, or time of day."""

from __future__ import annotations

import numpy as np

from monitor.sources.texts.table import Rows
from monitor.types import F64

DAY_S = 86400.0


def unix_seconds(rows: Rows, column: int) -> F64:
    """Return Unix seconds (n,) as they are; NaN for a cell that holds none."""
    times_s = rows.numbers(column)
    times_s[~np.isfinite(times_s)] = np.nan
    return times_s


def unix_milliseconds(rows: Rows, column: int) -> F64:
    """Return Unix milliseconds (n,) in seconds; NaN for a cell that holds none."""
    return unix_seconds(rows, column) / 1e3


def local_times(rows: Rows, column: int) -> F64:
    """Return dates with times such as '2026-03-01 23:10:00.123' (n,) as seconds since 1970.

    The clock counts as UTC, as that of an EDF file does. NaN for a cell that holds no such time.
    """
    cells = np.char.strip(rows.cells(column))
    try:
        times = cells.astype(np.str_).astype("datetime64[us]")
    except (ValueError, UnicodeDecodeError):
        times = np.array([_local_time(cell) for cell in cells.tolist()], "datetime64[us]")
    seconds: F64 = times.astype(np.int64) / 1e6
    seconds[np.isnat(times)] = np.nan
    return seconds


def times_of_day(rows: Rows, column: int) -> F64:
    """Return times such as '23:10:00.123' (n,) in seconds; NaN for a cell that holds none."""
    cells = rows.cells(column).tolist()
    return np.array([_time_of_day(cell) for cell in cells], dtype=np.float64)


def over_midnight(times_s: F64) -> F64:
    """Return times of day (n,) that go on to rise after midnight."""
    back = np.diff(times_s, prepend=times_s[:1]) < -DAY_S / 2
    risen_s: F64 = times_s + DAY_S * np.cumsum(back)
    return risen_s


def _local_time(cell: bytes) -> np.datetime64:
    try:
        return np.datetime64(cell.decode("ascii"), "us")
    except ValueError:
        return np.datetime64("NaT", "us")


def _time_of_day(cell: bytes) -> float:
    try:
        hours, minutes, seconds = map(float, cell.split(b":"))
    except ValueError:
        return np.nan
    return hours * 3600.0 + minutes * 60.0 + seconds
