"""The plots of one night, each with its labels: hypnogram, hypnodensity, trace, spectrogram."""

from __future__ import annotations

from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.eeg import (
    MAX_HZ,
    draw_db_legend,
    draw_spectrogram,
    draw_trace,
    scale_uv,
)
from monitor.sinks.dashboard.health import is_second_choice
from monitor.sinks.dashboard.hypnogram import (
    column_shares,
    column_stages,
    draw_hypnodensity,
    draw_hypnogram,
    draw_time_axis,
    epochs_per_column,
)
from monitor.sinks.dashboard.look import STAGE_ROWS, Look
from monitor.sinks.dashboard.marks import draw_marks
from monitor.sinks.dashboard.text import fitting, shorten
from monitor.sinks.plain_words import PLAIN_ROWS, plain_stage

MARGIN = 5
"""Columns to the left of a plot, for its labels."""

PLAIN_MARGIN = 9
"""The same in the plain view, whose labels are words."""


def draw_night(
    canvas: Canvas,
    x: int,
    y: int,
    width: int,
    step: int,
    density: int,
    state: NightState,
    look: Look,
) -> int:
    """Draw time axis, marks, hypnogram and hypnodensity; return the row after them.

    ``step`` is the rows of the hypnogram from one stage to the next, ``density`` the rows of the
    hypnodensity (0: none). Marks take a row, of the hypnodensity if it has several.

    The plain view has a row for each kind of sleep that it knows, and no hypnodensity.
    """
    rows = PLAIN_ROWS if look.plain else {stage: stage.value for stage in STAGE_ROWS}
    margin = PLAIN_MARGIN if look.plain else MARGIN
    columns = width - margin
    plot = x + margin
    per_column = epochs_per_column(len(state.revised), columns)
    canvas.put(x, y, "time", look.quiet)
    draw_time_axis(canvas, plot, y, columns, per_column, state, look)
    if state.marks:
        y += 1
        density -= density > 1
        canvas.put(x, y, "marks" if look.plain else "mark", look.quiet)
        draw_marks(canvas, plot, y, columns, per_column, state, look)
    for row, (stage, label) in enumerate(rows.items()):
        canvas.put(x, y + 1 + row * step, label, look.stage(stage, bold=True))
    stages = [plain_stage(s) if look.plain else s for s in state.hypnogram]
    columns_shown = column_stages(stages, per_column)
    draw_hypnogram(canvas, plot, y + 1, step, columns_shown, look, tuple(rows))
    y += 2 + step * (len(rows) - 1)
    if density and not look.plain:
        canvas.put(x, y, "p 1", look.quiet)
        canvas.put(x, y + density - 1, "  0", look.quiet)
        draw_hypnodensity(canvas, plot, y, density, column_shares(state.revised, per_column), look)
        y += density
    return y


def draw_labelled_trace(
    canvas: Canvas, x: int, y: int, width: int, rows: int, state: NightState, look: Look
) -> None:
    """Draw a line with the derivation, then ``rows`` of the trace with its scale."""
    signal_uv = state.recent_uv
    scale = scale_uv(signal_uv)
    end = _draw_staged(canvas, x + MARGIN, y, width, state, look)
    canvas.put(end + 2, y, fitting(["last 30 s"], x + MARGIN + width - end - 2), look.quiet)
    canvas.put(x, y + 1, f"{scale:+4.0f}", look.quiet)
    if rows > 2:
        canvas.put(x, y + 1 + rows // 2, "  uV", look.quiet)
    canvas.put(x, y + rows, f"{-scale:+4.0f}", look.quiet)
    draw_trace(canvas, x + MARGIN, y + 1, width, rows, signal_uv, look)


def _draw_staged(canvas: Canvas, x: int, y: int, width: int, state: NightState, look: Look) -> int:
    """Write the derivation that is staged, and the preferred one if that is another."""
    name, preferred = state.derivation, state.session.derivation
    if not is_second_choice(state):
        return canvas.put(x, y, shorten(name, 16), look.quiet)
    choices = (
        f"{name}, not the preferred {preferred}",
        f"{name}, not {preferred}",
        shorten(f"{name}, not {preferred}", width),
    )
    return canvas.put(x, y, next(c for c in choices if len(c) <= width), look.alarm)


def draw_labelled_spectrogram(
    canvas: Canvas, x: int, y: int, width: int, rows: int, state: NightState, look: Look
) -> None:
    """Draw a line with the colour scale, then ``rows`` of the spectrogram with its axis."""
    canvas.put(x + MARGIN, y, "power", look.quiet)
    draw_db_legend(canvas, x + MARGIN + 7, y, look)
    ticks = {
        0: f"{MAX_HZ:.0f}",
        rows // 2: f"{MAX_HZ * (1 - (rows // 2) / rows):.0f}",
        rows - 1: "0",
    }
    for row, text in ticks.items():
        canvas.put(x, y + 1 + row, f"{text:>2}Hz", look.quiet)
    draw_spectrogram(canvas, x + MARGIN, y + 1, width, rows, state.recent_uv, look)
