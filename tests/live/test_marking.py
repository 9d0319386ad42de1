"""Marks of one sleeper: taken in batches, within caps, each answered."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from monitor.live.marking import A_NIGHT, A_TURN, WaitingMarks
from monitor.night.events import EventType
from monitor.sinks.marks import KEPT, LeftMark, MarkAnswer
from monitor.types import Mark, MarkKind
from tests.nights import Nights, events_of, open_live
from tests.signals import START

NOW = START + timedelta(hours=8)


def note(at_s: float, text: str = "turned over") -> LeftMark:
    mark = Mark(MarkKind.NOTE, START + timedelta(seconds=at_s), text)
    return LeftMark(mark, "", f"1-{int(at_s)}")


def lights(kind: MarkKind, at_s: float) -> LeftMark:
    return LeftMark(Mark(kind, START + timedelta(seconds=at_s)), "", "2-0")


def test_each_mark_is_answered_and_only_those_of_the_night_are_stored(tmp_path: Path) -> None:
    answers: list[MarkAnswer] = []
    with Nights(tmp_path) as nights:
        pipeline = open_live(nights.store())
        waiting = WaitingMarks("anna", answers.append)
        for left in (
            note(60.0),
            note(60.0),  # the same mark again is no error
            note(60.0002),  # nor is one within a millisecond, which would be the same event
            note(-3600.0),
            lights(MarkKind.LIGHTS_OFF, -600.0),
            lights(MarkKind.LIGHTS_ON, -600.0),
            note(9 * 3600.0),
        ):
            waiting.put(left)
        waiting.record(pipeline, pipeline.night.session, NOW)
        stored = nights.store().marks()
        events = [each for each in events_of(nights.store()) if each.type == EventType.MARK]
    assert [mark.kind for mark in stored] == [MarkKind.LIGHTS_OFF, MarkKind.NOTE]
    assert len(events) == 2
    refusals = [answer.refusal for answer in answers]
    assert refusals[:3] == ["", "", ""] and refusals[4] == ""
    assert "is before the night, which began 2026-" in refusals[3]
    assert "is before the night" in refusals[5]
    assert "is in the future" in refusals[6]
    assert {answer.sleeper for answer in answers} == {"anna"}


def test_a_turn_and_a_night_take_a_bounded_number_of_marks(tmp_path: Path) -> None:
    answers: list[MarkAnswer] = []
    with Nights(tmp_path) as nights:
        pipeline = open_live(nights.store())
        waiting = WaitingMarks("", answers.append)
        for n in range(KEPT + 1):
            waiting.put(note(n))
        assert answers.pop().refusal == "1000 marks wait already"
        waiting.record(pipeline, pipeline.night.session, NOW)
        assert len(nights.store().marks()) == len(answers) == A_TURN
        waiting.record_all(pipeline, pipeline.night.session, NOW)
        for n in range(KEPT, A_NIGHT + 50):
            waiting.put(note(n))
            waiting.record(pipeline, pipeline.night.session, NOW)
        assert len(nights.store().marks()) == A_NIGHT
        waiting.put(lights(MarkKind.LIGHTS_ON, 7 * 3600.0))  # another kind still passes
        waiting.record(pipeline, pipeline.night.session, NOW)
    assert [answer.refusal for answer in answers[A_NIGHT:]] == [
        *["the night has 2000 marks of this kind already"] * 50,
        "",
    ]
