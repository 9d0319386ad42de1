"""The lanes of a night's picture: each draws one thing over the time axis that all share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.contract import STAGES, Stage
from monitor.report.axis import TimeAxis
from monitor.report.colours import VIRIDIS, colour, stage_colour
from monitor.report.markup import Markup, element
from monitor.report.png import png_url
from monitor.report.reported import ReportedNight, runs
from monitor.report.spectrogram import HIGH_HZ, LOW_HZ
from monitor.report.words import PLAIN_STAGES
from monitor.types import F64, Contact

STAGE_ROWS = tuple(PLAIN_STAGES)
"""Top to bottom, as the AASM Manual draws a hypnogram: W on top, R set off below it, N3 last."""

STEP = 21.0
"""Distance of two stages in the hypnogram, in user units as all lengths here."""

DENSITY_HEIGHT = 64.0
SPECTROGRAM_HEIGHT = 96.0
BAR_HEIGHT = 9.0
MOST_COLUMNS = 1200
"""Columns of a hypnodensity. A longer night has several epochs in one."""

MOST_CHANNELS = 16
"""Channels whose contact is drawn."""

_CONTACTS = {Contact.GOOD: ("good", 1.0), Contact.POOR: ("poor", 0.55), Contact.OFF: ("off", 0.25)}
"""Colour and height of each contact: without colours, the height tells them apart."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A drawing of some height; `draw` receives the place of its upper edge.

    ``title`` stands above it, at the left.
    """

    title: str
    height: float
    parts: tuple[Markup, ...]

    def at(self, y: float) -> Markup:
        """Return the lane with its upper edge at ``y``."""
        return element("g", *self.parts, transform=f"translate(0 {y:.0f})")


def text(
    x: float, y: float, content: str, *, anchor: str | None = None, class_: str | None = None
) -> Markup:
    """Return a text whose baseline begins, ends or has its middle (``anchor``) at ``x``, ``y``."""
    return element("text", content, x=x, y=y, text_anchor=anchor, class_=class_)


def rect(x: float, y: float, width: float, height: float, fill: str) -> Markup:
    """Return a filled rectangle."""
    return element("rect", x=x, y=y, width=max(0.4, width), height=height, fill=fill)


def hypnogram_lane(
    title: str, stages: Sequence[Stage | None], axis: TimeAxis, hatch: str, short: bool
) -> Lane:
    """Return the hypnogram of ``stages``; what is unscored is a hatched gap in the line."""
    height = STEP * (len(STAGE_ROWS) - 1) + 14.0
    place = {stage: 7.0 + STEP * row for row, stage in enumerate(STAGE_ROWS)}
    parts = [
        element("path", d=f"M{axis.left:.1f} {y:.1f}H{axis.right:.1f}", class_="grid")
        for y in place.values()
    ]
    parts += [
        text(axis.left - 6, y + 4, _row_name(stage, short), anchor="end", class_="label")
        for stage, y in place.items()
    ]
    line: list[str] = []
    bars: dict[Stage, list[str]] = {stage: [] for stage in STAGE_ROWS}
    before: Stage | None = None
    for value, first, stop in runs(stages):
        x, end = axis.of_epoch(first), axis.of_epoch(stop)
        if not isinstance(value, Stage):
            parts.append(rect(x, 0.0, end - x, height, f"url(#{hatch})"))
            before = None
            continue
        y = place[value]
        line.append(f"{'M' if before is None else 'L'}{x:.1f} {y:.1f}H{end:.1f}")
        bars[value].append(f"M{x:.1f} {y:.1f}H{end:.1f}")
        before = value
    parts.append(element("path", d="".join(line) or "M0 0", class_="steps"))
    for stage, strokes in bars.items():
        if strokes:
            width = 6.0 if stage is Stage.R else 4.0
            style = f"stroke:{stage_colour(stage)};stroke-width:{width:g}"
            parts.append(element("path", d="".join(strokes), fill="none", style=style))
    return Lane(title, height, tuple(parts))


def _row_name(stage: Stage, short: bool) -> str:
    plain = {Stage.R: "Dreams", Stage.N1: "Lightest", Stage.N2: "Light", Stage.N3: "Deep"}
    return stage.value if short else f"{plain.get(stage, 'Awake')} {stage.value}"


def hypnodensity_lane(night: ReportedNight, axis: TimeAxis, hatch: str) -> Lane:
    """Return the probability of each stage, stacked: W on top, N3 at the bottom."""
    height = DENSITY_HEIGHT
    shares, edges = _mean_probabilities(night)
    parts = [rect(axis.left, 0.0, axis.width, height, f"url(#{hatch})")]
    # Each stage is drawn from its upper edge to the bottom; the next one covers its lower part.
    top = np.zeros(len(shares))
    known = [not np.isnan(row).any() for row in shares]
    for stage in STAGE_ROWS:
        strokes = []
        for is_known, first, stop in runs(known):
            if is_known:
                levels = height * np.clip(top[first:stop], 0.0, 1.0)
                strokes.append(_area(levels, edges[first : stop + 1], axis, height))
        if strokes:
            parts.append(element("path", d="".join(strokes), fill=stage_colour(stage)))
        top = top + np.nan_to_num(shares[:, STAGES.index(stage)])
    parts += _scale(axis, ((4.0, "100 %"), (height, "0 %")))
    return Lane("How probable each stage was", height, tuple(parts))


def _area(levels: F64, edges: Sequence[int], axis: TimeAxis, height: float) -> str:
    """Return the path of steps at ``levels``, closed at the bottom."""
    x = axis.of_epoch(edges[0])
    path = [f"M{x:.1f} {height:.1f}"]
    for level, end in zip(levels.tolist(), edges[1:], strict=True):
        path.append(f"V{level:.1f}H{axis.of_epoch(end):.1f}")
    return f"{''.join(path)}V{height:.1f}Z"


def _mean_probabilities(night: ReportedNight) -> tuple[F64, list[int]]:
    """Return the mean of the scored epochs of each column, (n_columns, 5), and their bounds."""
    n = night.n_epochs
    per_column = max(1, -(-n // MOST_COLUMNS))
    edges = [*range(0, n, per_column), n]
    unknown = (np.nan,) * len(STAGES)
    values = np.array([each.probabilities or unknown for each in night.revised], np.float64)
    values = values.reshape(n, len(STAGES))
    known = np.isfinite(values[:, 0])
    starts = np.array(edges[:-1], np.int64)
    if not n:
        return values, edges
    sums = np.add.reduceat(np.nan_to_num(values), starts, axis=0)
    counts = np.add.reduceat(known.astype(np.int64), starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: F64 = sums / counts[:, None]
    return means, edges


def spectrogram_lane(night: ReportedNight, axis: TimeAxis, hatch: str, short: bool) -> Lane:
    """Return the spectrogram of the night with its scale of frequencies."""
    spectrum, height = night.spectrogram, SPECTROGRAM_HEIGHT
    steps = 255
    span = spectrum.high_db - spectrum.low_db
    level = 1 + np.clip((spectrum.db - spectrum.low_db) / span, 0.0, 1.0) * (steps - 1)
    levels = np.where(np.isfinite(spectrum.db), np.nan_to_num(level), 0.0).astype(np.uint8)[::-1]
    image = element(
        "image",
        href=png_url(levels, _palette(steps)),
        x=axis.left,
        y=0.0,
        width=axis.width,
        height=height,
        preserveAspectRatio="none",
    )
    marks = [
        (height * (1.0 - (hz - LOW_HZ) / (HIGH_HZ - LOW_HZ)), f"{hz:g} Hz") for hz in (10, 20, 30)
    ]
    back = rect(axis.left, 0.0, axis.width, height, f"url(#{hatch})")
    drawn = (back, image, *_scale(axis, [(max(y, 4.0), label) for y, label in marks]))
    names = list(night.derivations) or [night.record.session.derivation]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    title = "Brain waves" if short else "Brain waves: power of each frequency"
    return Lane(f"{title}, {', '.join(names[:2])}{more}", height, drawn)


def _palette(steps: int) -> list[tuple[int, int, int]]:
    places = np.linspace(0, len(VIRIDIS) - 1, steps)
    parts = np.array(VIRIDIS).T
    red, green, blue = (np.interp(places, range(len(VIRIDIS)), part) for part in parts)
    return [(int(r), int(g), int(b)) for r, g, b in zip(red, green, blue, strict=True)]


def _scale(axis: TimeAxis, marks: Iterable[tuple[float, str]]) -> list[Markup]:
    return [text(axis.left - 6, y + 4, label, anchor="end", class_="label") for y, label in marks]


def contact_lanes(night: ReportedNight, axis: TimeAxis, hatch: str) -> list[Lane]:
    """Return the contact of each electrode over the night."""
    lanes = []
    for name, contacts in list(night.contacts.items())[:MOST_CHANNELS]:
        parts = []
        for value, first, stop in runs(contacts):
            x = axis.of_epoch(first)
            width = axis.of_epoch(stop) - x
            if isinstance(value, Contact):
                fill, share = _CONTACTS[value]
                height = BAR_HEIGHT * share
                parts.append(rect(x, BAR_HEIGHT - height, width, height, colour(fill)))
            else:
                parts.append(rect(x, 0.0, width, BAR_HEIGHT, f"url(#{hatch})"))
        label = text(axis.left - 6, BAR_HEIGHT - 1, _fitting(name, axis), anchor="end")
        lanes.append(Lane("", BAR_HEIGHT, (label, *parts)))
    n_all = len(night.contacts)
    some = f", {MOST_CHANNELS} of {n_all}" if n_all > MOST_CHANNELS else ""
    return _titled(f"Contact of the electrodes{some}", lanes)


def derivation_lanes(night: ReportedNight, axis: TimeAxis) -> list[Lane]:
    """Return when each derivation was staged."""
    lanes = []
    for name, staged in list(night.derivations.items())[:MOST_CHANNELS]:
        bars = [
            rect(
                axis.of_epoch(first),
                2.0,
                axis.of_epoch(stop) - axis.of_epoch(first),
                BAR_HEIGHT - 4.0,
                colour("text"),
            )
            for is_staged, first, stop in runs(staged)
            if is_staged
        ]
        label = text(axis.left - 6, BAR_HEIGHT - 1, _fitting(name, axis), anchor="end")
        lanes.append(Lane("", BAR_HEIGHT, (label, *bars)))
    return _titled("Signal that was staged", lanes)


def _titled(title: str, lanes: list[Lane]) -> list[Lane]:
    return [Lane(title, lanes[0].height, lanes[0].parts), *lanes[1:]] if lanes else []


def _fitting(name: str, axis: TimeAxis) -> str:
    """Return ``name``, shortened in its middle to the room at the left of the axis."""
    letters = int((axis.left - 6) / 7.0)
    if len(name) > letters:
        name = name.removeprefix("EEG ")
    if len(name) <= letters:
        return name
    half = (letters - 1) // 2
    return f"{name[: letters - 1 - half]}…{name[-half:]}"


def lost_lane(night: ReportedNight, axis: TimeAxis) -> list[Lane]:
    """Return when the signal was lost; nothing if it never was."""
    spans = [(axis.of_time(a), axis.of_time(b)) for a, b in night.lost]
    bars = [rect(a, 2.0, max(1.5, b - a), BAR_HEIGHT - 4.0, colour("off")) for a, b in spans]
    return [Lane("Signal lost", BAR_HEIGHT, tuple(bars))] if bars else []
