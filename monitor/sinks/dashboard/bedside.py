"""The plain view: the night in a sleeper's words, to be read from the bed in the dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from rich.style import Style

from models.contract import EPOCH_S, Stage
from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.health import Band, alarm, band, is_silent, recovers
from monitor.sinks.dashboard.letters import HEIGHT, draw_word, word_width
from monitor.sinks.dashboard.look import CONTACT_DOTS, Look
from monitor.sinks.dashboard.marks import mark_text
from monitor.sinks.dashboard.plots import PLAIN_MARGIN, draw_night
from monitor.sinks.dashboard.text import cut, fitting, span
from monitor.sinks.plain_words import NO_READING, PLAIN_ROWS, plain_stage, stage_words
from monitor.sinks.words import age_text, local_time, time_in_bed
from monitor.types import Contact, MarkKind

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
    word, sentence, style = _stage_now(state, now, look)
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
    where = band(state)
    if where is Band.SILENT:
        since = state.last_sample_utc
        age = f" for {age_text(now - since)}" if since else ""
        return f"{_dot(Contact.OFF)} No signal from the headband{age}: check it", look.bad
    if where is Band.OFF:
        return f"{_dot(Contact.OFF)} No electrode touches the head: put the band on", look.bad
    if where is Band.UNKNOWN:
        if state.ended or state.quality is None:
            return "", look.style()
        reason = state.quality.reason
        if reason is None:
            return f"{_dot(Contact.GOOD)} Signal good", look.good
        return f"{_dot(Contact.POOR)} Signal poor: {NO_READING[reason]}", look.alarm
    for contact, style in ((Contact.OFF, look.bad), (Contact.POOR, look.alarm)):
        names = [channel.name for channel in state.channels if channel.contact is contact]
        if names:
            one = len(names) == 1
            text = f"Electrode{'' if one else 's'} {', '.join(names[:3])}"
            text += f" and {len(names) - 3} more" if len(names) > 3 else ""
            text += f" {'is' if one else 'are'} {contact}: press {'it' if one else 'them'} on"
            return f"{_dot(contact)} {text}", style
    return f"{_dot(Contact.GOOD)} Electrodes good", look.good


def asleep_words(state: NightState) -> str:
    """Return how long the person has slept in all, and if they sleep now."""
    slept_min = state.statistics.tst_min
    if not slept_min:
        return "not asleep yet" if not state.ended else "no sleep"
    slept = span(timedelta(minutes=slept_min))
    newest = next((stage for stage in reversed(state.hypnogram) if stage), None)
    asleep = newest is not Stage.W and not state.ended
    return f"asleep for {slept}" if asleep else f"slept {slept}"


def last_event(state: NightState, look: Look) -> str:
    """Return what happened last and when: a mark, falling asleep, waking up, no reading."""
    events = list(_events(state))
    if not events:
        return ""
    when, words = max(events, key=lambda event: event[0])
    return f"Last: {local_time(when, state, look.timezone):%H:%M} {words}"


def _dot(contact: Contact) -> str:
    return CONTACT_DOTS[contact]


def _stage_now(state: NightState, now: datetime, look: Look) -> tuple[str, str, Style]:
    """Return the word in large letters, the sentence below it, and their style."""
    newest = state.live[-1] if state.live else None
    if state.ended:
        return "ENDED", "The night has ended", look.strong
    if is_silent(state):
        return "NO READING", "No reading: no signal", look.alarm
    if newest is None:
        return "WAIT", "The first reading comes after 30 s", look.quiet
    if recovers(state):
        return "WAIT", "The electrodes are on again: the next reading comes soon", look.quiet
    if newest.stage is None:
        return "NO READING", stage_words(None, newest.reason), look.alarm
    stage = plain_stage(newest.stage)
    assert stage is not None
    kinds = [plain_stage(each) for each in state.hypnogram]
    run = next((n for n, each in enumerate(reversed(kinds)) if each is not stage), len(kinds))
    lasted = f" for {span(timedelta(seconds=EPOCH_S * max(1, run)))}"
    style = look.stage(stage, bold=True)
    return PLAIN_ROWS[stage].upper(), stage_words(stage) + (lasted if run > 1 else ""), style


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
    last = (last_event(state, look), plain)
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
    s = state.statistics
    minutes = (("Deep", s.n3_min), ("Light", s.n1_min + s.n2_min), ("Dreaming", s.r_min))
    return [f"{name} {span(timedelta(minutes=m))} " for name, m in (*minutes, ("Awake", s.w_min))]


def _events(state: NightState) -> Iterator[tuple[datetime, str]]:
    """Yield the time and the words of every mark, and of every change that a sleeper would name."""
    for mark in state.marks:
        note = mark.kind is MarkKind.NOTE
        yield mark.time_utc, f'note "{mark_text(mark)}"' if note else mark_text(mark)
    index, slept = 0, False
    for kind, group in groupby(state.hypnogram, key=_kind):
        length = len(list(group))
        when = state.session.epoch_start_utc(index)
        duration = span(timedelta(seconds=EPOCH_S * length))
        reason = state.live[index].reason or state.revised[index].reason
        if kind == "none":
            why = NO_READING[reason] if reason else "unknown"
            yield when, f"no reading for {duration}: {why}"
        elif kind == "asleep":
            yield when, "fell asleep again" if slept else "fell asleep"
            slept = True
        elif slept:
            yield when, f"awake for {duration}"
        index += length


def _kind(stage: Stage | None) -> str:
    return "none" if stage is None else "awake" if stage is Stage.W else "asleep"
