"""The colours of the dashboard, for a dark and for a light terminal.

Every colour that carries meaning has a contrast of at least 4.5:1 (WCAG 2.2, 1.4.3) on the grounds
of its theme. People with the common forms of colour blindness can tell the stages apart: the blues
darken with the depth of sleep. The stages also differ by place and letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.contract import Stage


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """The colours of one theme, each as "#rrggbb".

    - ``ink`` and ``paper``: text and ground of a picture; a terminal has its own.
    - ``stages``: None is unscored. ``rule``: lines that only guide the eye.
    - ``bar`` and ``alarm_bar``: text and ground of the bar at the top.
    """

    stages: Mapping[Stage | None, str]
    ink: str
    paper: str
    quiet: str
    trace: str
    alarm: str
    good: str
    bad: str
    rule: str
    bar: tuple[str, str]
    alarm_bar: tuple[str, str]


DARK = Palette(
    stages={
        Stage.W: "#f2c80f",
        Stage.R: "#ff7a45",
        Stage.N1: "#b9e2fa",
        Stage.N2: "#5aaef0",
        Stage.N3: "#8b86ff",
        None: "#9097a0",
    },
    ink="#c9d1d9",
    paper="#0d1117",
    quiet="#9aa4af",
    trace="#7ee0c3",
    alarm="#ff9e3d",
    good="#56d4a0",
    bad="#ff8080",
    rule="#586069",
    bar=("#e6edf3", "#22303f"),
    alarm_bar=("#1b1200", "#ff9e3d"),
)

LIGHT = Palette(
    stages={
        Stage.W: "#8a6100",
        Stage.R: "#b8005c",
        Stage.N1: "#0077a8",
        Stage.N2: "#1c4fd8",
        Stage.N3: "#1e0a5c",
        None: "#5f666d",
    },
    ink="#1f2328",
    paper="#ffffff",
    quiet="#57606a",
    trace="#00665a",
    alarm="#9a4a00",
    good="#0b6b43",
    bad="#b3151f",
    rule="#9aa4af",
    bar=("#ffffff", "#2f4a66"),
    alarm_bar=("#ffffff", "#9a4a00"),
)

PALETTES = {"dark": DARK, "light": LIGHT}


def luminance(colour: str) -> float:
    """Return the relative luminance of "#rrggbb", 0 for black to 1 for white (WCAG 2.2)."""
    shares = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
