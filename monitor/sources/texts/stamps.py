"""Read the time stamps of a table: Unix time, local date and time, or time of day."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime

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

    Without a time zone the clock counts as UTC, as that of an EDF file does. NaN for a cell that
    holds no such time.
    """
    cells = np.char.strip(rows.cells(column))
    try:
        # NumPy warns of a time zone.
        with warnings.catch_warnings(action="error"):
            times = cells.astype(np.str_).astype("datetime64[us]")
    except (ValueError, UserWarning):
        return np.array([_local_time(cell) for cell in cells.tolist()], dtype=np.float64)
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


def _local_time(cell: bytes) -> float:
    try:
        moment = datetime.fromisoformat(cell.decode("ascii"))
    except ValueError:
        return np.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _time_of_day(cell: bytes) -> float:
    try:
        hours, minutes, seconds = map(float, cell.split(b":"))
    except ValueError:
        return np.nan
    time_s = hours * 3600.0 + minutes * 60.0 + seconds
    return time_s if 0.0 <= time_s <= DAY_S else np.nan
