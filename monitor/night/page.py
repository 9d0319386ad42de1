"""The page of a night's report, which lies beside the night's file."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".html"
"""Suffix of a page."""

GENERATOR = "sleep-monitor"
"""Name in the head of every page that the monitor made."""

_HEAD_BYTES = 1000
"""The name is among these first bytes."""


def page_of(night: Path) -> Path:
    """Return where the page of the night's file ``night`` goes, if no other place is named."""
    return night.with_suffix(SUFFIX)


def made_page_of(night: Path) -> Path | None:
    """Return the page of the night's file ``night``; None if the monitor made none there."""
    page = page_of(night)
    try:
        if not page.is_file():
            return None
        with page.open("rb") as file:
            return page if f'content="{GENERATOR}"'.encode() in file.read(_HEAD_BYTES) else None
    except OSError:
        return None
