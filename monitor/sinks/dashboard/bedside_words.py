"""A night now, in a sleeper's words: the same on the terminal and on the page for the phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import groupby

from models.contract import EPOCH_S, Stage
from monitor.night.state import NightState
from monitor.sinks.dashboard.health import Band, band, is_silent, recovers
from monitor.sinks.dashboard.marks import mark_text
from monitor.sinks.dashboard.text import span
from monitor.sinks.plain_words import NO_READING, PLAIN_ROWS, plain_stage, stage_words
from monitor.sinks.words import age_text, local_time
from monitor.types import Contact, MarkKind


class Tone(StrEnum):
    """The tone of a line: it chooses the colour."""

    STAGE = "stage"
    ENDED = "ended"
    ALARM = "alarm"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class StageNow:
    """The newest stage in words.

    - ``word``: one or two words to be read from the bed; ``sentence``: what they mean.
    - ``stage``: the stage, as in `PLAIN_ROWS`; None unless ``tone`` is STAGE.
    """

    word: str
    sentence: str
    tone: Tone
    stage: Stage | None = None


def stage_now(state: NightState) -> StageNow:
    """Return the newest stage of a night in words, or why there is none."""
    newest = state.live[-1] if state.live else None
    if state.ended:
        return StageNow("Ended", "The night has ended", Tone.ENDED)
    if is_silent(state):
        return StageNow("No reading", "No reading: no signal", Tone.ALARM)
    if newest is None:
        return StageNow("Wait", "The first reading comes after 30 s", Tone.WAIT)
    if recovers(state):
        sentence = "The electrodes are on again: the next reading comes soon"
        return StageNow("Wait", sentence, Tone.WAIT)
    if newest.stage is None:
        return StageNow("No reading", stage_words(None, newest.reason), Tone.ALARM)
    stage = plain_stage(newest.stage)
    assert stage is not None
    kinds = [plain_stage(each) for each in state.hypnogram]
    run = next((n for n, each in enumerate(reversed(kinds)) if each is not stage), len(kinds))
    lasted = f" for {span(timedelta(seconds=EPOCH_S * max(1, run)))}"
    sentence = stage_words(stage) + (lasted if run > 1 else "")
    return StageNow(PLAIN_ROWS[stage], sentence, Tone.STAGE, stage)


def electrode_now(state: NightState, now: datetime) -> tuple[str, Contact | None]:
    """Return the state of the electrodes, with what to do, and the worst contact.

    The words are "" and the contact None if it is unknown.
    """
    where = band(state)
    if where is Band.SILENT:
        since = state.last_sample_utc
        age = f" for {age_text(now - since)}" if since else ""
        return f"No signal from the headband{age}: check it", Contact.OFF
    if where is Band.OFF:
        return "No electrode touches the head: put the band on", Contact.OFF
    if where is Band.UNKNOWN:
        if state.ended or state.quality is None:
            return "", None
        reason = state.quality.reason
        if reason is None:
            return "Signal good", Contact.GOOD
        return f"Signal poor: {NO_READING[reason]}", Contact.POOR
    for contact in (Contact.OFF, Contact.POOR):
        names = [channel.name for channel in state.channels if channel.contact is contact]
        if names:
            one = len(names) == 1
            text = f"Electrode{'' if one else 's'} {', '.join(names[:3])}"
            text += f" and {len(names) - 3} more" if len(names) > 3 else ""
            text += f" {'is' if one else 'are'} {contact}: press {'it' if one else 'them'} on"
            return text, contact
    return "Electrodes good", Contact.GOOD


def asleep_words(state: NightState) -> str:
    """Return how long the person has slept in all, and if they sleep now."""
    slept_min = state.statistics.tst_min
    if not slept_min:
        return "not asleep yet" if not state.ended else "no sleep"
    slept = span(timedelta(minutes=slept_min))
    newest = next((stage for stage in reversed(state.hypnogram) if stage), None)
    asleep = newest is not Stage.W and not state.ended
    return f"asleep for {slept}" if asleep else f"slept {slept}"


def last_event(state: NightState, timezone: tzinfo | None = None) -> str:
    """Return what happened last and when: a mark, falling asleep, waking up, no reading."""
    events = list(_events(state))
    if not events:
        return ""
    when, words = max(events, key=lambda event: event[0])
    return f"Last: {local_time(when, state, timezone):%H:%M} {words}"


def totals(state: NightState) -> list[tuple[str, str]]:
    """Return the time in each kind of sleep so far, such as ("Deep", "1 h 04 min")."""
    s = state.statistics
    minutes = (("Deep", s.n3_min), ("Light", s.n1_min + s.n2_min), ("Dreaming", s.r_min))
    return [(name, span(timedelta(minutes=m))) for name, m in (*minutes, ("Awake", s.w_min))]


def _events(state: NightState) -> Iterator[tuple[datetime, str]]:
    """Yield the time and the words of every mark, and of every change that a sleeper would name."""
    for mark in state.marks:
        note = mark.kind is MarkKind.NOTE
        yield mark.time_utc, f'note "{mark_text(mark)}"' if note else mark_text(mark)
    index, slept = 0, False
    for kind, group in groupby(state.hypnogram, key=_kind):
        length = len(list(group))
        when = state.session.epoch_start_utc(index)
        duration = span(timedelta(seconds=EPOCH_S * length))
        reason = state.live[index].reason or state.revised[index].reason
        if kind == "none":
            why = NO_READING[reason] if reason else "unknown"
            yield when, f"no reading for {duration}: {why}"
        elif kind == "asleep":
            yield when, "fell asleep again" if slept else "fell asleep"
            slept = True
        elif slept:
            yield when, f"awake for {duration}"
        index += length


def _kind(stage: Stage | None) -> str:
    return "none" if stage is None else "awake" if stage is Stage.W else "asleep"
