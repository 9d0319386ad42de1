"""The legend: the keys, the colours and symbols, and every abbreviation with its meaning."""

from __future__ import annotations

from rich.style import Style

from models.contract import Stage
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.look import CONTACT_DOTS, STAGE_ROWS, Look
from monitor.sinks.dashboard.marks import MARK_SYMBOLS, MARK_WORDS
from monitor.sinks.dashboard.text import cut
from monitor.types import Contact

Entry = tuple[str, str, str, Style]
"""Symbol, name and meaning, and the style of symbol and name. An empty meaning makes a title."""

_STAGES = {
    Stage.W: "awake",
    Stage.R: "dreaming (REM sleep)",
    Stage.N1: "light sleep, at its start",
    Stage.N2: "light sleep",
    Stage.N3: "deep sleep",
}

_CONTACTS = {
    Contact.GOOD: "electrode good",
    Contact.POOR: "electrode poor, press it on",
    Contact.OFF: "electrode off the head",
}

ABBREVIATIONS = {
    "TRT": "time from lights off to on",
    "TST": "asleep: N1, N2, N3 and R",
    "SE": "sleep efficiency: TST / TRT",
    "SOL": "time until the first sleep",
    "LPS": "time until 10 min of sleep",
    "WASO": "awake after sleep onset:",
    "(AASM)": "to the end of TRT",
    "(last)": "to the last sleep",
    "p": "probability of the stages",
    "std, p-p": "strength of the signal, uV",
    "mains": "hum of the power line",
    "dup": "samples that came twice",
}

_COLUMN = 39
"""Letters in a line of a list at the least; a screen of 80 has two lists."""

_WIDEST = 60
"""Letters in a line at the most: the longest meaning fits."""


def draw_legend(width: int, height: int, look: Look, run: str) -> Canvas:
    """Draw the legend on the whole screen; ``run`` is the name of what q ends.

    On a small screen the last entries are left out; the keys stay.
    """
    canvas = Canvas(width, height, look.unicode)
    canvas.fill(0, 0, width, 1, " ", look.bar)
    canvas.put(1, 0, cut("Legend (any key closes it)", max(0, width - 2)), look.bar + look.strong)
    rows = max(1, height - 1)
    entries = [*_keys(look, run), *_pictures(look)]
    others = _abbreviations(look)
    lists = [entries, others] if len(entries) <= rows else [[*entries, *others]]
    columns = [
        listed[start : start + rows] for listed in lists for start in range(0, len(listed), rows)
    ]
    del columns[max(1, (width - 1) // _COLUMN) :]
    each = min((width - 1) // len(columns), _WIDEST)
    for n, listed in enumerate(columns):
        _draw_list(canvas, 1 + n * each, each, listed, look)
    return canvas


def _draw_list(canvas: Canvas, x: int, width: int, entries: list[Entry], look: Look) -> None:
    for y, (symbol, name, meaning, style) in enumerate(entries, start=1):
        if not meaning:
            canvas.put(x, y, name, look.strong)
            continue
        canvas.put(x, y, symbol, style)
        canvas.put(x + 2, y, name, style)
        canvas.put(x + 11, y, cut(meaning, width - 12), look.style())


def _keys(look: Look, run: str) -> list[Entry]:
    plain, title = look.style(), ("", "Keys", "", look.strong)
    if not look.keys:
        return [title, ("", "Ctrl-C", f"ends the {run}", plain)]
    other = "expert's view" if look.plain else "plain view"
    return [
        title,
        ("v", "", f"the {other}", plain),
        ("?", "", "this legend", plain),
        ("q", "", f"asks, then ends the {run}", plain),
        ("", "Ctrl-C", "ends it without a question", plain),
    ]


def _pictures(look: Look) -> list[Entry]:
    styles = {Contact.GOOD: look.good, Contact.POOR: look.alarm, Contact.OFF: look.bad}
    block = "█" if look.colour and look.unicode else " "
    return [
        ("", "Stages", "", look.strong),
        *((block, s.value, _STAGES[s], look.stage(s, bold=True)) for s in STAGE_ROWS),
        ("░", "?", "unscored: no reading", look.stage(None, bold=True)),
        ("", "Symbols", "", look.strong),
        *((MARK_SYMBOLS[kind], "", MARK_WORDS[kind], look.strong) for kind in MARK_SYMBOLS),
        *((CONTACT_DOTS[c], "", _CONTACTS[c], styles[c]) for c in CONTACT_DOTS),
    ]


def _abbreviations(look: Look) -> list[Entry]:
    title = ("", "Words (numbers are minutes)", "", look.strong)
    return [title, *(("", name, text, look.quiet) for name, text in ABBREVIATIONS.items())]
