"""Runs the rules of one sleeper in a live night, beside the thread that stages it.

Two threads share the engine. One reads the night's new events from its file, as a sink does. The
other looks at the clock: it needs neither the headband, nor the sleeper's thread, nor the disk, so
that an alarm rings at its latest time whatever hangs.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from monitor.clock import Clock, Timeline
from monitor.closing import Closing
from monitor.config import Rule
from monitor.errors import MonitorError, one_line
from monitor.night.decision import Decision
from monitor.night.events import rule_event, rule_failed
from monitor.rules.actions import Actor, Order
from monitor.rules.clock_times import LocalClock
from monitor.rules.engine import ClockReading, RuleEngine
from monitor.rules.walking import TICK
from monitor.types import Event, Session

READ = 256
"""Events that are read at once."""

JOIN_S = 1.0
"""Time for each thread to end. One that hangs on a disk is left: it is a daemon."""

_log = logging.getLogger(__name__)


class FiringLog(Protocol):
    """The night's file, as rules need it; see `monitor.night.store.NightStore`."""

    def events_after(self, sequence: int, limit: int) -> list[Event]: ...

    def note_firing(self, event: Event) -> None: ...

    def unannounced_firings(self) -> list[Event]: ...


class RuleRunner(Closing):
    """Runs ``rules`` from `start` to `close`, also while there is no night yet.

    - `begin` and `leave`: the sleeper's thread has a night, or has none any more.
    - `notify` never waits: the night's file holds new events.
    - `take`: the events of what the rules did, for the sleeper's thread to number and announce.
    - A firing is kept in the night's file before it is carried out.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        actor: Actor,
        clock: Clock,
        local: LocalClock,
        sleeper: str = "",
        tick_s: float = TICK.total_seconds(),
    ) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._actor = actor
        self._clock = clock
        self._local = local
        self._sleeper = sleeper
        self._tick_s = tick_s
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        # Of the night, or of the time before it. `_lock` is never held while anything is read,
        # written or sent.
        self._lock = threading.Lock()
        self._timeline = Timeline(clock)
        self._engine = self._new_engine("", self._reading())
        self._session: Session | None = None
        self._file: FiringLog | None = None
        self._seen = 0
        self._before: list[Decision] = []  # made while there was no night
        self._unstored: deque[Order] = deque()
        self._told: deque[Event] = deque()
        self._complaint = ""

    @property
    def waits_for_alarm(self) -> bool:
        """True if an alarm has not rung yet."""
        with self._lock:
            return self._engine.waits_for_alarm

    def start(self) -> None:
        """Start to look at the clock."""
        self._actor.prepare(list(self._rules.values()))
        for name, target in (("rules", self._read_on), ("alarm", self._tick_on)):
            thread = threading.Thread(target=target, name=f"{name} {self._sleeper}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Stop, end the actions, and name the alarms that do not ring any more."""
        self._closing.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(JOIN_S)
        self._actor.close()
        for name, alarm_utc in self._engine.alarms.items():
            _log.warning(
                "The alarm '%s' at %s does not ring: the monitor has ended",
                name,
                f"{self._local(alarm_utc):%H:%M}",
            )

    def begin(self, file: FiringLog, session: Session, timeline: Timeline) -> None:
        """Go on with the night in ``file``. What its rules did is remembered.

        Raises `MonitorError` if the file cannot be read.
        """
        history: list[Event] = []
        while events := file.events_after(history[-1].sequence if history else 0, 4096):
            history += events
        unannounced = file.unannounced_firings()
        engine = self._new_engine(session.id, ClockReading.of(session.start_utc))
        engine.restore([*history, *unannounced])
        with self._lock:
            known = {event.id for event in (*history, *unannounced)}
            # After a failure of the sleeper's thread the same night goes on.
            same = self._session is not None and self._session.id == session.id
            waiting = [o for o in self._unstored if same and o.event.id not in known]
            engine.restore([order.event for order in waiting])
            self._unstored = deque(waiting)
            for decision in self._before:
                made = engine.take_over(decision)
                order = Order(self._rules[made.rule], rule_event(session, 0, made), self._sleeper)
                self._unstored.append(order)
            self._before.clear()
            self._told = deque(unannounced)
            self._engine, self._session, self._timeline = engine, session, timeline
            self._file = file
            self._seen = history[-1].sequence if history else 0
        self._wake.set()

    def leave(self) -> None:
        """Note that the night's file is closed. Alarms still ring."""
        with self._lock:
            self._file = None

    def notify(self) -> None:
        """Note that the night's file holds new events. Never waits."""
        self._wake.set()

    def take(self) -> list[Event]:
        """Return the events that were not announced yet. The caller announces them."""
        return [self._told.popleft() for _ in range(len(self._told))]

    def tick(self) -> None:
        """Look at the clock."""
        with self._lock:
            made = self._engine.tick(self._reading())
            orders = self._orders(made)
        self._carry_out(orders)

    def read(self) -> None:
        """Judge the new events of the night, and store what was decided."""
        self._store()
        with self._lock:
            file, seen = self._file, self._seen
        if file is None:
            return
        while events := file.events_after(seen, READ):
            orders: list[Order] = []
            with self._lock:
                if self._file is not file:
                    return
                for event in events:
                    orders += self._orders(self._engine.observe(event, self._reading()))
                seen = self._seen = events[-1].sequence
            self._carry_out(orders)
            self._store()

    def _new_engine(self, night_id: str, began: ClockReading) -> RuleEngine:
        return RuleEngine(list(self._rules.values()), night_id, began, self._local)

    def _reading(self) -> ClockReading:
        night_utc = datetime.fromtimestamp(self._timeline.now_s(), UTC)
        return ClockReading(night_utc, self._clock.utc())

    def _orders(self, made: Sequence[Decision]) -> list[Order]:
        """Return what follows from the decisions. They are kept for the night's file."""
        orders = []
        for decision in made:
            session = self._session or _NO_NIGHT
            order = Order(
                self._rules[decision.rule], rule_event(session, 0, decision), self._sleeper
            )
            if self._session is None:
                self._before.append(decision)
                order.stored.set()  # there is no file yet
            else:
                self._unstored.append(order)
            orders += [order] if decision.fired else []
        return orders

    def _carry_out(self, orders: Sequence[Order]) -> None:
        for order in orders:
            _log.info("%sThe rule '%s' fires", self._prefix, order.rule.name)
            self._actor.carry_out(order, self._note_failed)
        if orders:
            self._wake.set()

    def _store(self) -> None:
        """Keep what was decided in the night's file, then leave it for the sleeper's thread."""
        while self._unstored:
            with self._lock:
                file = self._file
            if file is None:
                return
            order = self._unstored[0]
            try:
                file.note_firing(order.event)
            except MonitorError as exc:
                # The sleeper's thread keeps the event in memory until the disk takes it.
                self._complain(one_line(exc))
            order.stored.set()
            self._told.append(self._unstored.popleft().event)

    def _note_failed(self, order: Order, action: str, reason: str) -> None:
        _log.error("%sThe rule '%s': %s failed: %s", self._prefix, order.rule.name, action, reason)
        if self._session is not None:
            now_utc = self._reading().night_utc
            self._told.append(
                rule_failed(
                    self._session, 0, order.event, action=action, reason=reason, time=now_utc
                )
            )

    def _read_on(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self._tick_s)
            self._wake.clear()
            self._guarded(self.read)

    def _tick_on(self) -> None:
        while not self._closing.wait(self._tick_s):
            self._guarded(self.tick)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Make a step; no exception may end the thread."""
        try:
            step()
            self._complaint = ""
        except Exception as exc:
            if self._file is not None:  # else the file was closed meanwhile
                self._complain(one_line(exc))

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            _log.warning("%sRules: %s", self._prefix, text)

    @property
    def _prefix(self) -> str:
        return f"{self._sleeper}: " if self._sleeper else ""


_NO_NIGHT = Session("no-night", "", "", (), 0.0, datetime.fromtimestamp(0, UTC), 0.0, "", "")
"""Stands for the night in the message of an alarm that rings before one began."""
