"""The current stage in letters so large that they can be read from across the room."""

from __future__ import annotations

from models.contract import Stage
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.look import Look

_GLYPHS = {
    "W": "##...## ##...## ##...## ##.#.## ####### ###.### ##...##",
    "R": "######. ##...## ##...## ######. ##.##.. ##..##. ##...##",
    "N": "##...## ###..## ####.## ##.#### ##..### ##...## ##...##",
    "1": "...##. ..###. .#.##. ...##. ...##. ...##. .#####",
    "2": ".#####. ##...## .....## ...###. .###... ##..... #######",
    "3": ".#####. ##...## .....## ..####. .....## ##...## .#####.",
    "?": ".#####. ##...## .....## ...###. ...##.. ....... ...##..",
    "-": "....... ....... ....... .#####. ....... ....... .......",
}
_PIXEL_ROWS = 7
_HALVES = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}

HEIGHT = 4


def draw_letters(
    canvas: Canvas,
    x: int,
    y: int,
    stage: Stage | None,
    known: bool,
    look: Look,
    scale: int,
    stale: bool,
) -> None:
    """Draw ``stage`` in `HEIGHT` * ``scale`` rows; unscored is "?", not ``known`` yet is "-".

    ``stale`` draws it without its colour, because it is no longer the current stage.
    """
    text = (stage.value if stage else "?") if known else "-"
    style = look.stage(None if stale else stage, bold=True)
    if not look.unicode:
        canvas.put(x, y + 1, f"[[ {text} ]]", look.alarm if stage is None else look.strong)
        return
    pixels = [""] * _PIXEL_ROWS
    for char in text:
        for row, bits in enumerate(_GLYPHS[char].split()):
            pixels[row] += ("." if pixels[row] else "") + bits
    grid = [[int(c == "#") for c in bits for _ in range(scale)] for bits in pixels]
    grid = [row for row in grid for _ in range(scale)]
    # Two rows of pixels make a row of cells: an odd number of them needs an empty one more.
    grid.append([0] * len(grid[0]))
    for row in range(0, len(grid) - 1, 2):
        line = "".join(_HALVES[pair] for pair in zip(grid[row], grid[row + 1], strict=True))
        canvas.put(x, y + row // 2, line, style)
