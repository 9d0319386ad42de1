"""Colours of the stages and of the dashboard, for what the terminal can show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache

from rich.console import Console
from rich.style import Style

from models.contract import Stage

STAGE_ROWS: tuple[Stage, ...] = (Stage.W, Stage.R, Stage.N1, Stage.N2, Stage.N3)
"""Top to bottom, as the AASM Manual draws a hypnogram."""

STAGE_LETTERS = {Stage.W: "W", Stage.R: "R", Stage.N1: "1", Stage.N2: "2", Stage.N3: "3", None: "?"}
"""A character for each stage, for terminals without colour."""

# People with the common forms of colour blindness can tell these apart, and so can a grey screen:
# yellow, vermilion, and three blues that darken with the depth of sleep.
STAGE_COLOURS: dict[Stage | None, str] = {
    Stage.W: "#f2c80f",
    Stage.R: "#e8601c",
    Stage.N1: "#9ad6f7",
    Stage.N2: "#3d9be0",
    Stage.N3: "#4c5cf0",
    None: "#6e7681",
}


@dataclass(frozen=True, slots=True)
class Look:
    """The abilities of a terminal, and the time zone of the times on it.

    - ``colour`` False: stages differ by place, letter and shade alone (NO_COLOR).
    - ``unicode`` False: ASCII only.
    - ``timezone`` None: a replay shows the recording's clock, a live night shows local time.
    """

    colour: bool = True
    unicode: bool = True
    timezone: tzinfo | None = None

    @classmethod
    def of(cls, console: Console, timezone: tzinfo | None = None) -> Look:
        """Return the look for what ``console`` can show."""
        return cls(
            colour=console.color_system is not None and not console.no_color,
            unicode=console.encoding.lower().startswith("utf"),
            timezone=timezone,
        )

    def style(self, colour: str | None = None, on: str | None = None, bold: bool = False) -> Style:
        """Return a style of these colours; without colour only ``bold`` remains."""
        return _style(colour, on, bold, False) if self.colour else _style(None, None, bold, False)

    def stage(self, stage: Stage | None, bold: bool = False) -> Style:
        """Return the colour of ``stage``; None is unscored."""
        return self.style(STAGE_COLOURS[stage], bold=bold)

    @property
    def quiet(self) -> Style:
        """Labels and axes."""
        return self.style("#8b949e")

    @property
    def strong(self) -> Style:
        """Titles and the most important numbers."""
        return self.style(bold=True)

    @property
    def alarm(self) -> Style:
        """Text that a person should look at; reversed on a terminal without colour."""
        return self.style("#ff9e3d", bold=True) if self.colour else _style(None, None, True, True)

    @property
    def good(self) -> Style:
        """Text about something that works."""
        return self.style("#56d4a0", bold=True)

    @property
    def bad(self) -> Style:
        """Text about something that does not work: an electrode that is off, a failed monitor."""
        return self.style("#ff6b6b", bold=True) if self.colour else _style(None, None, True, True)

    @property
    def alarm_bar(self) -> Style:
        """The bar at the top while a person has to do something."""
        colours = self.style("#1b1200", on="#ff9e3d", bold=True)
        return colours if self.colour else _style(None, None, True, True)

    @property
    def bar(self) -> Style:
        """The bar at the top."""
        return (
            self.style("#e6edf3", on="#22303f") if self.colour else _style(None, None, False, True)
        )


@lru_cache(maxsize=4096)
def _style(colour: str | None, on: str | None, bold: bool, reverse: bool) -> Style:
    return Style(color=colour, bgcolor=on, bold=bold or None, reverse=reverse or None)
