"""Decides what the rules of one sleeper do: pure, without a thread, a clock or a network.

`rules try`, a replay and a live night share it: the same events at the same times give the same
decisions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.contract import Stage
from monitor.config import Rule
from monitor.night.decision import COUNTED, Cause, Decision, HeldReason
from monitor.night.events import EventType, decision_of
from monitor.rules.clock_times import LocalClock, is_between, next_time
from monitor.rules.facts import EPOCH, RuleFacts
from monitor.types import Event, Track

WRONG_BEFORE = timedelta(hours=12)
"""If the clock passes an alarm's time by more than this at once, it was wrong before: the alarm
then waits for the next such time."""

ASLEEP = (Stage.N1, Stage.N2, Stage.N3, Stage.R)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Both clocks at one moment.

    ``night_utc``: the night's own clock, which nobody can set; events carry its times.
    ``wall_utc``: the machine's clock, which people see, and which they may set.
    """

    night_utc: datetime
    wall_utc: datetime

    @classmethod
    def of(cls, time_utc: datetime) -> ClockReading:
        """Return the reading of two clocks that agree, as in a recording."""
        return cls(time_utc, time_utc)


class RuleEngine:
    """The rules of one sleeper in one night.

    - `observe` takes the events of the night in their order; `tick` says what time it is.
    - `restore` takes the events from before a restart: it decides nothing, and remembers what the
      rules did.
    """

    def __init__(
        self, rules: Sequence[Rule], night_id: str, began: ClockReading, clock: LocalClock
    ) -> None:
        """Begin a night; ``night_id`` decides the draws of rules with a sham share."""
        self._clock = clock
        self._night = RuleFacts()
        self._rules = [_RuleState(rule, night_id, began, clock) for rule in rules]

    @property
    def waits_for_alarm(self) -> bool:
        """True if an alarm has not rung yet."""
        return any(each.alarm_utc is not None for each in self._rules)

    @property
    def alarms(self) -> dict[str, datetime]:
        """The latest time of each alarm that has not rung yet."""
        return {each.rule.name: each.alarm_utc for each in self._rules if each.alarm_utc}

    def restore(self, events: Iterable[Event]) -> None:
        """Take in what happened before; decide nothing."""
        for event in events:
            now = ClockReading.of(event.time)
            self._night.note(event)
            if (decision := decision_of(event)) is not None:
                for state in self._rules:
                    if state.rule.name == decision.rule:
                        state.note(decision)
            for state in self._rules:
                if _follows(state.rule, event) and not self._holds(state.rule, now):
                    state.leave()

    def take_over(self, decision: Decision) -> Decision:
        """Return a decision from before the night with the night's numbers, and remember it."""
        state = next(each for each in self._rules if each.rule.name == decision.rule)
        made = replace(
            decision,
            number=state.n_decisions + 1,
            occasion=state.n_occasions + (decision.reason in COUNTED),
        )
        state.note(made)
        return made

    def observe(self, event: Event, now: ClockReading) -> list[Decision]:
        """Return what the rules decide at this event of the night, which is seen at ``now``."""
        self._night.note(event)
        made = []
        for state in self._rules:
            rule = state.rule
            if event.type == EventType.MARK and _is_at(rule, event):
                if self._holds(rule, now):
                    made += self._decide(state, Cause.MARK, now, event.time)
            elif _follows(rule, event):
                made += self._judge(state, Cause.EPOCH, now, event.time)
        return made

    def tick(self, now: ClockReading) -> list[Decision]:
        """Return what the rules decide because it is ``now``. Call it every second."""
        made: list[Decision] = []
        for state in self._rules:
            if state.rule.electrode_off is not None:
                newest = self._night.live.newest
                sample_utc = None if newest is None else newest.end_utc
                made += self._judge(state, Cause.ELECTRODE, now, sample_utc)
            elif state.rule.follows_the_clock:
                made += self._judge(state, Cause.TIME, now, None)
            if state.is_late(now):
                made += self._decide(state, Cause.LATEST, now, None)
        return made

    def _judge(
        self, state: _RuleState, cause: Cause, now: ClockReading, sample_utc: datetime | None
    ) -> list[Decision]:
        """Decide once for each time in which the conditions hold without a break."""
        if not self._holds(state.rule, now):
            state.leave()
            return []
        if state.has_fired_since_it_holds and not state.is_due_again(now):
            return []
        return self._decide(state, cause, now, sample_utc)

    def _holds(self, rule: Rule, now: ClockReading) -> bool:
        """Return True if all conditions of ``rule`` but its mark hold."""
        night, series = self._night, self._night.series(rule.track)
        if rule.stage is not None and not series.holds(rule.stage, rule.confidence, rule.for_):
            return False
        newest = series.newest
        # "After 7 h of sleep" is noticed at a scored epoch: nothing fires on an unscored one.
        is_scored = newest is not None and newest.stage is not None
        if rule.stage is None and rule.follows_epochs and not is_scored:
            return False
        if rule.after_sleep is not None and series.time_in(*ASLEEP) < rule.after_sleep:
            return False
        if rule.after_n2 is not None and series.time_in(Stage.N2) < rule.after_n2:
            return False
        if rule.after_lights_off is not None and not _is_past(
            night.lights_off_utc, rule.after_lights_off, now.night_utc
        ):
            return False
        if rule.electrode_off is not None and not _is_past(
            night.off_since(rule.electrode), rule.electrode_off, now.night_utc
        ):
            return False
        return rule.between is None or is_between(self._clock(now.wall_utc), *rule.between)

    def _decide(
        self, state: _RuleState, cause: Cause, now: ClockReading, sample_utc: datetime | None
    ) -> list[Decision]:
        """Return the decision, unless the same was decided since the conditions hold."""
        rule = state.rule
        seed = None
        reason = self._why_not(state, cause, now, sample_utc)
        if reason is None and rule.sham is not None:
            seed = state.seed
            if state.draw() < rule.sham:
                reason = HeldReason.SHAM
        if reason is None and rule.dry_run:
            reason = HeldReason.DRY_RUN
        if reason not in COUNTED and cause is not Cause.MARK and state.held is reason:
            return []
        newest = self._night.series(rule.track).newest
        decision = Decision(
            rule=rule.name,
            number=state.n_decisions + 1,
            occasion=state.n_occasions + (reason in COUNTED),
            cause=cause,
            reason=reason,
            time_utc=now.night_utc,
            epoch_index=None if newest is None else newest.index,
            sample_utc=sample_utc if newest is None else newest.end_utc,
            seed=seed,
        )
        if cause is Cause.MARK:
            decision = replace(decision, sample_utc=sample_utc)
        elif cause is Cause.EPOCH and newest is not None:
            # A stage that did not decide is not named: it may be an hour old.
            decision = replace(decision, stage=newest.stage, confidence=newest.confidence)
        state.note(decision)
        return [decision]

    def _why_not(
        self, state: _RuleState, cause: Cause, now: ClockReading, sample_utc: datetime | None
    ) -> HeldReason | None:
        rule = state.rule
        if (reason := self._why_unarmed(rule, now)) is not None:
            return reason
        if cause is Cause.LATEST:
            return None
        if sample_utc is not None and self._is_stale(rule, cause, now, sample_utc):
            return HeldReason.STALE
        if rule.cap is not None and state.n_occasions >= rule.cap:
            return HeldReason.CAP
        if rule.latest is not None and state.n_occasions:
            return HeldReason.CAP
        rest, last_utc = rule.refractory, state.last_utc
        if rest is not None and last_utc is not None and now.night_utc - last_utc < rest:
            return HeldReason.REFRACTORY
        return None

    def _is_stale(self, rule: Rule, cause: Cause, now: ClockReading, sample_utc: datetime) -> bool:
        """Return True if what the rule depends on is history."""
        # Between two epochs the newest one is up to an epoch old.
        waits = EPOCH if cause is Cause.ELECTRODE else timedelta()
        if now.night_utc - sample_utc > rule.fresh + waits:
            return True
        if cause is not Cause.MARK or rule.stage is None:
            return False
        newest = self._night.series(rule.track).newest
        return newest is not None and now.night_utc - newest.end_utc > rule.fresh + EPOCH

    def _why_unarmed(self, rule: Rule, now: ClockReading) -> HeldReason | None:
        arm = rule.arm
        if arm is None:
            return None
        local = self._clock(now.wall_utc).replace(tzinfo=None)
        if arm.until is not None and local >= arm.until:
            return HeldReason.EXPIRED
        if arm.note is not None and arm.lasts is not None:
            noted_utc = self._night.notes.get(arm.note)
            if noted_utc is None or now.night_utc < noted_utc:
                return HeldReason.NOT_ARMED
            if now.night_utc >= noted_utc + arm.lasts:
                return HeldReason.EXPIRED
        return None


