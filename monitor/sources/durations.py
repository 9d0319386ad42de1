"""Durations as text for messages."""

from __future__ import annotations


def spoken_duration(duration_s: float) -> str:
    """Return ``duration_s`` as text: '12 s', '83 min' (below two hours), '8 h 0 min', '3 days'."""
    if duration_s < 120:
        return f"{duration_s:.4g} s"
    minutes = int(duration_s // 60)
    if minutes >= 48 * 60:
        return f"{minutes // (24 * 60)} days"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
