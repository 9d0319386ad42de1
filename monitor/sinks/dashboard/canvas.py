"""A grid of characters that is exactly as large as it was asked to be: nothing wraps, ever."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

PLAIN = Style.null()

_ASCII = str.maketrans("━┃┓┗┛┏╷─█▀▄░·—…µ±●◐○", "-|++++'-###..-.u~+~x")


class Canvas:
    """``width`` x ``height`` cells of one character and one style each, drawn over freely.

    What is put outside is left out. A character that is not exactly one cell wide, control
    characters included, becomes "?": a derivation or an address cannot break the grid.
    With ``unicode`` False only ASCII comes out.
    """

    def __init__(self, width: int, height: int, unicode: bool = True) -> None:
        self.width = max(0, width)
        self.height = max(0, height)
        self._unicode = unicode
        self._chars = [[" "] * self.width for _ in range(self.height)]
        self._styles = [[PLAIN] * self.width for _ in range(self.height)]

    def put(self, x: int, y: int, text: str, style: Style = PLAIN) -> int:
        """Write ``text`` from cell (``x``, ``y``) on; return the column after it."""
        if not (text.isascii() and text.isprintable()):
            text = _tame(text, self._unicode)
        end = x + len(text)
        if 0 <= y < self.height:
            chars, styles = self._chars[y], self._styles[y]
            for column, char in enumerate(text, start=x):
                if 0 <= column < self.width:
                    chars[column] = char
                    styles[column] = style
        return end

    def fill(self, x: int, y: int, width: int, height: int, char: str, style: Style) -> None:
        """Fill a rectangle with one character."""
        for row in range(y, y + height):
            self.put(x, row, char * width, style)

    def rows(self) -> Iterator[list[tuple[str, Style]]]:
        """Each row as runs of one style."""
        for chars, styles in zip(self._chars, self._styles, strict=True):
            runs: list[tuple[str, Style]] = []
            start = 0
            for column in range(1, self.width + 1):
                if column == self.width or styles[column] is not styles[start]:
                    runs.append(("".join(chars[start:column]), styles[start]))
                    start = column
            yield runs if self.width else []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for index, runs in enumerate(self.rows()):
            if index:
                yield Segment.line()
            for text, style in runs:
                yield Segment(text, style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.width, self.width)


@lru_cache(maxsize=4096)
def _tame(text: str, unicode: bool) -> str:
    if not unicode:
        text = text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
    return "".join(c if c.isprintable() and cell_len(c) == 1 else "?" for c in text)
