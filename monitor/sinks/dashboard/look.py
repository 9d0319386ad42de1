"""Colours of the stages and of the dashboard, for what the terminal can show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache

from rich.console import Console
from rich.style import Style

from models.contract import Stage
from monitor.sinks.dashboard.palette import DARK, Palette
from monitor.types import Contact

STAGE_ROWS: tuple[Stage, ...] = (Stage.W, Stage.R, Stage.N1, Stage.N2, Stage.N3)
"""Top to bottom, as the AASM Manual draws a hypnogram."""

STAGE_LETTERS = {Stage.W: "W", Stage.R: "R", Stage.N1: "1", Stage.N2: "2", Stage.N3: "3", None: "?"}
"""A character for each stage, for terminals without colour."""
CONTACT_DOTS = {Contact.GOOD: "●", Contact.POOR: "◐", Contact.OFF: "○"}
"""A character for the contact of an electrode."""


@dataclass(frozen=True, slots=True)
class Look:
    """The abilities of a terminal, and the time zone of the times on it.

    - ``colour`` False: stages differ by place, letter and shade alone (NO_COLOR).
    - ``unicode`` False: ASCII only.
    - ``timezone`` None: a replay shows the recording's clock, a live night shows local time.
    - ``palette``: the colours, for a dark or a light background.
    - ``plain``: the plain view, in a sleeper's words; else the expert's.
    - ``keys``: keys can be pressed, so the screen names them.
    """

    colour: bool = True
    unicode: bool = True
    timezone: tzinfo | None = None
    palette: Palette = DARK
    plain: bool = False
    keys: bool = False

    @classmethod
    def of(cls, console: Console, timezone: tzinfo | None = None, palette: Palette = DARK) -> Look:
        """Return the look for what ``console`` can show."""
        return cls(
            colour=console.color_system is not None and not console.no_color,
            unicode=console.encoding.lower().startswith("utf"),
            timezone=timezone,
            palette=palette,
        )

    def style(self, colour: str | None = None, on: str | None = None, bold: bool = False) -> Style:
        """Return a style of these colours; without colour only ``bold`` remains."""
        return _style(colour, on, bold, False) if self.colour else _style(None, None, bold, False)

    def stage(self, stage: Stage | None, bold: bool = False) -> Style:
        """Return the colour of ``stage``; None is unscored."""
        return self.style(self.palette.stages[stage], bold=bold)

    @property
    def quiet(self) -> Style:
        """Labels and axes."""
        return self.style(self.palette.quiet)

    @property
    def strong(self) -> Style:
        """Titles and the most important numbers."""
        return self.style(bold=True)

    @property
    def alarm(self) -> Style:
        """Text that a person should look at; reversed on a terminal without colour."""
        return self._or_reversed(self.palette.alarm)

    @property
    def good(self) -> Style:
        """Text about something that works."""
        return self.style(self.palette.good, bold=True)

    @property
    def bad(self) -> Style:
        """Text about something that does not work: an electrode that is off, a failed monitor."""
        return self._or_reversed(self.palette.bad)

    @property
    def trace(self) -> Style:
        """The EEG, and commands to type."""
        return self.style(self.palette.trace)

    @property
    def rule(self) -> Style:
        """Lines that only guide the eye."""
        return self.style(self.palette.rule)

    @property
    def alarm_bar(self) -> Style:
        """The bar at the top while a person has to do something."""
        ink, paper = self.palette.alarm_bar
        return _style(ink, paper, True, False) if self.colour else _style(None, None, True, True)

    @property
    def bar(self) -> Style:
        """The bar at the top."""
        ink, paper = self.palette.bar
        return _style(ink, paper, False, False) if self.colour else _style(None, None, False, True)

    def _or_reversed(self, colour: str) -> Style:
        return self.style(colour, bold=True) if self.colour else _style(None, None, True, True)


@lru_cache(maxsize=4096)
def _style(colour: str | None, on: str | None, bold: bool, reverse: bool) -> Style:
    return Style(color=colour, bgcolor=on, bold=bold or None, reverse=reverse or None)
