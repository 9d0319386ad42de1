"""A sleeper now, and a night so far, as the JSON that the page and other apps read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from models.contract import Stage
from monitor.night.events import utc_text
from monitor.night.state import NightState
from monitor.sinks.dashboard.bedside_words import (
    Tone,
    asleep_words,
    electrode_now,
    last_event,
    stage_now,
    totals,
)
from monitor.sinks.dashboard.health import WORST_FIRST, is_streaming
from monitor.sinks.dashboard.marks import mark_text
from monitor.sinks.dashboard.text import span
from monitor.sinks.plain_words import NO_READING
from monitor.sinks.sleepers_key import SleeperNow
from monitor.sinks.words import local_time, time_in_bed, unstored_text
from monitor.types import ChannelState, Contact
from monitor.web.head import electrode_names, position
from monitor.web.tonight import FollowedSession

LETTERS = {Stage.W: "W", Stage.N1: "1", Stage.N2: "2", Stage.N3: "3", Stage.R: "R", None: "?"}
"""The letter of each stage in a night's text of stages."""

Json = dict[str, Any]


class Phase(StrEnum):
    """The phase of a sleeper's night.

    - WAITING: no samples yet. RUNNING: the night goes on. ENDED: it was ended in order.
    - GONE: its monitor has stopped, and the night was not ended.
    """

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"
    GONE = "gone"


def waiting_json(seen: SleeperNow) -> Json:
    """Return a sleeper whose night has not begun."""
    trouble = _trouble_json(seen.status, "bad") if seen.failed else None
    words = "The monitor gave up" if seen.failed else f"{seen.status[:1].upper()}{seen.status[1:]}"
    return {
        "sleeper": seen.sleeper,
        "session": None,
        "mode": "live",
        "phase": Phase.WAITING,
        "stage": {"code": None, "word": "Wait", "sentence": words, "tone": Tone.WAIT},
        "lines": [],
        "trouble": trouble,
        "electrodes": [],
        "electrodes_words": "",
        "totals": [],
        "epochs": 0,
        "lights_off_utc": None,
        "lights_on_utc": None,
    }


def sleeper_json(
    session: FollowedSession, seen: SleeperNow | None, now_utc: datetime, phase: Phase
) -> Json:
    """Return a sleeper whose night has begun; ``now_utc``: the time on the night's clock."""
    state = session.state(now_utc, seen)
    stage = stage_now(state)
    words, tone = stage.sentence, stage.tone
    newest = state.live[-1] if state.live else None
    if phase is Phase.GONE:
        words, tone = f"The last reading, at {_clock(session.reached_utc, state)}", Tone.WAIT
    since = "lights off" if state.lights_off_utc else "the start"
    reached = session.reached_utc if phase in (Phase.ENDED, Phase.GONE) else now_utc
    lines = [
        asleep_words(state).capitalize(),
        f"In bed {span(time_in_bed(state, reached))}, since {since}",
        last_event(state),
    ]
    electrodes, contact = electrode_now(state, now_utc)
    shown = phase is Phase.RUNNING
    return {
        "sleeper": state.session.sleeper,
        "session": state.session.id,
        "mode": "live" if state.is_live else "replay",
        "phase": phase,
        "stage": {
            "code": newest.stage if newest is not None and shown else None,
            "word": stage.word,
            "sentence": words,
            "tone": tone,
            "plain": stage.stage,
            "confidence": newest.confidence if newest is not None and shown else None,
        },
        "lines": [line for line in lines if line],
        "trouble": _trouble(state, seen, phase, session.reached_utc, electrodes, contact),
        "electrodes": _electrodes(session.contacts(seen)) if shown else [],
        "electrodes_words": electrodes if shown else "",
        "totals": [list(pair) for pair in totals(state)],
        "epochs": len(state.live),
        "lights_off_utc": None if state.lights_off_utc is None else utc_text(state.lights_off_utc),
        "lights_on_utc": None if state.lights_on_utc is None else utc_text(state.lights_on_utc),
    }


def night_json(session: FollowedSession) -> Json:
    """Return the night so far: every stage, its probabilities in percent, and the marks."""
    night = session.night()
    return {
        "session": session.session_id,
        "sleeper": session.session.sleeper,
        "mode": "replay" if session.is_replay else "live",
        "start_utc": utc_text(session.session.start_utc),
        "epoch_s": 30,
        "stages": "".join(LETTERS[each.stage] for each in night.revised),
        "percent": [
            None if each.probabilities is None else [round(100 * p) for p in each.probabilities]
            for each in night.revised
        ],
        "marks": [
            {"kind": mark.kind, "time": utc_text(mark.time_utc), "text": mark_text(mark)}
            for mark in night.marks
        ],
    }


def _trouble(
    state: NightState,
    seen: SleeperNow | None,
    phase: Phase,
    reached_utc: datetime,
    electrodes: str,
    contact: Contact | None,
) -> Json | None:
    """Return what is wrong, in one sentence; the worst if there are several."""
    if phase is Phase.GONE:
        when = _clock(reached_utc, state)
        advice = "" if not state.is_live else ". Start it again: it continues the night"
        return _trouble_json(f"The monitor has stopped, after {when}{advice}", "bad")
    if phase is Phase.ENDED:
        return None
    if seen is not None and seen.failed:
        return _trouble_json(f"The monitor gave up: {seen.status}", "bad")
    if seen is not None and seen.lasting is not None:
        return _trouble_json(seen.lasting.text, "bad", seen.lasting.since_utc)
    if state.unstored:
        return _trouble_json(unstored_text(state.unstored, state.trouble).capitalize(), "bad")
    if contact in (Contact.OFF, Contact.POOR):
        return _trouble_json(electrodes, "bad" if contact is Contact.OFF else "poor")
    if seen is not None and not is_streaming(seen.status):
        return _trouble_json(f"{seen.status[:1].upper()}{seen.status[1:]}", "poor")
    return None


def _trouble_json(text: str, level: str, since_utc: datetime | None = None) -> Json:
    return {
        "text": text,
        "level": level,
        "since_utc": None if since_utc is None else utc_text(since_utc),
    }


def _electrodes(channels: Sequence[ChannelState]) -> list[Json]:
    """Return the electrodes with their places; one that is in several channels has the worst."""
    worst: dict[str, ChannelState] = {}
    for channel in channels:
        for name in electrode_names(channel.name):
            known = worst.get(name)
            if known is None or WORST_FIRST.index(channel.contact) < WORST_FIRST.index(
                known.contact
            ):
                worst[name] = channel
    return [
        {
            "name": name,
            "contact": channel.contact,
            "words": NO_READING[channel.reason] if channel.reason else "good contact",
            "at": position(name),
        }
        for name, channel in worst.items()
    ]


def _clock(when: datetime, state: NightState) -> str:
    return f"{local_time(when, state):%H:%M}"
