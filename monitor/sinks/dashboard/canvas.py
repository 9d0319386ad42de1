"""A grid of characters of a fixed size, on which nothing ever wraps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

PLAIN = Style.null()

_ASCII = str.maketrans("━┃┓┗┛┏╷─█▀▄░·—…µ±●◐○▼▲◆", "-|++++'-###..-.u~+~xv^*")


class Canvas:
    """``width`` x ``height`` cells, each with one character and one style.

    - What is drawn outside is left out. What is drawn later replaces what was there.
    - A character that is not one cell wide, also a control character, becomes "?". So the name of
      a derivation or an address cannot break the grid.
    - With ``unicode`` False every character is ASCII.
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
            text = _one_cell_each(text, self._unicode)
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
        """Yield each row as a list of (text, style), one entry for each run of one style."""
        for chars, styles in zip(self._chars, self._styles, strict=True):
            runs: list[tuple[str, Style]] = []
            start = 0
            # Equal styles are one object, because `Look` caches them.
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
def _one_cell_each(text: str, unicode: bool) -> str:
    """Return ``text`` with every character that is not one cell wide replaced."""
    if not unicode:
        text = text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
    return "".join(c if c.isprintable() and cell_len(c) == 1 else "?" for c in text)