class _RuleState:
    """A rule, and what it has done in this night."""

    def __init__(self, rule: Rule, night_id: str, began: ClockReading, clock: LocalClock) -> None:
        self.rule = rule
        self._night_id = night_id
        self._clock = clock
        self.n_decisions = 0
        self.n_occasions = 0
        self.last_utc: datetime | None = None  # of the last occasion
        self.has_fired_since_it_holds = False
        self.held: HeldReason | None = None  # decided last since it holds
        self.alarm_utc: datetime | None = None
        if rule.latest is not None:
            self.alarm_utc = next_time(began.wall_utc, rule.latest, clock)

    @property
    def seed(self) -> int:
        """The seed of the draws: the rule's, or one that the night decides."""
        if self.rule.seed is not None:
            return self.rule.seed
        return int.from_bytes(_digest(self._night_id, self.rule.name)[:6])

    def draw(self) -> float:
        """Return the random number of the next occasion, from 0 to below 1.

        It depends on the seed, the night, the rule and the number of the occasion alone. So a
        restart repeats no draw and changes none.
        """
        digest = _digest(self.seed, self._night_id, self.rule.name, self.n_occasions + 1)
        return int.from_bytes(digest[:7]) / 2**56

    def note(self, decision: Decision) -> None:
        """Remember ``decision``."""
        self.n_decisions = max(self.n_decisions, decision.number)
        if decision.reason not in COUNTED:
            self.held = decision.reason
            if decision.cause is Cause.LATEST:
                self.alarm_utc = None  # it is not armed: nothing changes that any more
            return
        self.n_occasions = max(self.n_occasions, decision.occasion)
        self.last_utc = decision.time_utc
        self.has_fired_since_it_holds = True
        self.held = None
        self.alarm_utc = None

    def leave(self) -> None:
        """Note that the conditions do not hold now."""
        self.has_fired_since_it_holds = False
        self.held = None

    def is_due_again(self, now: ClockReading) -> bool:
        """Return True if the rule repeats while it holds, and it is time for that."""
        every = self.rule.every
        return every is not None and _is_past(self.last_utc, every, now.night_utc)

    def is_late(self, now: ClockReading) -> bool:
        """Return True if an alarm must ring, by the clock that comes first."""
        if self.alarm_utc is None or self.rule.latest is None:
            return False
        if now.night_utc >= self.alarm_utc:
            return True
        if now.wall_utc - self.alarm_utc > WRONG_BEFORE:
            self.alarm_utc = next_time(now.wall_utc, self.rule.latest, self._clock)
            return False
        return now.wall_utc >= self.alarm_utc


def _follows(rule: Rule, event: Event) -> bool:
    """Return True if ``rule`` is judged at ``event``, the end of an epoch.

    A rule on the revised track is judged then, too, with what is known of the epochs by then.
    """
    return (
        rule.follows_epochs and event.type == EventType.STAGE and event.data["track"] == Track.LIVE
    )


def _is_at(rule: Rule, event: Event) -> bool:
    """Return True if ``event`` is the mark of ``rule``."""
    kind, text = event.data["kind"], event.data["text"]
    return rule.mark == kind and rule.note in (None, text)


def _is_past(since: datetime | None, duration: timedelta, now: datetime) -> bool:
    return since is not None and now - since >= duration


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
