"""`Desk`: the choices that a person makes with keys at the screen, and what they change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from monitor.closing import Closing
from monitor.sinks.dashboard.background import ASK, Background
from monitor.sinks.dashboard.canvas import Canvas
from monitor.sinks.dashboard.keys import Keyboard
from monitor.sinks.dashboard.legend import draw_legend
from monitor.sinks.dashboard.look import Look

_QUESTION_S = 30.0
"""A question that nobody answers is withdrawn after this time: q may have been hit in the dark."""

_ANSWER_S = 0.1
"""Time for a terminal to answer before it is given back: a later answer would land in the shell."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices that hold now.

    - ``plain``: the plain view, else the expert's. ``legend``: the legend is open.
    - ``asked_s``: monotonic time at which q asked whether to end; None: it did not.
    - ``ending``: the answer was yes.
    """

    plain: bool
    legend: bool = False
    asked_s: float | None = None
    ending: bool = False


class Desk(Closing):
    """Reads the keys of a screen and keeps the person's choices.

    - ``v`` changes the view, ``?`` opens and closes the legend, ``q`` asks, and ``y`` then calls
      ``end``. Any other key answers no and closes the legend.
    - ``keyboard`` None: there are no keys.
    - ``run``: the name of what q ends, "night" or "replay".
    """

    def __init__(
        self,
        background: Background,
        keyboard: Keyboard | None = None,
        *,
        plain: bool = False,
        run: str = "night",
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self.keyboard = keyboard
        self.choices = Choices(plain)
        self._background = background
        self._run = run
        self._end = end
        self._answered = keyboard is None or not background.must_ask

    @property
    def question(self) -> str:
        """Text that asks the terminal for its background; "" if there is nothing to ask."""
        return "" if self._answered else ASK

    def listen(self, now_s: float, wait_s: float = 0.0) -> bool:
        """Read the keys and answers that came since the last call; return True if any did."""
        if self.choices.asked_s is not None and now_s - self.choices.asked_s > _QUESTION_S:
            self.choices = replace(self.choices, asked_s=None)
        if self.keyboard is None:
            return False
        keys = self.keyboard.read(wait_s)
        for key in keys:
            self._press(key, now_s)
        answers = list(self.keyboard.answers)
        self.keyboard.answers.clear()
        for answer in answers:
            self._background.answer(answer)
            self._answered = True
        return bool(keys or answers)

    def look(self, look: Look) -> Look:
        """Return ``look`` with what was chosen."""
        return replace(
            look,
            palette=self._background.palette,
            plain=self.choices.plain,
            keys=self.keyboard is not None,
        )

    def notice(self, notice: str | None) -> str | None:
        """Return the line that goes before ``notice``; ``notice`` if there is none."""
        if self.choices.ending:
            return f"Ending the {self._run} in order; Ctrl-C ends it at once"
        return notice

    def draw(self, frame: Canvas, look: Look) -> Canvas:
        """Return ``frame`` with the question on it, or the legend in its place."""
        if self.choices.legend:
            return draw_legend(frame.width, frame.height, look, self._run)
        if self.choices.asked_s is not None:
            _draw_box(frame, f"End the {self._run}?  y: yes   n: no", look)
        return frame

    def close(self) -> None:
        """Give the keys back to the terminal."""
        if self.keyboard is not None:
            if not self._answered:
                self.keyboard.read(_ANSWER_S)
            self.keyboard.close()

    def _press(self, key: str, now_s: float) -> None:
        now = self.choices
        if now.ending:
            return
        if now.asked_s is not None:
            yes = key in "yY"
            self.choices = replace(now, asked_s=None, ending=yes)
            if yes:
                self._end()
        elif key in "vV":
            self.choices = replace(now, plain=not now.plain, legend=False)
        elif key in "qQ":
            self.choices = replace(now, asked_s=now_s, legend=False)
        else:
            self.choices = replace(now, legend=key == "?" and not now.legend)


def _draw_box(canvas: Canvas, text: str, look: Look) -> None:
    """Draw ``text`` in a box in the middle of the canvas."""
    width = len(text) + 6
    x, y = max(0, (canvas.width - width) // 2), max(0, canvas.height // 2 - 1)
    canvas.fill(x, y, width, 3, " ", look.alarm_bar)
    canvas.put(x + 3, y + 1, text, look.alarm_bar)
