"""Nights made of letters, and what rules decide in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from monitor.config import Rule
from monitor.night import events
from monitor.night.decision import Decision
from monitor.rules.engine import ClockReading, RuleEngine
from monitor.rules.walking import walk
from monitor.types import ChannelState, Contact, Event, MarkKind, Reason, SignalState, Track
from tests.night.stored import SESSION
from tests.report.stored_night import prediction

EVENING = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def rule(**keys: Any) -> Rule:
    """Return a rule as its table in the TOML file says; it acts by a command."""
    keys.setdefault("name", "a rule")
    keys.setdefault("command", ["true"])
    return Rule.model_validate({key.removesuffix("_"): value for key, value in keys.items()})


def in_zone(zone: Any = UTC) -> Callable[[datetime], datetime]:
    """Return the clock of a bedroom in this time zone."""
    return lambda time: time.astimezone(zone)


class Script:
    """The events of a night, added one after the other."""

    def __init__(self, start: datetime = EVENING, channels: Sequence[str] = ("EEG",)) -> None:
        self.session = replace(SESSION, start_utc=start, channels=tuple(channels))
        self.events: list[Event] = []
        self.n_epochs = 0
        self._add(events.session_started(self.session, 1))

    @property
    def end(self) -> datetime:
        """The end of the newest epoch."""
        return self.session.epoch_start_utc(self.n_epochs)

    def sleep(self, letters: str, confidence: float = 0.6) -> Script:
        """Add epochs: W 1 2 3 R, or ? for one that is flat."""
        for letter in letters:
            made = prediction(self.n_epochs, letter)
            if made.stage is not None:
                made = replace(made, confidence=confidence)
            self.n_epochs += 1
            self._add(events.stage_event(self.session, 1, made))
        return self

    def revise(self, index: int, letter: str) -> Script:
        """Add a revision of an epoch."""
        made = replace(prediction(index, letter), track=Track.REVISED, revision=1, final=False)
        return self._add(events.stage_event(self.session, 1, made))

    def mark(self, kind: MarkKind, text: str | None = None, at: datetime | None = None) -> Script:
        """Add a mark, now or at an earlier time."""
        return self._add(events.mark_event(self.session, 1, kind, time=at or self.end, text=text))

    def contacts(self, **contacts: Contact) -> Script:
        """Add the contacts of electrodes in the newest epoch."""
        states = [ChannelState(name, contact, None, 9.0) for name, contact in contacts.items()]
        made = events.channels_event(
            self.session, 1, time=self.end, epoch_index=self.n_epochs, channels=states
        )
        return self._add(made)

    def signal(self, state: SignalState) -> Script:
        """Add a change of the signal."""
        reason = Reason.MISSING if state is SignalState.LOST else None
        made = events.signal_event(
            self.session, 1, state, time=self.end, epoch_index=self.n_epochs, reason=reason
        )
        return self._add(made)

    def resume(self, after: timedelta) -> Script:
        """Add a restart of the monitor, so long after the newest epoch."""
        made = events.session_resumed(
            self.session, 1, time=self.end + after, epoch_index=self.n_epochs
        )
        return self._add(made)

    def engine(self, *rules: Rule, zone: Any = UTC) -> RuleEngine:
        """Return the engine of this night's rules."""
        began = ClockReading.of(self.session.start_utc)
        return RuleEngine(rules, self.session.id, began, in_zone(zone))

    def decide(
        self, *rules: Rule, zone: Any = UTC, until: datetime | None = None
    ) -> list[Decision]:
        """Return what the rules decide until the end of the night, or ``until``."""
        engine = self.engine(*rules, zone=zone)
        return list(walk(engine, self.events, self.session.start_utc, until or self.end))

    def minute(self, decision: Decision) -> float:
        """Return the minute of the night in which something was decided."""
        return (decision.time_utc - self.session.start_utc) / timedelta(minutes=1)

    def _add(self, event: Event) -> Script:
        self.events.append(replace(event, sequence=len(self.events) + 1))
        return self


def fired(decisions: Sequence[Decision]) -> list[Decision]:
    """Return the decisions that act."""
    return [decision for decision in decisions if decision.fired]


def held(decisions: Sequence[Decision]) -> list[str]:
    """Return the reasons of those that do not."""
    return [decision.reason.value for decision in decisions if decision.reason is not None]
