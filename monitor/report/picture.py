"""The picture of a night: its lanes above one another, over one time axis."""

from __future__ import annotations

from collections.abc import Callable

from monitor.report.axis import TimeAxis
from monitor.report.colours import colour, variables
from monitor.report.lanes import (
    Lane,
    contact_lanes,
    derivation_lanes,
    hypnodensity_lane,
    hypnogram_lane,
    lost_lane,
    spectrogram_lane,
    text,
)
from monitor.report.markup import Markup, element, join
from monitor.report.reported import ReportedNight
from monitor.report.summary import title as title_of
from monitor.report.words import clock_change_text, date_text

WIDE, NARROW = 760.0, 330.0
"""Widths for a desktop or paper, and for a phone, in user units."""

TEXT_STYLE = (
    "svg text{font:11px system-ui,sans-serif;fill:var(--text)}"
    "svg .label{fill:var(--quiet)}svg .title,svg .mark{font-weight:600;stroke:var(--ground);"
    "stroke-width:4px;paint-order:stroke;stroke-linejoin:round}"
    "svg .grid{stroke:var(--line);fill:none}svg .steps{stroke:var(--quiet);fill:none}"
    "svg .flag{stroke:var(--text);stroke-dasharray:3 3;fill:none}"
)
"""Style rules of the pictures."""

_GAP, _TITLE = 12.0, 15.0


def night_picture(night: ReportedNight, width: float = WIDE, name: str = "night") -> Markup:
    """Return the picture of ``night`` as an SVG element of ``width`` user units.

    ``name`` is unique on its page: names of the parts inside begin with it.
    """
    narrow = width < WIDE
    left = 62.0 if narrow else 84.0
    record = night.record
    axis = TimeAxis(record.session.start_utc, night.n_epochs, left, width - left - 8, night.clock)
    hatch = f"{name}-hatch"
    title = "Stages of sleep" if night.expert is None else "Stages of the monitor"
    lanes = [
        hypnogram_lane(title, night.hypnogram, axis, hatch, narrow),
        hypnodensity_lane(night, axis, hatch),
        spectrogram_lane(night, axis, hatch, narrow),
        *contact_lanes(night, axis, hatch),
        *derivation_lanes(night, axis),
        *lost_lane(night, axis),
    ]
    if night.expert is not None:
        expert = night.expert.stages
        lanes.insert(1, hypnogram_lane("Stages of the expert", expert, axis, hatch, narrow))
    top = 60.0 if night.happenings or axis.clock_changes() else 44.0
    return framed_picture(
        lanes,
        axis,
        width,
        name,
        title=title_of(night),
        described=description(night),
        top=top,
        flags=lambda bottom: _flags(night, axis, top, bottom),
        has_date=night.record.session.has_date,
    )


def framed_picture(
    lanes: list[Lane],
    axis: TimeAxis,
    width: float,
    name: str,
    *,
    title: str,
    described: str,
    top: float,
    flags: Callable[[float], tuple[Markup, Markup]],
    has_date: bool,
) -> Markup:
    """Return ``lanes`` above one another, with the hours above and below, as an SVG element.

    - ``title`` and ``described`` are for those who cannot see it.
    - ``flags`` returns what is drawn below and above the lanes, from ``top`` to the bottom that it
      receives.
    """
    drawn, bottom = _stacked(lanes, top)
    below, above = flags(bottom)
    height = bottom + 20.0
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", described, id=f"{name}-description"),
        element("defs", _hatch(f"{name}-hatch")),
        _grid(axis, top, bottom),
        below,
        drawn,
        _hours(axis, 30.0),
        _hours(axis, bottom + 14.0),
        _days(axis, width < WIDE) if has_date else "",
        above,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-description",
    )


def picture_file(night: ReportedNight) -> str:
    """Return the picture of ``night`` as a file of its own."""
    ground = "svg{background:var(--ground);max-width:1200px}"
    style = element("style", Markup(variables() + ground + TEXT_STYLE))
    picture = str(night_picture(night))
    end = picture.index(">") + 1
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{picture[:end]}{style}{picture[end:]}\n'


