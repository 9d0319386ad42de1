"""A frame as an SVG picture. Blocks, lines and dots are drawn, so only letters need a font."""

from __future__ import annotations

from html import escape
from pathlib import Path

from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME

from monitor.night.state import NightState
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.layout import render
from monitor.sinks.dashboard.look import Look
from monitor.sinks.dashboard.palette import DARK, Palette

_W, _H = 9.0, 18.0
_LOWER = {c: (0.0, 1 - n / 8, 1.0, n / 8) for n, c in enumerate("▁▂▃▄▅▆▇█", start=1)}
_LEFT = {c: (0.0, 0.0, n / 8, 1.0) for n, c in enumerate("▏▎▍▌▋▊▉", start=1)}
_BOXES = {**_LOWER, **_LEFT, "▀": (0.0, 0.0, 1.0, 0.5)}
"""Rectangle of each block character: x, y, width and height as shares of the cell."""

_STROKES = {
    "━": ("left", "right"),
    "─": ("left", "right"),
    "┃": ("up", "down"),
    "│": ("up", "down"),
    "╷": ("down",),
    "┓": ("left", "down"),
    "┛": ("left", "up"),
    "┗": ("right", "up"),
    "┏": ("right", "down"),
}
_ENDS = {"left": (0.0, 0.5), "right": (1.0, 0.5), "up": (0.5, 0.0), "down": (0.5, 1.0)}
_THIN = "─│╷"
_SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75}
_BRAILLE = (
    (0.25, 0.125), (0.25, 0.375), (0.25, 0.625), (0.75, 0.125),
    (0.75, 0.375), (0.75, 0.625), (0.25, 0.875), (0.75, 0.875),
)  # fmt: skip


def to_svg(
    state: NightState, path: Path, width: int, height: int, look: Look | None = None
) -> None:
    """Write the frame of ``state``, ``width`` x ``height`` cells, to the file ``path``."""
    look = look or Look()
    picture = canvas_svg(render(state, width, height, look), look.palette)
    path.write_text(picture, encoding="utf-8")


def canvas_svg(canvas: Canvas, palette: Palette = DARK) -> str:
    """Return ``canvas`` as an SVG document on the paper of ``palette``."""
    pad = 12.0
    wide, high = canvas.width * _W + 2 * pad, canvas.height * _H + 2 * pad
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" '
        f'width="{wide:g}" height="{high:g}" font-size="15" '
        'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace">',
        f'<rect width="100%" height="100%" rx="8" fill="{palette.paper}"/>',
        f'<g transform="translate({pad:g} {pad:g})">',
    ]
    for row, runs in enumerate(canvas.rows()):
        column = 0
        for text, style in runs:
            parts.extend(_run(column, row, text, style, palette))
            column += len(text)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _run(column: int, row: int, text: str, style: Style, palette: Palette) -> list[str]:
    ink, paper = _colours(style, palette)
    x, y = column * _W, row * _H
    parts = []
    if paper != palette.paper:
        # Slightly larger than the cells: no gaps between neighbours when the picture is scaled.
        parts.append(_rect(x, y, len(text) * _W + 0.3, _H + 0.3, paper))
    words = ""
    for index, char in enumerate(text):
        shape = _shape(x + index * _W, y, char, ink)
        parts.extend(shape)
        words += " " if shape else char
    bold = ' font-weight="bold"' if style.bold else ""
    start = 0
    for word in words.split(" "):
        if word:
            at = x + start * _W
            parts.append(
                f'<text x="{at:g}" y="{y + 13.5:g}" textLength="{len(word) * _W:g}" '
                f'fill="{ink}"{bold}>{escape(word)}</text>'
            )
        start += len(word) + 1
    return parts


def _colours(style: Style, palette: Palette) -> tuple[str, str]:
    ink = style.color.get_truecolor(SVG_EXPORT_THEME).hex if style.color else palette.ink
    paper = style.bgcolor.get_truecolor(SVG_EXPORT_THEME).hex if style.bgcolor else palette.paper
    return (paper, ink) if style.reverse else (ink, paper)


def _shape(x: float, y: float, char: str, ink: str) -> list[str]:
    """Return the SVG elements that draw ``char``; none if it must be written as text."""
    if char in _BOXES:
        left, top, wide, high = _BOXES[char]
        return [_rect(x + left * _W, y + top * _H, wide * _W + 0.3, high * _H + 0.3, ink)]
    if char in _SHADES:
        return [_rect(x, y, _W, _H, ink, f' opacity="{_SHADES[char]}"')]
    if char in _STROKES:
        width = 1 if char in _THIN else 2.6
        middle = f"M{x + _W / 2:g} {y + _H / 2:g}L"
        ends = [_ENDS[end] for end in _STROKES[char]]
        path = "".join(f"{middle}{x + a * _W:g} {y + b * _H:g}" for a, b in ends)
        return [f'<path d="{path}" stroke="{ink}" stroke-width="{width}" stroke-linecap="square"/>']
    dots = ord(char) - 0x2800
    if 0 <= dots < 256:
        path = "".join(
            f"M{x + a * _W:g} {y + b * _H:g}h0"
            for bit, (a, b) in enumerate(_BRAILLE)
            if dots >> bit & 1
        )
        return [f'<path d="{path}" stroke="{ink}" stroke-width="2.7" stroke-linecap="round"/>']
    return []


def _rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}"{more}/>'
