"""`render`: places everything about one night on a canvas of any size."""

from __future__ import annotations

from datetime import datetime

from monitor.night.state import NightState
from monitor.sinks.dashboard import panels
from monitor.sinks.dashboard.bedside import draw_bedside
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.health import (
    alarm,
    draw_contacts,
    electrodes,
    is_streaming,
    signal_word,
)
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.plots import (
    MARGIN,
    draw_labelled_spectrogram,
    draw_labelled_trace,
    draw_night,
)
from monitor.sinks.dashboard.stage import draw_stage, draw_stage_table, is_stale
from monitor.sinks.dashboard.text import cut, fitting, number
from monitor.sinks.words import clock_text

FULL_WIDTH, FULL_HEIGHT = 80, 24
"""From this size on everything is shown."""

WIDE_WIDTH, WIDE_HEIGHT = 112, 34
"""From this size on the numbers have a column of their own beside larger plots."""

_SIDE = 36
"""Columns of the numbers on a wide frame."""


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
    """Draw the night on a canvas of exactly ``width`` x ``height`` cells.

    - ``now``: the time to show; the snapshot's if None.
    - ``notice``: the newest log message. ``status``: what a live source does, in a few words.

    `Look.plain` chooses the plain view.

    Below `FULL_WIDTH` x `FULL_HEIGHT` parts are left out, the current stage last.
    """
    look = look or Look()
    now = now or state.clock_utc
    canvas = Canvas(width, height, look.unicode)
    if not is_streaming(status):
        notice = notice or status
    if look.plain:
        draw_bedside(canvas, state, now, notice, look)
    elif width >= WIDE_WIDTH and height >= WIDE_HEIGHT:
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
    if state.channels:  # their row is one row less for the trace and the spectrogram
        eeg -= 1
        canvas.put(1, y, "contact", look.quiet)
        draw_contacts(canvas, 10, y, width - 11, electrodes(state), look)
        y += 1
    y = draw_night(canvas, 1, y, width - 2, 1, density, state, look)

    half = (width - 2 * MARGIN - 3) // 2
    draw_labelled_trace(canvas, 1, y, half, eeg, state, look)
    draw_labelled_spectrogram(
        canvas, MARGIN + 2 + half, y, width - half - 2 * MARGIN - 3, eeg, state, look
    )
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
        draw_contacts(canvas, 10, y, main - 11, electrodes(state), look)
        y += 2

    # Titles, axis and hypnogram have a fixed height. Hypnodensity, trace and spectrogram share
    # the rest.
    spare = height - 1 - y - (5 * step + 1) - 5
    density = max(3, spare // 4)
    eeg = max(3, (spare - density) // 2)
    y = draw_night(canvas, 1, y, main - 2, step, density, state, look) + 1
    draw_labelled_trace(canvas, 1, y, main - 1 - MARGIN, eeg, state, look)
    y += eeg + 1
    draw_labelled_spectrogram(canvas, 1, y, main - 1 - MARGIN, height - y - 2, state, look)

    for row in range(1, height):
        canvas.put(width - _SIDE - 1, row, "│" if look.unicode else "|", look.rule)
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
    rest = [clock_text(now, state, look.timezone), f"signal {signal_word(state)[0].lower()}"]
    canvas.put(end + 2, 0, fitting(rest, width - end - 2), look.quiet)
    y = 1
    if (wrong := alarm(state, now, width)) is not None:
        canvas.put(0, y, wrong, look.alarm)
        y += 1
    if state.channels and height >= 4:
        draw_contacts(canvas, 0, y, width, electrodes(state), look)
        y += 1
    if width >= MARGIN + 8 and height - y >= 7:
        y = draw_night(canvas, 0, y, width, 1, 0, state, look)
    if width >= MARGIN + 8 and height - y >= 7:
        rows = min(6, height - y - 4)
        draw_labelled_trace(canvas, 0, y, width - MARGIN, rows, state, look)
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
