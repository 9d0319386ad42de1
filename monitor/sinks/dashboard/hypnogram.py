"""The night as a line of stages (hypnogram) and a stack of probabilities (hypnodensity).

Every column holds the same whole number of epochs, the smallest with which the night fits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache

import numpy as np

from models.contract import EPOCH_S, STAGES, Stage
from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.look import STAGE_LETTERS, STAGE_ROWS, Look
from monitor.sinks.words import local_time
from monitor.types import F64, StagePrediction

EIGHTHS = " ▁▂▃▄▅▆▇█"
"""Cells that are filled from below, by 0 to 8 eighths."""

# Bottom to top: deep sleep below, unscored above everything.
_STACK: tuple[Stage | None, ...] = (*reversed(STAGE_ROWS), None)
_TICK_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720)
_TICK_COLUMNS = 9
"""Least number of columns from one clock time to the next: six for the text, and a space."""


def epochs_per_column(n_epochs: int, columns: int) -> int:
    """Return the smallest whole number of epochs a column with which the night fits."""
    return max(1, -(-n_epochs // max(1, columns)))


def column_stages(hypnogram: Sequence[Stage | None], per_column: int) -> list[Stage | None]:
    """Return the most frequent stage of each column; None (unscored) counts as a stage.

    On a tie the stage that occurs latest in the column wins. The result depends on the epochs of
    the column alone, so a full column never changes by itself.
    """
    if per_column == 1:
        return list(hypnogram)
    stages: list[Stage | None] = []
    for start in range(0, len(hypnogram), per_column):
        column = hypnogram[start : start + per_column]
        counts = Counter(column)
        most = max(counts.values())
        stages.append(next(s for s in reversed(column) if counts[s] == most))
    return stages


def column_shares(predictions: Sequence[StagePrediction], per_column: int) -> F64:
    """Return the mean probabilities of each column, (columns, 6): `STAGES`, then unscored."""
    n_columns = -(-len(predictions) // per_column)
    shares = np.zeros((n_columns * per_column, len(STAGES) + 1))
    unscored = (0.0,) * len(STAGES) + (1.0,)
    for row, prediction in enumerate(predictions):
        known = prediction.probabilities
        shares[row] = unscored if known is None else (*known, 0.0)
    sums = shares.reshape(n_columns, per_column, len(STAGES) + 1).sum(axis=1)  # (columns, 6)
    means: F64 = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-9)
    return means


def draw_hypnogram(
    canvas: Canvas,
    x: int,
    y: int,
    step: int,
    stages: Sequence[Stage | None],
    look: Look,
    rows: Sequence[Stage] = STAGE_ROWS,
) -> None:
    """Draw ``stages`` as a line from (``x``, ``y``) on, ``step`` rows a stage; unscored shaded.

    ``rows``: the stages that have a row, top to bottom.
    """
    level: dict[Stage | None, int] = {s: y + row * step for row, s in enumerate(rows)}
    height = step * (len(rows) - 1) + 1
    previous: Stage | None = None
    for column, stage in enumerate(stages, start=x):
        if stage is None:
            canvas.fill(column, y, 1, height, "░", look.stage(None))
        elif previous is None or previous is stage:
            canvas.put(column, level[stage], "━", look.stage(stage))
        else:
            before, after = level[previous], level[stage]
            down = after > before
            for row in range(min(before, after) + 1, max(before, after)):
                canvas.put(column, row, "┃", look.rule)
            canvas.put(column, before, "┓" if down else "┛", look.stage(previous))
            canvas.put(column, after, "┗" if down else "┏", look.stage(stage))
        previous = stage


def draw_hypnodensity(canvas: Canvas, x: int, y: int, height: int, shares: F64, look: Look) -> None:
    """Stack the probabilities over ``height`` rows: N3 at the bottom, W on top, unscored shaded.

    A cell shows the two stages that fill most of it, in eighths of its height. Without colour it
    shows the letter of the stage in its middle.
    """
    order = [5 if stage is None else STAGES.index(stage) for stage in _STACK]
    tops = np.cumsum(shares[:, order], axis=1) * 8 * height
    for column, top in enumerate(tops):
        levels = np.searchsorted(np.round(top), np.arange(8 * height), side="right")
        stack = tuple(_STACK[i] for i in np.minimum(levels, len(_STACK) - 1).tolist())
        for row in range(height):
            cell = stack[8 * row : 8 * row + 8]
            _draw_cell(canvas, x + column, y + height - 1 - row, cell, look)


def _draw_cell(canvas: Canvas, x: int, y: int, cell: tuple[Stage | None, ...], look: Look) -> None:
    if not look.colour or not look.unicode:
        stage = cell[4]
        letter = "░" if stage is None else STAGE_LETTERS[stage]
        canvas.put(x, y, letter, look.stage(stage))
        return
    below, above, eighths = _two_stages(cell)
    if eighths == 8:
        canvas.put(x, y, "░" if below is None else "█", look.stage(below))
    else:
        style = look.style(look.palette.stages[below], on=look.palette.stages[above])
        canvas.put(x, y, EIGHTHS[eighths], style)


@lru_cache(maxsize=4096)
def _two_stages(cell: tuple[Stage | None, ...]) -> tuple[Stage | None, Stage | None, int]:
    """Return the two stages that fill most of a cell, the lower first, and its eighths."""
    (first, count), *rest = Counter(cell).most_common(2)
    if not rest:
        return first, first, 8
    second = rest[0][0]
    if cell.index(first) < cell.index(second):
        return first, second, count
    return second, first, 8 - count


def draw_time_axis(
    canvas: Canvas, x: int, y: int, columns: int, per_column: int, state: NightState, look: Look
) -> None:
    """Draw round clock times, each above the column in which it begins."""
    column_s = EPOCH_S * per_column
    fitting_steps = (s for s in _TICK_STEPS_MIN if s * 60 >= _TICK_COLUMNS * column_s)
    step_s = 60.0 * next(fitting_steps, _TICK_STEPS_MIN[-1])
    start = local_time(state.session.start_utc, state, look.timezone)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    since_midnight_s = (start - midnight).total_seconds()
    tick_s = -(-since_midnight_s // step_s) * step_s
    while (column := int((tick_s - since_midnight_s) / column_s)) <= columns - 6:
        label = (midnight + timedelta(seconds=tick_s)).strftime("%H:%M")
        canvas.put(x + column, y, "╷" + label, look.quiet)
        tick_s += step_s
