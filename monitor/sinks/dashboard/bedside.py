"""The plain view: the night in a sleeper's words, to be read from the bed in the dark."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.style import Style

from monitor.night.state import NightState
from monitor.sinks.dashboard.bedside_words import (
    StageNow,
    Tone,
    asleep_words,
    electrode_now,
    last_event,
    stage_now,
    totals,
)
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.health import alarm
from monitor.sinks.dashboard.letters import HEIGHT, draw_word, word_width
from monitor.sinks.dashboard.look import CONTACT_DOTS, Look
from monitor.sinks.dashboard.plots import PLAIN_MARGIN, draw_night
from monitor.sinks.dashboard.text import cut, fitting, span
from monitor.sinks.plain_words import PLAIN_ROWS
from monitor.sinks.words import local_time, time_in_bed
from monitor.types import Contact

_BIG_ROWS = 15
"""From this height on the stage is written in large letters."""

_LARGEST = 3
"""Scale of the largest letters."""

_PLOT_ROWS = 6
"""Rows of the smallest hypnogram with its time axis, and a row for marks."""

Piece = tuple[str, Style]


def draw_bedside(
    canvas: Canvas, state: NightState, now: datetime, notice: str | None, look: Look
) -> None:
    """Draw the whole screen of one sleeper: the stage, what it means, the night, and the keys."""
    width, height = canvas.width, canvas.height
    if height < 8 or width < 30:
        draw_person(canvas, 0, 0, width, height, "", state, now, look)
        return
    wrong = alarm(state, now, width - 12)
    bar = look.alarm_bar if wrong else look.bar
    canvas.fill(0, 0, width, 1, " ", bar)
    clock = f"{local_time(now, state, look.timezone):%H:%M}"
    items = [text for text in (wrong, state.session.sleeper) if text]
    canvas.put(1, 0, clock, bar + look.strong)
    right = "ended" if state.ended else "live" if state.is_live else "replay"
    canvas.put(8, 0, fitting(items, width - 11 - len(right)), bar)
    canvas.put(width - len(right) - 1, 0, right, bar)
    top = 2 if height >= 20 else 1
    draw_person(canvas, 2, top, width - 4, height - top - 2, "", state, now, look, clock)
    if notice is not None:
        canvas.put(1, height - 1, cut(notice, width - 2), look.alarm)
    else:
        canvas.put(1, height - 1, hints(state, look, width - 2), look.quiet)


def hints(state: NightState | None, look: Look, width: int) -> str:
    """Return how to change the view, to mark and to end, as far as it fits."""
    run = "replay" if state is not None and not state.is_live else "night"
    keys = [f"q end the {run}", "? legend", "v expert's view"]
    items = keys if look.keys else [f"Ctrl-C ends the {run}"]
    if run == "night" and (state is None or state.delivery.url is not None):
        items.append("mark: sleep-monitor mark lights-off")
    return fitting(items, width)


def draw_person(
    canvas: Canvas,
    x: int,
    y: int,
    width: int,
    height: int,
    name: str,
    state: NightState,
    now: datetime,
    look: Look,
    clock: str = "",
) -> None:
    """Draw one night in ``width`` x ``height`` cells, as much of it as fits.

    ``name`` stands before the stage, and ``clock`` in large letters beside it.
    """
    end = y + height
    stage = stage_now(state)
    word, sentence, style = stage.word.upper(), stage.sentence, _stage_style(stage, look)
    scale = _scale(word, width, height)
    if scale:
        if name:
            y += bool(canvas.put(x, y, cut(name, width), look.strong))
        draw_word(canvas, x, y, word, style, look, scale)
        room = width - word_width(word, scale) - 4
        if clock and look.unicode and word_width(clock, scale) <= room:
            place = x + width - word_width(clock, scale)
            draw_word(canvas, place, y, clock, look.quiet, look, scale)
        y += HEIGHT * scale + (height >= 24)
    elif name:
        canvas.put(x, y, cut(name, width), look.strong)
        x, width = x + len(name) + 2, width - len(name) - 2
    for pieces in _lines(state, now, look, (sentence, style), height, width):
        if y < end:
            _put_pieces(canvas, x, y, width, pieces)
            y += 1
    if not scale and name:
        x, width = x - len(name) - 2, width + len(name) + 2
    rows = end - y - (height >= 20)
    marks = bool(state.marks)
    if rows < _PLOT_ROWS - 1 + marks or width < PLAIN_MARGIN + 20:
        return
    y += height >= 20
    totals = rows >= 9
    step = max(1, min(6, (rows - 2 - marks - 2 * totals) // (len(PLAIN_ROWS) - 1)))
    y = draw_night(canvas, x, y, width, step, 0, state, look)
    if totals and y + 1 < end:
        canvas.put(x, y + 1, fitting(_totals(state), width), look.quiet)


def electrode_words(state: NightState, now: datetime, look: Look) -> Piece:
    """Return the state of the electrodes, with what to do, and its style; "" if unknown."""
    words, contact = electrode_now(state, now)
    if contact is None:
        return "", look.style()
    style = {Contact.OFF: look.bad, Contact.POOR: look.alarm, Contact.GOOD: look.good}[contact]
    return f"{CONTACT_DOTS[contact]} {words}", style


def _stage_style(now: StageNow, look: Look) -> Style:
    if now.stage is not None:
        return look.stage(now.stage, bold=True)
    return {Tone.ENDED: look.strong, Tone.ALARM: look.alarm, Tone.WAIT: look.quiet}[now.tone]


def _scale(word: str, width: int, height: int) -> int:
    """Return the scale of the large letters; 0: there is no room for any."""
    if height < _BIG_ROWS:
        return 0
    rows = max(HEIGHT, height // 4)
    fits = (
        n for n in range(_LARGEST, 0, -1) if HEIGHT * n <= rows and word_width(word, n) <= width
    )
    return next(fits, 0)


def _lines(
    state: NightState, now: datetime, look: Look, stage: Piece, height: int, width: int
) -> list[list[Piece]]:
    """Return the lines below the large letters; in a low block, fewer and fuller ones."""
    plain = look.style()
    since = "lights off" if state.lights_off_utc else "the start"
    in_bed = (f"in bed {span(time_in_bed(state, now))}, since {since}", plain)
    asleep = (asleep_words(state).capitalize(), look.strong)
    electrodes = electrode_words(state, now, look)
    last = (last_event(state, look.timezone), plain)
    if height >= 12:
        return [[stage], [asleep, in_bed], [electrodes], [last]]
    if height >= 9:
        return [[stage, asleep, in_bed], [electrodes, last]]
    return [[stage, asleep], [electrodes, last]]


def _put_pieces(canvas: Canvas, x: int, y: int, width: int, pieces: Sequence[Piece]) -> None:
    """Write the pieces side by side, each whole; the first is cut if it does not fit."""
    end = x + width
    for number, (text, style) in enumerate(piece for piece in pieces if piece[0]):
        if number == 0:
            x = canvas.put(x, y, cut(text, width), style)
        elif x + 3 + len(text) <= end:
            x = canvas.put(x + 3, y, text, style)


def _totals(state: NightState) -> list[str]:
    return [f"{name} {duration} " for name, duration in totals(state)]
