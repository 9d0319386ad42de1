"""What is going on now: the stage, how sure it is, and what each stage has of the night."""

from __future__ import annotations

from rich.style import Style

from models.contract import STAGES, Stage
from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.letters import HEIGHT, draw_letters
from monitor.sinks.dashboard.look import STAGE_ROWS, Look, number
from monitor.sinks.log import clock_text, epoch_end
from monitor.types import SignalState


def draw_stage(canvas: Canvas, x: int, y: int, state: NightState, look: Look, scale: int) -> None:
    """The newest live stage, large, with its confidence or why there is none."""
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
    """Whether nothing comes in: the newest stage is then no longer the current one."""
    return state.signal is SignalState.LOST and not state.ended


def draw_stage_table(
    canvas: Canvas, x: int, y: int, bar_width: int, state: NightState, look: Look
) -> None:
    """Per stage: its probability now, and what it has of the night."""
    newest = state.live[-1] if state.live else None
    statistics = state.statistics
    night = {
        Stage.W: (statistics.w_min, None),
        Stage.R: (statistics.r_min, statistics.r_percent),
        Stage.N1: (statistics.n1_min, statistics.n1_percent),
        Stage.N2: (statistics.n2_min, statistics.n2_percent),
        Stage.N3: (statistics.n3_min, statistics.n3_percent),
    }
    for row, stage in enumerate(STAGE_ROWS, start=y):
        current = newest is not None and newest.stage is stage
        canvas.put(x, row, stage.value, look.stage(stage, bold=True))
        probability = None
        if newest is not None and newest.probabilities is not None:
            probability = newest.probabilities[STAGES.index(stage)]
            draw_bar(canvas, x + 8, row, bar_width, probability, look.stage(stage), look)
        style = look.strong if current else look.style()
        canvas.put(x + 3, row, f"{number(probability, digits=2):>4}", style)
        minutes, percent = night[stage]
        end = canvas.put(x + 8 + bar_width, row, f"{minutes:7.1f} min")
        if stage is not Stage.W:
            canvas.put(end, row, f"{number(percent, digits=0):>4} % TST", look.quiet)


def draw_bar(
    canvas: Canvas, x: int, y: int, width: int, share: float, style: Style, look: Look
) -> None:
    """A horizontal bar of ``share`` of ``width``, in eighths of a cell."""
    eighths = round(8 * width * min(1.0, max(0.0, share)))
    tip = " ▏▎▍▌▋▊▉"[eighths % 8] if look.unicode and eighths % 8 else ""
    canvas.put(x, y, ("█" * (eighths // 8) + tip)[:width], style)
