"""Several sleepers on one screen, each in a block of rows. Together they fill the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.style import Style

from models.contract import Stage
from monitor.night.state import NightState, SleeperState
from monitor.sinks.dashboard.bedside import draw_person, electrode_words, hints
from monitor.sinks.dashboard.bedside_words import asleep_words
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.health import (
    Band,
    alarm,
    band,
    draw_contacts,
    electrodes,
    is_silent,
    is_streaming,
    signal_word,
    worn_text,
)
from monitor.sinks.dashboard.hypnogram import EIGHTHS, column_stages, epochs_per_column
from monitor.sinks.dashboard.look import STAGE_LETTERS, STAGE_ROWS, Look
from monitor.sinks.dashboard.plots import MARGIN, draw_labelled_trace, draw_night
from monitor.sinks.dashboard.stage import is_stale
from monitor.sinks.dashboard.text import cut, fitting, number, shorten
from monitor.sinks.dashboard.waiting import draw_top_bar
from monitor.sinks.plain_words import PLAIN_ROWS, plain_stage
from monitor.sinks.words import age_text
from monitor.types import Contact, SignalState

_FULL_ROWS = 9
"""A block of this many rows or more has a hypnogram, a smaller one a strip."""

_PLAIN_ROWS = 7
"""The same in the plain view, whose hypnogram is lower."""

_DENSITY_ROWS = 6
"""Rows of the hypnodensity in a high block. The trace of the EEG gets the others."""

_STRIP = {Stage.W: 8, Stage.R: 6, Stage.N1: 4, Stage.N2: 3, Stage.N3: 1}
"""Height of a stage on the strip, in eighths: the deeper the sleep, the lower."""

_HINTS = {
    "lsl": "run sleep-monitor streams or sleep-monitor doctor",
    "brainflow": "switch the headband on, or run sleep-monitor doctor",
}

_BEGINNING = ("starting", "measuring", "streaming")
"""Beginnings of the status of a source that is well, before its night has begun."""

_MAX_NAME = 14
_MIN_STRIP = 8
_WORDS = 41
"""Columns of the words in a block of one row, on a screen 80 columns wide."""


@dataclass(frozen=True, slots=True)
class Row:
    """A sleeper, the time on the clock of their night, and how long they have waited for one."""

    state: SleeperState
    now: datetime | None
    waited_s: float

    @property
    def troubles(self) -> list[str]:
        """Everything that a person should look at, the worst first."""
        night, status = self.state.night, self.state.status
        if self.state.failed:
            return [f"failed: {status}"]
        if night is None or self.now is None:
            return [status or "starting", f"for {age_text(timedelta(seconds=self.waited_s))}"]
        if night.ended:
            return []
        troubles = [text] if (text := alarm(night, self.now)) else []
        if not is_streaming(status):
            troubles.append(status)
        all_off = band(night) is Band.OFF
        troubles += ["every electrode off"] * all_off
        troubles += [
            f"{c.name} off{f' {c.reason}' if c.reason else ''}"
            for c in night.channels
            if c.contact is Contact.OFF and not is_silent(night) and not all_off
        ]
        # Before its first epoch ends, a night whose samples come waits for nothing but that.
        begins = night.signal is SignalState.WAITING and night.last_sample_utc is not None
        poor = night.signal is SignalState.POOR and not signal_word(night)[1]
        if poor or (night.signal is SignalState.WAITING and not begins):
            reason = night.quality.reason if night.quality else None
            troubles.append(f"signal {night.signal}{f': {reason}' if reason else ''}")
        if night.delivery.url is not None and not night.delivery.connected:
            troubles.append(f"events NOT SENT, {night.delivery.waiting:,} wait")
        return troubles

    @property
    def severity(self) -> int:
        """3: failed. 2: nothing is recorded or stored. 1: something needs a look. 0: all well."""
        night = self.state.night
        if self.state.failed:
            return 3
        if night is None or self.now is None:
            return 0 if self.state.status.startswith(_BEGINNING) else 2
        if alarm(night, self.now) is not None:
            return 2
        return 1 if self.troubles else 0


def draw_overview(
    rows: Sequence[Row],
    width: int,
    height: int,
    look: Look,
    utc: datetime,
    notice: str | None,
) -> Canvas:
    """Draw all sleepers in the given order. If not all fit, draw those who need a look first.

    The last row shows ``notice``, or how many sleepers are not shown.
    """
    canvas = Canvas(width, height, look.unicode)
    troubled = sum(row.severity > 0 for row in rows)
    need = f"{troubled} {'needs' if troubled == 1 else 'need'} a look"
    begins = any(row.state.night is None for row in rows)
    well = "beginning" if begins else "all well"
    items = [f"{len(rows)} sleepers", need if troubled else well]
    draw_top_bar(canvas, items, "live  ? keys" if look.keys else "live", look, utc)
    room = max(0, height - 2)
    block, spare = divmod(room, max(1, len(rows)))
    # Rows that are left over make a high block higher; low blocks stay equal, as in a table.
    spare = spare if block >= _PLAIN_ROWS else 0
    heights = [max(1, block + (index < spare)) for index in range(len(rows))]
    shown = list(rows)
    if len(rows) > room:
        shown = sorted(rows, key=lambda row: -row.severity)[:room]
        rest = len(rows) - room
        hidden = troubled - sum(row.severity > 0 for row in shown)
        note = f"+{rest} more, {f'{hidden} of them need a look' if hidden else 'all well'}"
        canvas.put(1, height - 1, note[: max(0, width - 2)], look.alarm if hidden else look.quiet)
    name_width = min(_MAX_NAME, max((len(row.state.sleeper) for row in shown), default=0))
    y = 1
    for row, rows_high in zip(shown, heights, strict=False):
        _draw_block(canvas, y, rows_high, name_width, row, look)
        y += rows_high
    if look.plain and len(rows) <= room:
        canvas.put(1, height - 1, hints(None, look, width - 2), look.quiet)
    if notice is not None:
        canvas.fill(0, height - 1, width, 1, " ", look.style())
        canvas.put(1, height - 1, cut(notice, width - 2), look.alarm)
    return canvas


def _draw_block(canvas: Canvas, y: int, block: int, name_width: int, row: Row, look: Look) -> None:
    night = row.state.night
    is_well = night is not None and row.now is not None and not row.state.failed
    if look.plain and is_well and block >= _PLAIN_ROWS:
        assert night is not None and row.now is not None
        name, wide = row.state.sleeper, canvas.width - 2
        wrong = row.severity == 2 and block > _PLAIN_ROWS
        draw_person(canvas, 1, y, wide, block - 1 - wrong, name, night, row.now, look)
        if wrong:
            canvas.put(1, y + block - 2, fitting(row.troubles, wide), look.alarm)
        return
    name_style = look.bad if row.state.failed else look.strong
    canvas.put(1, y, shorten(row.state.sleeper, name_width), name_style)
    x = 1 + name_width + 2
    _draw_now(canvas, x, y, row, look)
    x += 9
    room = canvas.width - x - 1
    if block == 1:
        words = min(room, _WORDS + max(0, canvas.width - 80) // 3)
        strip = room - words - 2
        if strip >= _MIN_STRIP:
            _draw_strip(canvas, x, y, strip, 1, night, look)
            x += strip + 2
        _draw_words(canvas, x, y, canvas.width - x - 1, row, look)
    elif night is None:
        _draw_words(canvas, x, y, room, row, look)
        canvas.put(x, y + 1, _HINTS[row.state.kind][: max(0, room)], look.quiet)
    elif block < _FULL_ROWS:
        height = max(1, block - 3)
        _draw_strip(canvas, x, y, room, height, night, look)
        _draw_words(canvas, x, y + height, room, row, look)
        if block > 2 and not row.state.failed:
            draw_contacts(canvas, x, y + height + 1, room, electrodes(night), look)
    else:
        _draw_words(canvas, x, y, room, row, look)
        _draw_full(canvas, y + 1, block - 1, row, night, look)


def _draw_full(canvas: Canvas, y: int, rows: int, row: Row, night: NightState, look: Look) -> None:
    """Draw hypnogram, counts and electrodes in ``rows`` rows; in many, also density and trace."""
    width = canvas.width
    step = 2 if rows >= 16 else 1
    spare = rows - (2 + step * (len(STAGE_ROWS) - 1)) - 3
    trace = spare - _DENSITY_ROWS - 1
    density = max(0, spare if trace < 3 else _DENSITY_ROWS)
    counts = rows >= _FULL_ROWS or not night.marks
    y = draw_night(canvas, 1, y, width - 2, step, density, night, look)
    if trace >= 3:
        draw_labelled_trace(canvas, 1, y, width - 2 - MARGIN, trace, night, look)
        y += trace + 1
    if counts:
        canvas.put(6, y, _counts(night, width - 7), look.quiet)
        y += 1
    if not row.state.failed:
        draw_contacts(canvas, 6, y, width - 7, electrodes(night), look)


def _draw_now(canvas: Canvas, x: int, y: int, row: Row, look: Look) -> None:
    """Draw the newest stage with its confidence, or "old" if it is no longer the current one."""
    night = row.state.night
    newest = night.live[-1] if night is not None and night.live else None
    if night is None or newest is None:
        canvas.put(x, y, "-", look.quiet)
    elif newest.confidence is None:
        canvas.put(x, y, "?", look.alarm)
    else:
        stale = row.state.failed or is_stale(night)
        if look.plain:
            shown = plain_stage(newest.stage)
            assert shown is not None
            label = "old" if stale else PLAIN_ROWS[shown]
            canvas.put(x, y, label, look.stage(None if stale else shown, bold=True))
            return
        style = look.stage(None if stale else newest.stage, bold=True)
        sure = "old" if stale else f"{100 * newest.confidence:.0f} %"
        canvas.put(x, y, f"{newest.stage or '?':<2} {sure}", style)


def _draw_strip(
    canvas: Canvas, x: int, y: int, width: int, height: int, night: NightState | None, look: Look
) -> None:
    """Draw the hypnogram as columns, lower for deeper sleep; without colour, made of letters."""
    if night is None:
        return
    stages = column_stages(night.hypnogram, epochs_per_column(len(night.revised), width))
    letters = not (look.colour and look.unicode)
    for column, stage in enumerate(stages, start=x):
        style = look.stage(stage)
        if stage is None:
            canvas.fill(column, y, 1, height, "░", style)
            continue
        eighths = _STRIP[stage] * height
        for row in range(height):
            filled = min(8, max(0, eighths - 8 * row))
            char = STAGE_LETTERS[stage] if letters and filled else EIGHTHS[filled]
            canvas.put(column, y + height - 1 - row, char, style)


def _draw_words(canvas: Canvas, x: int, y: int, width: int, row: Row, look: Look) -> None:
    """Write the troubles, cut to ``width``; then, if there is room, facts of the night."""
    night = row.state.night
    troubles = row.troubles
    text = fitting(troubles, width) or cut("".join(troubles[:1]), width)
    style = look.bad if row.severity == 3 else look.alarm
    quiet: Style = look.quiet if troubles else look.style()
    end = canvas.put(x, y, text, style) + 2 if text else x
    if night is not None and not row.state.failed:
        canvas.put(end, y, fitting(_facts(row, night, look), x + width - end), quiet)


def _facts(row: Row, night: NightState, look: Look) -> list[str]:
    statistics = night.statistics
    if look.plain:
        words, _ = electrode_words(night, row.now or night.clock_utc, look)
        return ["ended"] * night.ended + [asleep_words(night)] + [words] * bool(words)
    facts = ["ended"] if night.ended else []
    facts += [f"TST {number(statistics.tst_min)}", f"SE {number(statistics.se_percent, ' %')}"]
    facts += [name] if (name := night.derivation) else []
    if row.now is not None and night.last_sample_utc is not None and not night.ended:
        facts.append(f"sample {age_text(row.now - night.last_sample_utc)} ago")
    if night.delivery.url is not None:
        facts.append(f"{night.delivery.waiting:,} events wait")
    return facts + ([worn] if (worn := worn_text(night, look)) else [])


def _counts(night: NightState, width: int) -> str:
    """Return how many epochs there are, how many samples are lost, how many events wait."""
    delivery = night.delivery
    events = f"{delivery.published:,} events published, {delivery.waiting:,} waiting"
    if delivery.url is None:
        events = "events kept in the store"
    epochs = f"{len(night.live):,} epochs"
    return fitting([epochs, f"{night.ledger.lost:,} samples lost", events], width)
