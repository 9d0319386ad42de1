"""Takes the marks of one sleeper into the night, or refuses them, and answers each."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from monitor.night.events import utc_text
from monitor.pipeline import Pipeline
from monitor.sinks.marks import KEPT, LeftMark, MarkAnswer
from monitor.types import Mark, MarkKind, Session

EARLIER_MARKS = timedelta(minutes=15)
"""A lights-off mark or a note this long before the first sample still belongs to the night."""

LATER_MARKS = timedelta(minutes=1)
"""A mark further in the future than this was dated by a wrong clock."""

A_NIGHT = 2000
"""Marks of one kind in a night: one every 15 s for eight hours, far more than people make."""

A_TURN = 100
"""Marks that a turn of the sleeper's loop takes: some milliseconds of work and one transaction."""

Answer = Callable[[MarkAnswer], None]


class WaitingMarks:
    """The marks that wait for one sleeper's night. `put` may be called from any thread."""

    def __init__(self, sleeper: str, answer: Answer) -> None:
        self._sleeper = sleeper
        self._answer = answer
        self._waiting: deque[LeftMark] = deque()

    def put(self, left: LeftMark) -> None:
        """Add a mark; refuse it if too many wait, because the night has not begun for long."""
        if len(self._waiting) < KEPT:
            self._waiting.append(left)
        else:
            self._answer(MarkAnswer(left.entry, "", self._sleeper, f"{KEPT} marks wait already"))

    def record(self, pipeline: Pipeline, session: Session, now_utc: datetime) -> None:
        """Store the next marks, at most `A_TURN`, in one transaction, and answer all of them."""
        taken = [self._waiting.popleft() for _ in range(min(A_TURN, len(self._waiting)))]
        refusals = _refusals([left.mark for left in taken], pipeline, session, now_utc)
        accepted = zip(taken, refusals, strict=True)
        pipeline.mark(*(left.mark for left, refusal in accepted if not refusal))
        for left, refusal in zip(taken, refusals, strict=True):
            self._answer(MarkAnswer(left.entry, session.id, self._sleeper, refusal))

    def record_all(self, pipeline: Pipeline, session: Session, now_utc: datetime) -> None:
        """Store all marks that wait: the night ends."""
        for _ in range(0, len(self._waiting), A_TURN):
            self.record(pipeline, session, now_utc)


def _refusals(
    marks: Sequence[Mark], pipeline: Pipeline, session: Session, now_utc: datetime
) -> list[str]:
    """Return why each of ``marks`` cannot be recorded; "" if it can."""
    if not marks:
        return []
    new = set(pipeline.night.without_known(marks))
    known = Counter(mark.kind for mark in pipeline.night.marks)
    refusals = []
    for mark in marks:
        refusal = _out_of_the_night(mark, session.start_utc, now_utc)
        if not refusal and mark in new:
            known[mark.kind] += 1
            if known[mark.kind] > A_NIGHT:
                refusal = f"the night has {A_NIGHT} marks of this kind already"
        refusals.append(refusal)
    return refusals


def _out_of_the_night(mark: Mark, start_utc: datetime, now_utc: datetime) -> str:
    """Return why the time of ``mark`` does not belong to the night; "" if it does."""
    if mark.time_utc > now_utc + LATER_MARKS:
        return f"{utc_text(mark.time_utc)} is in the future"
    early = timedelta(0) if mark.kind is MarkKind.LIGHTS_ON else EARLIER_MARKS
    if mark.time_utc < start_utc - early:
        return f"{utc_text(mark.time_utc)} is before the night, which began {utc_text(start_utc)}"
    return ""
