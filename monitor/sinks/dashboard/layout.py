"""Where everything goes, for the room there is: `render`."""

from __future__ import annotations

from datetime import datetime

from monitor.night.state import NightState
from monitor.sinks.dashboard import panels
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.eeg import (
    MAX_HZ,
    draw_db_legend,
    draw_spectrogram,
    draw_trace,
    scale_uv,
)
from monitor.sinks.dashboard.health import (
    alarm,
    draw_contacts,
    is_second_choice,
    is_streaming,
)
from monitor.sinks.dashboard.hypnogram import (
    column_shares,
    column_stages,
    draw_hypnodensity,
    draw_hypnogram,
    draw_time_axis,
    epochs_per_column,
)
from monitor.sinks.dashboard.look import STAGE_ROWS, Look, cut, fitting, number, shorten
from monitor.sinks.dashboard.stage import draw_stage, draw_stage_table, is_stale
from monitor.sinks.log import clock_text

FULL_WIDTH, FULL_HEIGHT = 80, 24
"""From here on everything is shown."""

WIDE_WIDTH, WIDE_HEIGHT = 112, 34
"""From here on numbers stand in a column of their own beside larger plots."""

_MARGIN = 5
_SIDE = 36


def render(
    state: NightState,
    width: int,
    height: int,
    look: Look | None = None,
    *,
    now: datetime | None = None,
    notice: str | None = None,
    status: str = "",
) -> Canvas:
    """The night as a picture of exactly ``width`` x ``height`` cells.

    ``now`` is the time on the clock, the snapshot's if None; ``notice`` the newest log message;
    ``status`` what a live source does.
    Below `FULL_WIDTH` x `FULL_HEIGHT` parts are left out, the current stage last.
    """
    look = look or Look()
    now = now or state.clock_utc
    canvas = Canvas(width, height, look.unicode)
    if not is_streaming(status):
        notice = notice or status
    if width >= WIDE_WIDTH and height >= WIDE_HEIGHT:
        _wide(canvas, state, now, notice, status, look)
    elif width >= FULL_WIDTH and height >= FULL_HEIGHT:
        _full(canvas, state, now, notice, status, look)
    else:
        _small(canvas, state, now, notice, look)
    return canvas


