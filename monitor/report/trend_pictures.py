"""The pictures of several nights: when each was slept, and how much of each stage it had."""

from __future__ import annotations

from collections.abc import Sequence

from models.contract import EPOCH_S, Stage
from monitor.report.colours import colour, stage_colour
from monitor.report.lanes import STAGE_ROWS, rect, text
from monitor.report.markup import Markup, element
from monitor.report.picture import WIDE
from monitor.report.reported import runs
from monitor.report.trend import TrendNight
from monitor.report.words import PLAIN_STAGES, minutes_text

_ROW, _BAR, _TOP = 18.0, 12.0, 22.0
_ORDER = (Stage.N3, Stage.N2, Stage.N1, Stage.R)


def times_picture(nights: Sequence[TrendNight], width: float, name: str) -> Markup:
    """Return when each night was slept: a row for each, on the wall clock."""
    left, right = _margins(width)
    low = min(night.of_clock(night.start) for night in nights)
    high = max(night.of_clock(night.start) + len(night.stages) * EPOCH_S / 60 for night in nights)
    low, high = low // 60 * 60, -(-high // 60) * 60
    scale = (width - left - right) / max(60.0, high - low)
    parts: list[Markup] = []
    hour = 60.0 * (1 if 60 * scale >= 40 else 2)
    at = -(-low // hour) * hour
    bottom = _TOP + _ROW * len(nights)
    while at <= high:
        x = left + (at - low) * scale
        parts.append(element("path", d=f"M{x:.1f} {_TOP:g}V{bottom:g}", class_="grid"))
        clock = int(at + 720) // 60 % 24
        if x <= width - 14:
            parts.append(text(x, 14, f"{clock:02d}:00", anchor="middle", class_="label"))
        at += hour
    for row, night in enumerate(nights):
        y = _TOP + _ROW * row + (_ROW - _BAR) / 2
        parts.append(_name(night, left, y))
        start = night.of_clock(night.start)
        for stage, first, stop in runs(night.stages):
            x = left + (start + first * EPOCH_S / 60 - low) * scale
            length = (stop - first) * EPOCH_S / 60 * scale
            fill = stage_colour(stage) if isinstance(stage, Stage) else colour("line")
            height = _BAR * (0.5 if stage is Stage.W or stage is None else 1.0)
            parts.append(rect(x, y + (_BAR - height) / 2, length, height, fill))
    about = f"{len(nights)} nights below one another, each from its start to its end on the clock."
    return _svg("When you slept", about, name, width, bottom + 6, parts)


def stages_picture(nights: Sequence[TrendNight], width: float, name: str) -> Markup:
    """Return the time in each stage of sleep, a bar for each night."""
    left, right = _margins(width)
    right += 60.0
    longest = max(60.0, *(night.statistics.tst_min for night in nights))
    scale = (width - left - right) / longest
    bottom = _TOP + _ROW * len(nights)
    parts: list[Markup] = []
    step = 60 if 60 * scale >= 30 else 120
    for minutes in range(0, int(longest) + 1, step):
        x = left + minutes * scale
        parts.append(element("path", d=f"M{x:.1f} {_TOP:g}V{bottom:g}", class_="grid"))
        parts.append(text(x, 14, f"{minutes // 60} h", anchor="middle", class_="label"))
    for row, night in enumerate(nights):
        y = _TOP + _ROW * row + (_ROW - _BAR) / 2
        parts.append(_name(night, left, y))
        s, x = night.statistics, left
        minutes_of = {Stage.N3: s.n3_min, Stage.N2: s.n2_min, Stage.N1: s.n1_min, Stage.R: s.r_min}
        for stage in _ORDER:
            length = minutes_of[stage] * scale
            if length:
                parts.append(rect(x, y, length, _BAR, stage_colour(stage)))
            x += length
        parts.append(text(x + 5, y + 10, minutes_text(s.tst_min)))
    about = "A bar for each night: deep, light, lightest and dream sleep, from left to right."
    return _svg("How long you slept", about, name, width, bottom + 6, parts)


def legend() -> Markup:
    """Return the colours of the stages with their names."""
    keys = [
        element(
            "li",
            element("span", class_="dot", style=f"background:{stage_colour(stage)}"),
            PLAIN_STAGES[stage],
        )
        for stage in STAGE_ROWS
    ]
    return element("ul", keys, class_="legend")


def _margins(width: float) -> tuple[float, float]:
    return (84.0 if width >= WIDE else 52.0), 8.0


def _name(night: TrendNight, left: float, y: float) -> Markup:
    day = night.evening
    label = f"{day:%a} {day.day} {day:%b}" if left > 60 else f"{day.day} {day:%b}"
    return text(left - 6, y + 10, label, anchor="end")


def _svg(
    title: str, about: str, name: str, width: float, height: float, parts: Sequence[Markup]
) -> Markup:
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", f"{about} The table below has the same in numbers.", id=f"{name}-about"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-about",
    )