def description(night: ReportedNight) -> str:
    """Return what the picture shows, for those who cannot see it."""
    lanes = ["the stage of sleep", "how probable each stage was", "the power of the brain waves"]
    lanes += ["the contact of the electrodes", "which signal was staged"]
    if night.expert is not None:
        lanes.insert(1, "the stages of the expert")
    return (
        f"From {night.start:%H:%M} to {night.end:%H:%M}, above one another: {', '.join(lanes)}. "
        "A table below has the same in numbers."
    )


def _stacked(lanes: list[Lane], top: float) -> tuple[Markup, float]:
    """Return the lanes below one another, and the lower edge of the last."""
    parts, y = [], top
    for index, lane in enumerate(lanes):
        if lane.title:
            y += _GAP if index else 0.0
            parts.append(text(0, y + 10, lane.title, class_="title"))
            y += _TITLE
        else:
            y += 3.0
        parts.append(lane.at(y))
        y += lane.height
    return join(parts), round(y)


def _hatch(name: str) -> Markup:
    """Return the pattern of what is not known."""
    stroke = element("path", d="M0 0V6", stroke=colour("hatch"), stroke_width=1.4)
    return element(
        "pattern",
        stroke,
        id=name,
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )


def _grid(axis: TimeAxis, top: float, bottom: float) -> Markup:
    lines = "".join(f"M{tick.x:.1f} {top:g}V{bottom:g}" for tick in axis.ticks())
    return element("path", d=lines or "M0 0", class_="grid")


def _hours(axis: TimeAxis, y: float) -> Markup:
    labels = []
    for tick in axis.ticks():
        x = min(max(tick.x, axis.left + 8), axis.right - 10)
        if tick.label:
            labels.append(text(x, y, tick.label, anchor="middle", class_="label"))
    return element("g", labels)


def _days(axis: TimeAxis, narrow: bool) -> Markup:
    labels: list[Markup] = []
    days = [tick for tick in axis.days() if tick.day is not None]
    room = 78.0 if narrow else 150.0
    for tick, following in zip(days, [*days[1:], None], strict=True):
        end = axis.right if following is None else following.x
        assert tick.day is not None
        day = f"{tick.day:%a} {tick.day.day} {tick.day:%b}" if narrow else date_text(tick.day)
        if end - tick.x >= room:
            labels.append(text(tick.x + 3, 12, day))
        elif following is None:
            labels.append(text(axis.right, 12, day, anchor="end"))
        elif not labels:
            # A short evening: its day stands at the left of the axis.
            labels.append(text(tick.x - 4, 12, f"{tick.day.day} {tick.day:%b}", anchor="end"))
        if tick.x > axis.left:
            labels.append(element("path", d=f"M{tick.x:.1f} 0V16", class_="steps"))
    return element("g", labels)


def _flags(
    night: ReportedNight, axis: TimeAxis, top: float, bottom: float
) -> tuple[Markup, Markup]:
    """Return a line for each mark and event, and for a change of the clocks; and their names."""
    lines: list[Markup] = []
    names: list[Markup] = []
    last = -99.0
    for number, happening in enumerate(night.happenings, start=1):
        x = axis.of_time(happening.when)
        if x - last < 2.0:
            continue  # a line on a line
        lines.append(element("path", d=f"M{x:.1f} {top - 14:g}V{bottom:g}", class_="flag"))
        if x - last >= 13.0:
            anchor = "end" if x > axis.right - 10 else "middle"
            names.append(text(x, top - 17, str(number), anchor=anchor, class_="mark"))
            last = x
    for when, change in axis.clock_changes():
        x = axis.of_time(when)
        lines.append(element("path", d=f"M{x:.1f} {top - 14:g}V{bottom:g}", class_="steps"))
        anchor = "end" if x > axis.left + axis.width * 0.7 else "start"
        shift = -4 if anchor == "end" else 4
        names.append(
            text(x + shift, top - 5, clock_change_text(change), anchor=anchor, class_="mark")
        )
    return element("g", lines), element("g", names)
