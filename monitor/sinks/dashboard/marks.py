"""The marks of people above the hypnogram: lights off, lights on, and notes."""

from __future__ import annotations

from datetime import timedelta

from models.contract import EPOCH_S
from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.text import cut
from monitor.types import Mark, MarkKind

MARK_SYMBOLS = {MarkKind.LIGHTS_OFF: "▼", MarkKind.LIGHTS_ON: "▲", MarkKind.NOTE: "◆"}
"""Symbol of each kind of mark."""

MARK_WORDS = {
    MarkKind.LIGHTS_OFF: "lights off",
    MarkKind.LIGHTS_ON: "lights on",
    MarkKind.NOTE: "note",
}

_LEAST_TEXT = 4
"""Columns of a text that is worth its place."""


def mark_text(mark: Mark) -> str:
    """Return ``mark`` in words: the text of a note, or which lights."""
    return mark.text or MARK_WORDS[mark.kind]


def draw_marks(
    canvas: Canvas, x: int, y: int, columns: int, per_column: int, state: NightState, look: Look
) -> None:
    """Draw a row with each mark at its time, and its text as far as the next mark.

    A mark before or after the epochs so far stands at their edge.
    """
    column_s = EPOCH_S * per_column
    last = max(0, min(columns, -(-len(state.revised) // per_column)) - 1)
    placed = []
    for mark in sorted(state.marks, key=lambda mark: mark.time_utc):
        column = (mark.time_utc - state.session.start_utc) // timedelta(seconds=column_s)
        placed.append((min(last, max(0, column)), mark))
    for (column, mark), (after, _) in zip(placed, [*placed[1:], (columns, None)], strict=True):
        canvas.put(x + column, y, MARK_SYMBOLS[mark.kind], look.strong)
        room = after - column - 2
        text = mark_text(mark)
        if room >= min(len(text), _LEAST_TEXT):
            canvas.put(x + column + 1, y, cut(text, room), look.quiet)
