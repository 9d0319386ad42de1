"""The theme of the terminal: the user's choice, or the one that suits the terminal's background."""

from __future__ import annotations

import re
from collections.abc import Mapping

from monitor.config import Theme
from monitor.sinks.dashboard.palette import DARK, LIGHT, PALETTES, Palette, contrast

ASK = "\x1b]11;?\x1b\\"
"""Asks a terminal for the colour of its background (xterm's OSC 11). One that does not know the
question ignores it."""

_ANSWER = re.compile(rb"11;rgba?:([0-9a-f]{1,4})/([0-9a-f]{1,4})/([0-9a-f]{1,4})", re.IGNORECASE)

_SILENT = ("linux", "dumb", "unknown")
"""Terminals that are not asked. Old Linux consoles print the end of the question."""

_LIGHT_COLORFGBG = ("7", "9", "10", "11", "12", "13", "14", "15")
"""Numbers of light backgrounds among the 16 colours of rxvt, which sets COLORFGBG."""


class Background:
    """The palette that suits the terminal.

    - ``theme`` "dark" or "light" is the user's choice and stays.
    - "auto" begins with COLORFGBG, else dark; the terminal's `answer` decides when it comes.
    """

    def __init__(self, theme: Theme, environ: Mapping[str, str]) -> None:
        self.palette: Palette = PALETTES.get(theme, DARK)
        self.must_ask = theme == "auto" and environ.get("TERM", "") not in _SILENT
        if theme == "auto" and environ.get("COLORFGBG", "").split(";")[-1] in _LIGHT_COLORFGBG:
            self.palette = LIGHT

    def answer(self, text: bytes) -> None:
        """Choose the palette by ``text``, the terminal's answer to `ASK`; ignore anything else."""
        if not self.must_ask or (found := _ANSWER.match(text)) is None:
            return
        parts = (int(part, 16) * 255 // (16 ** len(part) - 1) for part in found.groups())
        ground = "#" + "".join(f"{part:02x}" for part in parts)
        light = contrast(ground, "#000000") > contrast(ground, "#ffffff")
        self.palette = LIGHT if light else DARK