def _full(
    canvas: Canvas,
    state: NightState,
    now: datetime,
    notice: str | None,
    status: str,
    look: Look,
) -> None:
    width = canvas.width
    spare = canvas.height - FULL_HEIGHT
    extra_eeg = min(6, (spare + 1) // 2)
    extra_density = min(3, spare - extra_eeg)
    density, eeg = 3 + extra_density, 4 + extra_eeg

    panels.draw_header(canvas, state, now, look, status)
    draw_stage(canvas, 2, 1, state, look, 1)
    bar = 8 + min(12, width - FULL_WIDTH)
    draw_stage_table(canvas, 22, 1, bar, state, look)
    panels.draw_items(canvas, 54 + bar, 1, 9, panels.signal_items(state, look)[:5], look)
    y = 6
    if state.channels:  # the plots below give up the row that contact takes
        eeg -= 1
        canvas.put(1, y, "contact", look.quiet)
        draw_contacts(canvas, 10, y, width - 11, state.channels, look)
        y += 1
    y = draw_night(canvas, 1, y, width - 2, 1, density, state, look)

    half = (width - 2 * _MARGIN - 3) // 2
    _trace(canvas, 1, y, half, eeg, state, look)
    _spectrogram(canvas, _MARGIN + 2 + half, y, width - half - 2 * _MARGIN - 3, eeg, state, look)
    y = canvas.height - 4

    label = 9
    for row, line in enumerate(panels.statistic_lines(state, width - label - 1), start=y):
        canvas.put(1 + label, row, line)
    canvas.put(1, y, "Sleep", look.quiet)
    canvas.put(1, y + 1, "min worn" if state.statistics.bounds == "worn" else "min", look.quiet)
    canvas.put(1, y + 2, "Samples", look.quiet)
    canvas.put(1 + label, y + 2, panels.sample_line(state, width - label - 2))
    if notice is not None:
        canvas.put(1, y + 3, cut(notice, width - 2), look.alarm)
        return
    canvas.put(1, y + 3, "Events", look.quiet)
    line, style = panels.event_line(state, look, width - label - 2)
    canvas.put(1 + label, y + 3, line, style)


def _wide(
    canvas: Canvas,
    state: NightState,
    now: datetime,
    notice: str | None,
    status: str,
    look: Look,
) -> None:
    width, height = canvas.width, canvas.height
    main = width - _SIDE - 2
    roomy = height >= 44
    scale = 2 if roomy else 1
    step = 2 if roomy else 1
    panels.draw_header(canvas, state, now, look, status)

    x, y = 2, 2
    draw_stage(canvas, x, y, state, look, scale)
    letters = 22 if scale == 1 else 34
    top = 5 if scale == 1 else 9
    bar = max(8, min(30, main - letters - 34))
    draw_stage_table(canvas, x + letters, y + (top - 5) // 2, bar, state, look)
    y += top + 1
    if state.channels:
        canvas.put(1, y, "contact", look.quiet)
        draw_contacts(canvas, 10, y, main - 11, state.channels, look)
        y += 2

    # Titles, axis and the hypnogram are fixed; the rest is shared by density, trace, spectrogram.
    spare = height - 1 - y - (5 * step + 1) - 5
    density = max(3, spare // 4)
    eeg = max(3, (spare - density) // 2)
    y = draw_night(canvas, 1, y, main - 2, step, density, state, look) + 1
    _trace(canvas, 1, y, main - 1 - _MARGIN, eeg, state, look)
    y += eeg + 1
    _spectrogram(canvas, 1, y, main - 1 - _MARGIN, height - y - 2, state, look)

    for row in range(1, height):
        canvas.put(width - _SIDE - 1, row, "│" if look.unicode else "|", look.style("#3d444d"))
    _side(canvas, width - _SIDE + 1, state, look)
    if notice is not None:
        canvas.put(1, height - 1, cut(notice, main - 2), look.alarm)


def _side(canvas: Canvas, x: int, state: NightState, look: Look) -> None:
    titled = canvas.height >= 36
    y = 1
    wide, narrow = 19, 11
    room = _SIDE - narrow - 1
    sections = [
        ("Signal", wide, panels.signal_items(state, look)),
        (f"Sleep ({state.statistics.bounds})", wide, panels.statistic_items(state, look)),
        ("Samples", wide, panels.sample_items(state, look)),
        ("Events", narrow, panels.event_items(state, look, room)),
    ]
    if canvas.height >= 44:
        sections.append(("Session", narrow, panels.session_items(state, look, room)))
    for title, label_width, items in sections:
        if titled:
            canvas.put(x, y, title, look.strong)
            y += 1
        y = panels.draw_items(canvas, x, y, label_width, items, look) + 1


def _small(
    canvas: Canvas, state: NightState, now: datetime, notice: str | None, look: Look
) -> None:
    width, height = canvas.width, canvas.height
    newest = state.live[-1] if state.live else None
    if newest is None:
        current, style = "no epoch yet", look.quiet
    elif newest.confidence is None:
        current, style = f"? unscored: {newest.reason}", look.alarm
    else:
        stale = is_stale(state)
        current = f"{newest.stage} {'old' if stale else f'{100 * newest.confidence:.0f} %'}"
        style = look.alarm if stale else look.stage(newest.stage, bold=True)
    end = canvas.put(0, 0, current[:width], style)
    rest = [clock_text(now, state, look.timezone), f"signal {state.signal.value}"]
    canvas.put(end + 2, 0, fitting(rest, width - end - 2), look.quiet)
    y = 1
    if (wrong := alarm(state, now, width)) is not None:
        canvas.put(0, y, wrong, look.alarm)
        y += 1
    if state.channels and height >= 4:
        draw_contacts(canvas, 0, y, width, state.channels, look)
        y += 1
    if width >= _MARGIN + 8 and height - y >= 7:
        y = draw_night(canvas, 0, y, width, 1, 0, state, look)
    if width >= _MARGIN + 8 and height - y >= 7:
        rows = min(6, height - y - 4)
        _trace(canvas, 0, y, width - _MARGIN, rows, state, look)
        y += rows + 1
    s = state.statistics
    lines = [
        fitting([f"TST {s.tst_min:.1f} min", f"SE {number(s.se_percent, ' %')}"], width),
        panels.sample_line(state, width),
        panels.event_line(state, look, width)[0],
    ]
    if notice is not None and width:
        lines.insert(0, cut(notice, width))
    for line in lines[: max(0, height - y)]:
        canvas.put(0, y, line)
        y += 1


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
    """Time axis, hypnogram and hypnodensity under one another; return the row after them."""
    columns = width - _MARGIN
    plot = x + _MARGIN
    per_column = epochs_per_column(len(state.revised), columns)
    canvas.put(x, y, "time", look.quiet)
    draw_time_axis(canvas, plot, y, columns, per_column, state, look)
    for row, stage in enumerate(STAGE_ROWS):
        canvas.put(x, y + 1 + row * step, stage.value, look.stage(stage, bold=True))
    draw_hypnogram(canvas, plot, y + 1, step, column_stages(state.hypnogram, per_column), look)
    y += 2 + step * (len(STAGE_ROWS) - 1)
    if density:
        canvas.put(x, y, "p 1", look.quiet)
        canvas.put(x, y + density - 1, "  0", look.quiet)
        draw_hypnodensity(canvas, plot, y, density, column_shares(state.revised, per_column), look)
    return y + density


def _trace(
    canvas: Canvas, x: int, y: int, width: int, rows: int, state: NightState, look: Look
) -> None:
    signal_uv = state.recent_uv
    scale = scale_uv(signal_uv)
    end = _draw_staged(canvas, x + _MARGIN, y, width, state, look)
    canvas.put(end + 2, y, fitting(["last 30 s"], x + _MARGIN + width - end - 2), look.quiet)
    canvas.put(x, y + 1, f"{scale:+4.0f}", look.quiet)
    if rows > 2:
        canvas.put(x, y + 1 + rows // 2, "  uV", look.quiet)
    canvas.put(x, y + rows, f"{-scale:+4.0f}", look.quiet)
    draw_trace(canvas, x + _MARGIN, y + 1, width, rows, signal_uv, look)


def _draw_staged(canvas: Canvas, x: int, y: int, width: int, state: NightState, look: Look) -> int:
    """The derivation that is staged, and whether a better one is given up for it."""
    name, preferred = state.derivation, state.session.derivation
    if not is_second_choice(state):
        return canvas.put(x, y, shorten(name, 16), look.quiet)
    choices = (
        f"{name}, not the preferred {preferred}",
        f"{name}, not {preferred}",
        shorten(f"{name}, not {preferred}", width),
    )
    return canvas.put(x, y, next(c for c in choices if len(c) <= width), look.alarm)


def _spectrogram(
    canvas: Canvas, x: int, y: int, width: int, rows: int, state: NightState, look: Look
) -> None:
    canvas.put(x + _MARGIN, y, "power", look.quiet)
    draw_db_legend(canvas, x + _MARGIN + 7, y, look)
    ticks = {
        0: f"{MAX_HZ:.0f}",
        rows // 2: f"{MAX_HZ * (1 - (rows // 2) / rows):.0f}",
        rows - 1: "0",
    }
    for row, text in ticks.items():
        canvas.put(x, y + 1 + row, f"{text:>2}Hz", look.quiet)
    draw_spectrogram(canvas, x + _MARGIN, y + 1, width, rows, state.recent_uv, look)
