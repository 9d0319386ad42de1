"""Tries rules on recorded nights: what each would have done, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path

from monitor.config import Rule
from monitor.errors import InputError
from monitor.night.decision import COUNTED, Decision
from monitor.night.record import NightRecord, read_night
from monitor.report.axis import LocalClock
from monitor.rules.engine import ClockReading, RuleEngine
from monitor.rules.walking import walk
from monitor.sinks.words import local_time


@dataclass(frozen=True, slots=True)
class TriedNight:
    """A night, the rules that are for its sleeper, and what they would have decided in it."""

    record: NightRecord
    clock: LocalClock
    rules: tuple[Rule, ...]
    decisions: tuple[Decision, ...]
    alarms: Mapping[str, datetime]
    """The latest time of each alarm that had not rung when the night ended."""

    def of(self, rule: Rule) -> list[Decision]:
        """Return the decisions of one rule."""
        return [each for each in self.decisions if each.rule == rule.name]

    def occasions(self, rule: Rule) -> list[Decision]:
        """Return those at which the rule fires, or would but for sham or dry run."""
        return [each for each in self.of(rule) if each.reason in COUNTED]

    def held(self, rule: Rule) -> Counter[str]:
        """Return how often the rule was held back, for each reason."""
        return Counter(
            each.reason.value.replace("_", " ")
            for each in self.of(rule)
            if each.reason is not None and each.reason not in COUNTED
        )

    def when(self, time_utc: datetime) -> datetime:
        """Return a time on the clock of the bedroom."""
        return self.clock(time_utc)


def try_rules(rules: Sequence[Rule], path: Path, timezone: tzinfo | None = None) -> TriedNight:
    """Return what ``rules`` would have decided in the night in the file ``path``.

    ``timezone`` None: local time, and the recording's clock for a replay. Raises `InputError` if it
    is no night, or one without an epoch, and `MonitorError` if it cannot be read.
    """
    record = read_night(path)
    if not record.n_epochs:
        raise InputError(f"{path} has no epoch yet: there is nothing to try rules on")
    session = record.session
    clock = partial(local_time, state=record.state, timezone=timezone)
    own = tuple(rule for rule in rules if rule.sleeper in (None, session.sleeper))
    began = ClockReading.of(session.start_utc)
    engine = RuleEngine(own, session.id, began, clock)
    made = tuple(walk(engine, record.events, session.start_utc, record.end_utc))
    return TriedNight(record, clock, own, made, engine.alarms)
