"""The colours of the report, on paper and on a dark screen, as variables of its style.

Tests check them: at least 3 to 1 against the ground for what is drawn and 4.5 to 1 for text (WCAG
2.2), and stages that people with colour blindness can tell apart (Machado et al. 2009).
"""

from __future__ import annotations

from models.contract import Stage

LIGHT = {
    "ground": "#ffffff",
    "panel": "#f5f7fa",
    "text": "#16202c",
    "quiet": "#55606e",
    "line": "#d3dae3",
    "w": "#b77f00",
    "r": "#c2255c",
    "n1": "#3897cd",
    "n2": "#1a62a6",
    "n3": "#16225f",
    "good": "#1a7f5a",
    "poor": "#b85c00",
    "off": "#8a1c1c",
    "hatch": "#8b95a1",
    "notice": "#fff4dc",
    "link": "#1a62a6",
}
DARK = {
    "ground": "#12171e",
    "panel": "#1b222c",
    "text": "#e8edf3",
    "quiet": "#a3afbd",
    "line": "#323c49",
    "w": "#f2c80f",
    "r": "#ff6f91",
    "n1": "#b4e2fb",
    "n2": "#4aa3e6",
    "n3": "#5b66f0",
    "good": "#4cc79a",
    "poor": "#ffa94d",
    "off": "#ff8787",
    "hatch": "#76818e",
    "notice": "#3a2f12",
    "link": "#7cc0f5",
}

DARK_SCREEN = "@media screen and (prefers-color-scheme:dark)"
"""The rule of the dark colours."""

# Nine even steps of viridis (Matplotlib): its lightness rises evenly, and people with colour
# blindness can read it.
VIRIDIS = (
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
)


def colour(name: str) -> str:
    """Return the CSS value of the colour ``name``, which depends on the reader's screen."""
    return f"var(--{name})"


def stage_colour(stage: Stage) -> str:
    """Return the CSS value of the colour of ``stage``."""
    return colour(stage.value.lower())


def variables() -> str:
    """Return the style rules that define the colours. Paper is always light."""
    light, dark = (
        ";".join(f"--{name}:{value}" for name, value in each.items()) for each in (LIGHT, DARK)
    )
    return f":root{{color-scheme:light dark;{light}}}{DARK_SCREEN}{{:root{{{dark}}}}}"
