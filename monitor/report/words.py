"""Words for sleepers: durations, stages, reasons and dates without abbreviations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from models.contract import Stage
from monitor.types import Reason

PLAIN_STAGES = {
    Stage.W: "Awake",
    Stage.R: "Dream sleep",
    Stage.N1: "Lightest sleep",
    Stage.N2: "Light sleep",
    Stage.N3: "Deep sleep",
}
"""Names of the stages for sleepers, in the order in which a hypnogram is drawn."""

REASONS = {
    Reason.MISSING: "no signal arrived",
    Reason.FLAT: "the signal was flat: an electrode had no contact",
    Reason.RAILED: "the signal was beyond the amplifier's range: an electrode was off",
    Reason.MAINS: "hum of the power line: an electrode was off or loose",
    Reason.AMPLITUDE: "the signal was too large: movement, or a loose electrode",
    Reason.NOISE: "noise instead of brain waves",
}

NOTHING = "not defined"

_NO_BREAK = "\N{NO-BREAK SPACE}"


def minutes_text(minutes: float | None) -> str:
    """Return ``6 h 52 min``, ``11 min`` or ``30 s``, never broken; `NOTHING` for None."""
    if minutes is None:
        return NOTHING
    if 0 < minutes < 1:
        text = f"{round(60 * minutes)} s"
    else:
        whole = int(minutes + 0.5)
        text = f"{whole // 60} h {whole % 60:02d} min" if whole >= 60 else f"{whole} min"
    return text.replace(" ", _NO_BREAK)


def number_text(value: float | None, unit: str = "", digits: int = 1) -> str:
    """Return ``value`` with its unit; `NOTHING` for None."""
    return NOTHING if value is None else f"{value:.{digits}f}{unit}"


def spoken_list(parts: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def count_text(number: int, singular: str, plural: str | None = None) -> str:
    """Return ``1 night`` or ``3 nights``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def date_text(day: datetime, weekday: bool = True, year: bool = True) -> str:
    """Return ``Thursday, 26 November 2026``."""
    text = f"{day.day} {day:%B}" + (f" {day.year}" if year else "")
    return f"{day:%A}, {text}" if weekday else text


def dates_text(start: datetime, end: datetime) -> str:
    """Return the dates of a night: ``26 to 27 November 2026``, or only one if it has one."""
    if start.date() == end.date():
        return date_text(start, weekday=False)
    if (start.year, start.month) == (end.year, end.month):
        return f"{start.day} to {date_text(end, weekday=False)}"
    first = date_text(start, weekday=False, year=start.year != end.year)
    return f"{first} to {date_text(end, weekday=False)}"


def clock_change_text(change: timedelta) -> str:
    """Return the change of the clocks in words: ``clocks back 1 h``."""
    minutes = abs(change.total_seconds()) / 60
    direction = "back" if change < timedelta() else "forward"
    size = f"{minutes / 60:g} h" if minutes % 60 == 0 else f"{minutes:g} min"
    return f"clocks {direction} {size}"
