"""The current stage with its confidence, and a table of all stages."""

from __future__ import annotations

from rich.style import Style

from models.contract import STAGES, Stage
from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.letters import HEIGHT, draw_letters
from monitor.sinks.dashboard.look import STAGE_ROWS, Look
from monitor.sinks.dashboard.text import number
from monitor.sinks.words import clock_text, epoch_end
from monitor.types import SignalState


def draw_stage(canvas: Canvas, x: int, y: int, state: NightState, look: Look, scale: int) -> None:
    """Draw the newest live stage in large letters, with its confidence or why it has none."""
    newest = state.live[-1] if state.live else None
    stage = newest.stage if newest else None
    draw_letters(canvas, x, y, stage, newest is not None, look, scale, is_stale(state))
    row = y + HEIGHT * scale
    if newest is None:
        canvas.put(x, row, "no epoch yet", look.quiet)
    elif newest.confidence is None:
        canvas.put(x, row, f"unscored: {newest.reason or 'unknown'}", look.alarm)
    else:
        at = clock_text(epoch_end(state, newest.epoch_index), state, look.timezone)
        if is_stale(state):
            canvas.put(x, row, f"old, from {at}", look.alarm)
            return
        end = canvas.put(x, row, f"{100 * newest.confidence:.0f} % sure", look.stage(stage, True))
        canvas.put(end + 1, row, at, look.quiet)


def is_stale(state: NightState) -> bool:
    """Return True if no samples come: the newest stage is then no longer the current one."""
    return state.signal is SignalState.LOST and not state.ended


def stage_totals(state: NightState) -> dict[Stage, tuple[float, float | None]]:
    """Return the minutes of each stage and its percentage of TST, in the order of `STAGE_ROWS`.

    The percentage is None for W, and for all stages if there is no sleep.
    """
    statistics = state.statistics
    return {
        Stage.W: (statistics.w_min, None),
        Stage.R: (statistics.r_min, statistics.r_percent),
        Stage.N1: (statistics.n1_min, statistics.n1_percent),
        Stage.N2: (statistics.n2_min, statistics.n2_percent),
        Stage.N3: (statistics.n3_min, statistics.n3_percent),
    }


def draw_stage_table(
    canvas: Canvas, x: int, y: int, bar_width: int, state: NightState, look: Look
) -> None:
    """Draw a row for each stage: its probability now, its minutes and its share of the night."""
    newest = state.live[-1] if state.live else None
    totals = stage_totals(state)
    for row, stage in enumerate(STAGE_ROWS, start=y):
        current = newest is not None and newest.stage is stage
        canvas.put(x, row, stage.value, look.stage(stage, bold=True))
        probability = None
        if newest is not None and newest.probabilities is not None:
            probability = newest.probabilities[STAGES.index(stage)]
            draw_bar(canvas, x + 8, row, bar_width, probability, look.stage(stage), look)
        style = look.strong if current else look.style()
        canvas.put(x + 3, row, f"{number(probability, digits=2):>4}", style)
        minutes, percent = totals[stage]
        end = canvas.put(x + 8 + bar_width, row, f"{minutes:7.1f} min")
        if stage is not Stage.W:
            canvas.put(end, row, f"{number(percent, digits=0):>4} % TST", look.quiet)


def draw_bar(
    canvas: Canvas, x: int, y: int, width: int, share: float, style: Style, look: Look
) -> None:
    """Draw a horizontal bar over ``share`` of ``width``, to an eighth of a cell."""
    eighths = round(8 * width * min(1.0, max(0.0, share)))
    tip = " ▏▎▍▌▋▊▉"[eighths % 8] if look.unicode and eighths % 8 else ""
    canvas.put(x, y, ("█" * (eighths // 8) + tip)[:width], style)
