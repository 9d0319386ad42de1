"""The screen before a night begins: the reason for the wait, and commands that may help."""

from __future__ import annotations

from datetime import datetime, timedelta

from monitor.night.state import SleeperState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.text import cut, fitting
from monitor.sinks.words import age_text

HINTS = (
    ("sleep-monitor doctor", "checks this machine, and lists what to do"),
    ("Ctrl-C", "ends the monitor"),
)
KIND_HINTS = {
    "lsl": ("sleep-monitor streams", "lists the LSL streams that can be seen now"),
    "brainflow": ("the headband", "switch it on, charge it, disconnect it from the phone"),
}
"""What helps for one kind of source. `streams` sees no Bluetooth."""

_HINT_COLUMN = 24


def draw_waiting(
    state: SleeperState,
    waited_s: float,
    width: int,
    height: int,
    look: Look,
    utc: datetime,
    notice: str | None,
) -> Canvas:
    """Draw a screen for a sleeper without a night: why, for how long, and what may help.

    ``waited_s``: seconds since the wait began. ``utc``: the time to show.
    """
    canvas = Canvas(width, height, look.unicode)
    draw_top_bar(canvas, [state.sleeper, "no night yet"], "live", look, utc)
    lines = _wrapped(state.status or "starting", max(10, width - 8))
    hints = (KIND_HINTS[state.kind], *HINTS, *([("q", "asks, then ends it")] * look.keys))
    widest = max(*map(len, lines), *(_HINT_COLUMN + len(meaning) for _, meaning in hints))
    x = max(0, (width - widest) // 2)
    y = max(1, (height - len(lines) - 2 - len(hints)) // 2 - 1)
    for line in lines:
        canvas.put(x, y, line, look.bad if state.failed else look.strong)
        y += 1
    if not state.failed:
        canvas.put(x, y, f"for {age_text(timedelta(seconds=waited_s))}", look.quiet)
    y += 2
    for command, meaning in hints:
        canvas.put(x, y, command, look.trace)
        canvas.put(x + _HINT_COLUMN, y, meaning, look.quiet)
        y += 1
    if notice is not None:
        canvas.put(1, height - 1, cut(notice, width - 2), look.alarm)
    return canvas


def draw_top_bar(canvas: Canvas, items: list[str], right: str, look: Look, utc: datetime) -> None:
    """Draw the bar at the top: the clock, as many ``items`` as fit, and ``right`` at its end."""
    canvas.fill(0, 0, canvas.width, 1, " ", look.bar)
    clock = utc.astimezone(look.timezone).strftime("%H:%M:%S")
    x = canvas.put(1, 0, clock, look.bar + look.strong)
    room = canvas.width - x - len(right) - 4
    canvas.put(x + 2, 0, fitting([item for item in items if item], room), look.bar)
    if room >= 0:
        canvas.put(canvas.width - len(right) - 1, 0, right, look.bar)


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return [cut(line, width) for line in lines]
