"""Numbers and durations as text, and text that fits a width."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


def number(value: float | None, unit: str = "", digits: int = 1) -> str:
    """Return ``value`` with its unit. An undefined value (None) is a dash, never 0."""
    return "—" if value is None else f"{value:.{digits}f}{unit}"


def span(duration: timedelta) -> str:
    """Return ``1 h 04 min``, to the minute."""
    minutes = max(0, int(duration.total_seconds() // 60))
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def shorten(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` characters; a longer one loses its middle."""
    if len(text) <= width:
        return text
    head = max(0, (width - 1) // 2)
    tail = max(0, width - 1 - head)
    return (text[:head] + "…" + text[len(text) - tail :])[:width]


def cut(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` characters; a longer one loses its end."""
    return text if len(text) <= width else (text[: max(0, width - 1)] + "…")[: max(0, width)]


def fitting(items: Sequence[str], width: int) -> str:
    """Return the first ``items``, side by side, as many as fit; each whole or not at all."""
    line = ""
    for item in items:
        longer = f"{line}  {item}" if line else item
        if len(longer) > width:
            break
        line = longer
    return line
