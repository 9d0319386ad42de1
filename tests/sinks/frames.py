"""Frames as text: the looks and sizes that the tests draw, and the lines of what was drawn."""

from __future__ import annotations

import io
import re
from datetime import UTC

from rich.console import Console, RenderableType

from monitor.sinks.dashboard import Look
from monitor.sinks.dashboard.canvas import Canvas

PLAIN = Look(colour=False, timezone=UTC)
ASCII = Look(colour=False, unicode=False, timezone=UTC)
SIZES = [(80, 24), (81, 25), (100, 30), (111, 50), (112, 34), (120, 36), (160, 50), (200, 60)]


def lines_on(canvas: Canvas) -> list[str]:
    """Return the rows of ``canvas`` without their styles."""
    return ["".join(text for text, _ in runs) for runs in canvas.rows()]


def printed(view: RenderableType, width: int, **console: object) -> str:
    """Return what a terminal of ``width`` columns gets, control codes included."""
    out = io.StringIO()
    options = {"force_terminal": True, "color_system": "truecolor", "legacy_windows": False}
    Console(file=out, width=width, **{**options, **console}).print(view, end="")
    return out.getvalue()


def without_codes(text: str) -> str:
    """Return ``text`` without control codes."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
