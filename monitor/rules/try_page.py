"""A page of what rules would have done: the hypnogram of each night with a lane for each rule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from monitor.config import Rule
from monitor.night.decision import Decision
from monitor.report.axis import TimeAxis
from monitor.report.colours import colour
from monitor.report.lanes import Lane, hypnogram_lane, rect, text
from monitor.report.markup import Markup, element
from monitor.report.picture import NARROW, WIDE, framed_picture
from monitor.report.reported import runs
from monitor.report.style import both_widths, page, section, table
from monitor.rules.clock_times import is_between
from monitor.rules.try_words import COLUMNS, cells, heading, occasions, sentence
from monitor.rules.trying import TriedNight

TITLE = "Rules on recorded nights"

LANE = 16.0
"""Height of a rule's lane, in user units."""

MOST_FLAGS = 12
"""A rule with more occasions than this gets no lines through the hypnogram: they would hide it."""

MOST_ROWS = 200
"""Rows of a night's table."""

_TOP = 44.0
_CAPTION = (
    "The stages as they were known at once (the live track), and a lane for each rule. A grey bar: "
    "the times between which the rule may act. A full triangle with a line: it fires. A hollow "
    "triangle: sham, or a dry run. A short stroke: it was held back."
)


def try_page(nights: Sequence[TriedNight]) -> str:
    """Return the page of ``nights``."""
    parts = [_night_section(tried, f"night{number}") for number, tried in enumerate(nights)]
    return page(TITLE, element("header", element("h1", TITLE)), parts)


def _night_section(tried: TriedNight, name: str) -> Markup:
    made = occasions(tried)
    rows: list[list[object]] = [list(cells(tried, each)) for each in made[:MOST_ROWS]]
    more = f", the first {MOST_ROWS} of {len(made)}" if len(made) > MOST_ROWS else ""
    return section(
        heading(tried),
        both_widths(
            try_picture(tried, WIDE, f"{name}-wide"),
            try_picture(tried, NARROW, f"{name}-narrow"),
            _CAPTION,
        ),
        [element("p", sentence(tried, rule)) for rule in tried.rules],
        table(f"When the rules fire{more}", list(COLUMNS), rows, numbers=False, wide=True)
        if rows
        else None,
    )


def try_picture(tried: TriedNight, width: float, name: str) -> Markup:
    """Return the picture of a night with its rules as an SVG element."""
    narrow, record = width < WIDE, tried.record
    left = 62.0 if narrow else 130.0
    axis = TimeAxis(record.session.start_utc, record.n_epochs, left, width - left - 8, tried.clock)
    stages = [each.stage for each in record.live]
    lanes = [
        hypnogram_lane("Stages of sleep", stages, axis, f"{name}-hatch", short=True),
        *(_rule_lane(tried, rule, axis, narrow, n == 0) for n, rule in enumerate(tried.rules)),
    ]
    flagged = [
        decision
        for rule in tried.rules
        if len(tried.occasions(rule)) <= MOST_FLAGS
        for decision in tried.occasions(rule)
        if decision.fired
    ]

    def flags(bottom: float) -> tuple[Markup, Markup]:
        lines = [
            element(
                "path", d=f"M{axis.of_time(each.time_utc):.1f} {_TOP:g}V{bottom:g}", class_="flag"
            )
            for each in flagged
        ]
        return element("g", lines), Markup("")

    return framed_picture(
        lanes,
        axis,
        width,
        name,
        title=heading(tried),
        described=" ".join(sentence(tried, rule) + "." for rule in tried.rules),
        top=_TOP,
        flags=flags,
        has_date=record.session.has_date,
    )


def _rule_lane(tried: TriedNight, rule: Rule, axis: TimeAxis, narrow: bool, first: bool) -> Lane:
    """Return the lane of a rule: its name stands at the left, or above on a phone."""
    middle, bar = LANE / 2, colour("line")
    parts = [element("path", d=f"M{axis.left:.1f} {middle:g}H{axis.right:.1f}", class_="grid")]
    parts += [
        rect(axis.of_epoch(start), middle - 3, axis.of_epoch(stop) - axis.of_epoch(start), 6, bar)
        for start, stop in _windows(tried, rule)
    ]
    for decision in tried.of(rule):
        if decision not in tried.occasions(rule):
            x = axis.of_time(decision.time_utc)
            parts.append(element("path", d=f"M{x:.1f} {middle - 4:g}v8", class_="steps"))
    parts += [_triangle(each, axis) for each in tried.occasions(rule)]
    letters = int((axis.right if narrow else axis.left - 6) / 7.0)
    label = rule.name if len(rule.name) <= letters else f"{rule.name[: letters - 1]}…"
    if narrow:
        return Lane(label, LANE, tuple(parts))
    parts.append(text(axis.left - 6, middle + 4, label, anchor="end", class_="label"))
    return Lane("Rules" if first else "", LANE, tuple(parts))


def _triangle(decision: Decision, axis: TimeAxis) -> Markup:
    """Return a triangle whose tip is at the time of the decision; hollow if nothing is done."""
    x = axis.of_time(decision.time_utc)
    fill = colour("text" if decision.fired else "ground")
    style = f"fill:{fill};stroke:{colour('text')};stroke-width:1.2"
    return element("path", d=f"M{x:.1f} {LANE - 2:g}l-4.5 -11h9z", style=style)


def _windows(tried: TriedNight, rule: Rule) -> list[tuple[int, int]]:
    """Return the epochs in which the times of the rule hold: the first, and one after the last."""
    if rule.between is None:
        return []
    start, end = rule.between
    middle = timedelta(seconds=15)

    def at(index: int) -> datetime:
        return tried.when(tried.record.session.epoch_start_utc(index) + middle)

    inside = [is_between(at(index), start, end) for index in range(tried.record.n_epochs)]
    return [(first, stop) for holds, first, stop in runs(inside) if holds]
