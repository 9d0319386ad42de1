"""The current stage in letters so large that they can be read from across the room."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

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
_WORDS = {
    "A": ".###. #...# #...# ##### #...# #...# #...#",
    "D": "####. #...# #...# #...# #...# #...# ####.",
    "E": "##### #.... #.... ####. #.... #.... #####",
    "G": ".###. #...# #.... #.### #...# #...# .###.",
    "H": "#...# #...# #...# ##### #...# #...# #...#",
    "I": "### .#. .#. .#. .#. .#. ###",
    "K": "#...# #..#. #.#.. ##... #.#.. #..#. #...#",
    "L": "#.... #.... #.... #.... #.... #.... #####",
    "M": "#...# ##.## #.#.# #.#.# #...# #...# #...#",
    "N": "#...# ##..# #.#.# #.#.# #..## #...# #...#",
    "O": ".###. #...# #...# #...# #...# #...# .###.",
    "P": "####. #...# #...# ####. #.... #.... #....",
    "R": "####. #...# #...# ####. #.#.. #..#. #...#",
    "T": "##### ..#.. ..#.. ..#.. ..#.. ..#.. ..#..",
    "W": "#...# #...# #...# #.#.# #.#.# ##.## #...#",
    "0": ".###. #...# #...# #...# #...# #...# .###.",
    "1": "..#.. .##.. ..#.. ..#.. ..#.. ..#.. .###.",
    "2": ".###. #...# ....# ..##. .#... #.... #####",
    "3": ".###. #...# ....# ..##. ....# #...# .###.",
    "4": "...#. ..##. .#.#. #..#. ##### ...#. ...#.",
    "5": "##### #.... ####. ....# ....# #...# .###.",
    "6": "..##. .#... #.... ####. #...# #...# .###.",
    "7": "##### ....# ...#. ..#.. .#... .#... .#...",
    "8": ".###. #...# #...# .###. #...# #...# .###.",
    "9": ".###. #...# #...# .#### ....# ...#. .##..",
    ":": ". # # . # # .",
    " ": ".. .. .. .. .. .. ..",
}
"""Narrower letters, for the words and the clock of the plain view."""

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
    _draw_pixels(canvas, x, y, [_GLYPHS[char] for char in text], style, scale)


def word_width(word: str, scale: int) -> int:
    """Return the columns of ``word`` in large letters."""
    return scale * sum(_WORDS[char].index(" ") + 1 for char in word) - scale


def draw_word(
    canvas: Canvas, x: int, y: int, word: str, style: Style, look: Look, scale: int
) -> None:
    """Draw ``word`` in `HEIGHT` * ``scale`` rows."""
    if not look.unicode:
        canvas.put(x, y + 1, f"[[ {word} ]]", style)
        return
    _draw_pixels(canvas, x, y, [_WORDS[char] for char in word], style, scale)


def _draw_pixels(
    canvas: Canvas, x: int, y: int, glyphs: Sequence[str], style: Style, scale: int
) -> None:
    pixels = [".".join(rows) for rows in zip(*(glyph.split() for glyph in glyphs), strict=True)]
    grid = [[int(c == "#") for c in bits for _ in range(scale)] for bits in pixels]
    grid = [row for row in grid for _ in range(scale)]
    # Two rows of pixels make a row of cells: an odd number of them needs an empty one more.
    grid.append([0] * len(grid[0]))
    for row in range(0, len(grid) - 1, 2):
        line = "".join(_HALVES[pair] for pair in zip(grid[row], grid[row + 1], strict=True))
        canvas.put(x, y + row // 2, line, style)
