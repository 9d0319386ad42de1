"""How things look: stage colours, what the terminal can show, numbers and times as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from rich.console import Console
from rich.style import Style

from models.contract import Stage
from monitor.night.state import NightState

STAGE_ROWS: tuple[Stage, ...] = (Stage.W, Stage.R, Stage.N1, Stage.N2, Stage.N3)
"""Top to bottom, as the AASM Manual draws a hypnogram."""

STAGE_LETTERS = {Stage.W: "W", Stage.R: "R", Stage.N1: "1", Stage.N2: "2", Stage.N3: "3", None: "?"}
"""One character a stage, for where colour cannot tell them apart."""

# Yellow, vermilion and three blues from light to deep stay apart in the common forms of colour
# blindness and in grey; the blues deepen with sleep.
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
    """What the terminal can show, and whose clock is read aloud.

    - ``colour`` False: stages are told apart by place, letter and shade alone (NO_COLOR).
    - ``unicode`` False: ASCII only.
    - ``timezone`` None: a replay's times are shown as recorded, a live source's in local time.
    """

    colour: bool = True
    unicode: bool = True
    timezone: tzinfo | None = None

    @classmethod
    def of(cls, console: Console, timezone: tzinfo | None = None) -> Look:
        """What ``console`` can show."""
        return cls(
            colour=console.color_system is not None and not console.no_color,
            unicode=console.encoding.lower().startswith("utf"),
            timezone=timezone,
        )

    def style(self, colour: str | None = None, on: str | None = None, bold: bool = False) -> Style:
        """A style of these colours; without colour only ``bold`` remains."""
        return _style(colour, on, bold, False) if self.colour else _style(None, None, bold, False)

    def stage(self, stage: Stage | None, bold: bool = False) -> Style:
        """The colour of ``stage``; None is unscored."""
        return self.style(STAGE_COLOURS[stage], bold=bold)

    @property
    def quiet(self) -> Style:
        """Labels and axes."""
        return self.style("#8b949e")

    @property
    def strong(self) -> Style:
        return self.style(bold=True)

    @property
    def alarm(self) -> Style:
        """What a person should look at: bold, reversed where there is no colour."""
        return self.style("#ff9e3d", bold=True) if self.colour else _style(None, None, True, True)

    @property
    def good(self) -> Style:
        """All is well here."""
        return self.style("#56d4a0", bold=True)

    @property
    def bad(self) -> Style:
        """What does not work: an electrode that is off, a monitor that gave up."""
        return self.style("#ff6b6b", bold=True) if self.colour else _style(None, None, True, True)

    @property
    def alarm_bar(self) -> Style:
        """The bar at the top when a person has to do something."""
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


def number(value: float | None, unit: str = "", digits: int = 1, dash: str = "—") -> str:
    """``value`` with its unit; undefined is a dash, never 0."""
    return dash if value is None else f"{value:.{digits}f}{unit}"


def span(duration: timedelta) -> str:
    """``1 h 04 min``."""
    minutes = max(0, int(duration.total_seconds() // 60))
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def time_in_bed(state: NightState, now: datetime) -> timedelta:
    """From lights off (or the recording's start) to lights on (or now)."""
    start = state.lights_off_utc or state.session.start_utc
    return max(timedelta(0), (state.lights_on_utc or now) - start)


def shorten(text: str, width: int) -> str:
    """``text`` in at most ``width`` characters, its middle left out if need be."""
    if len(text) <= width:
        return text
    head = max(0, (width - 1) // 2)
    tail = max(0, width - 1 - head)
    return (text[:head] + "…" + text[len(text) - tail :])[:width]


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` characters, its end left out if need be."""
    return text if len(text) <= width else (text[: max(0, width - 1)] + "…")[: max(0, width)]


def fitting(items: Sequence[str], width: int, gap: str = "  ") -> str:
    """As many whole ``items`` as fit side by side: an item is shown in full or not at all."""
    line = ""
    for item in items:
        longer = line + gap + item if line else item
        if len(longer) > width:
            break
        line = longer
    return line
