"""One person's monitor: finds the headband, begins or goes on with the night, never gives up."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue

from monitor.backoff import Backoff
from monitor.clock import Clock, Timeline, boot_id
from monitor.composition import nights_folder
from monitor.config import SleeperOptions
from monitor.errors import InputError, MonitorError
from monitor.live.running import House, RunningNight
from monitor.night.state import SleeperState
from monitor.night.store import LiveNight, NightStore
from monitor.night.stored import StoredNight, night_to_continue, stored_night
from monitor.pipeline import begin
from monitor.sinks.epochs_csv import write_epochs
from monitor.sources.derivation import live_montage, name_key
from monitor.sources.live import LiveSource, source_key
from monitor.sources.opening import OpenSource
from monitor.types import Mark, MarkKind, Session

POLL_S = 0.05
"""How often samples are fetched: about as often as a headband delivers."""

EARLIER_MARKS = timedelta(minutes=15)
"""Lights off, or a note, so long before the first sample still belongs to the night."""

LATER_MARKS = timedelta(minutes=1)
"""A mark from further in the future was dated by a wrong clock."""

LONG_RUN_S = 600.0
"""What ran so long before it failed is tried again without delay."""

WALL_CLOCK_S = 10.0
"""The wall clock was set if it moves so far from the night's own time."""

_log = logging.getLogger(__name__)


class Sleeper:
    """Monitors one person, from the first look for the headband until told to close.

    Whatever goes wrong here touches no other sleeper. What can mend itself is tried again until
    morning: the night goes on in the same file, as after a restart of the machine.
    """

    def __init__(self, options: SleeperOptions, house: House, open_source: OpenSource) -> None:
        self._options = options
        self._house = house
        self._open_source = open_source
        self._key = source_key(options.source)
        self._new_night = house.options.new_night
        self.name = options.sleeper
        self.marks: SimpleQueue[Mark] = SimpleQueue()
        self.error: MonitorError | None = None
        self.state = SleeperState(self.name, "starting", None)
        self._turn_s = house.clock.monotonic_s()
        self._thread = threading.Thread(target=self._run, name=f"sleeper {self.name}")

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def turn_s(self) -> float:
        """Monotonic time of the last turn of its loop, or of the next one while it waits to try
        again; infinite once it has ended. A thread that hangs has an old one."""
        return self._turn_s if self.alive else math.inf

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        house, backoff = self._house, Backoff(first_s=1.0, longest_s=60.0)
        while True:
            began_s = house.clock.monotonic_s()
            try:
                self._monitor()
                return
            except Exception as exc:
                # A night that has begun is not given up because its file or its headband cannot be
                # used just now.
                hopeless = isinstance(exc, InputError) and self.state.night is None
                if hopeless or house.closing.is_set():
                    self._fail(exc)
                    return
                if house.clock.monotonic_s() - began_s > LONG_RUN_S:
                    backoff.reset()
                wait_s = backoff.next_s()
                self._say(f"trying again in {wait_s:.0f} s: {_sentence(exc)}")
                _log.error("%s%s; trying again", self._prefix, _sentence(exc))
                self._turn_s = house.clock.monotonic_s() + wait_s
                house.closing.wait(wait_s)

    def _monitor(self) -> None:
        """One attempt: to the end of the night, or until something fails."""
        house, clock = self._house, self._house.clock
        with ExitStack() as stack:
            stored = None if self._new_night else self._night_to_continue()
            night: RunningNight | None = None
            if stored is None:
                timeline = Timeline(clock)
                source = stack.enter_context(self._source(timeline, None))
            else:
                store = stack.enter_context(closing(NightStore.open(stored.path)))
                live = self._continued(store)
                timeline = _timeline(clock, live, stored.reached_utc)
                same_boot = timeline.offset_s == live.timeline_offset_s
                clock_offset_s = live.clock_offset_s if same_boot else None
                source = stack.enter_context(self._source(timeline, clock_offset_s))
                live = replace(live, boot_id=boot_id(), timeline_offset_s=timeline.offset_s)
                store.go_on(live)
                night = RunningNight(store, live, house, resumed_s=timeline.now_s())
                stack.callback(night.close)
                begun = night.session.start_utc.astimezone()
                _log.info(
                    "%sGoing on with the night begun %s, in %s",
                    self._prefix,
                    f"{begun:%Y-%m-%d %H:%M}",
                    store.path,
                )
            wall_clock_s = Timeline(clock).offset_s
            began_s = clock.monotonic_s()
            while not house.closing.is_set():
                self._turn_s = clock.monotonic_s()
                chunks = source.poll()
                if night is None and chunks and source.device is not None:
                    store = stack.enter_context(closing(self._new_store(timeline)))
                    night = self._begin(store, source, timeline, float(chunks[0].times_s[0]))
                    stack.callback(night.close)
                if night is None:
                    self._say(source.status)
                    self._wait_no_longer(source, clock.monotonic_s() - began_s)
                else:
                    night.step(source, chunks, timeline.now_s())
                    self._take_marks(night)
                    if night.due():
                        status = night.trouble or source.status
                        self.state = SleeperState(self.name, status, night.state(timeline))
                        wall_clock_s = self._notice_set_clock(wall_clock_s)
                clock.sleep(POLL_S * house.pace)
            if night is not None:
                self._take_marks(night)
                stack.callback(self._write_epochs, night)  # also if the disk is full
                self.state = SleeperState(self.name, "", night.finish(timeline))

    def _source(
        self, timeline: Timeline, clock_offset_s: float | None
    ) -> AbstractContextManager[LiveSource]:
        return closing(self._open_source(self._options.source, timeline, clock_offset_s))

    def _write_epochs(self, night: RunningNight) -> None:
        if self._options.output is not None:
            told = night.pipeline.night
            write_epochs(self._options.output, told.live, told.revised, night.session.start_s)

    def _night_to_continue(self) -> StoredNight | None:
        key, now_utc = self._key, self._house.clock.utc()
        path = self._options.store
        if path is None:
            return night_to_continue(nights_folder(), key, self.name, now_utc)
        if not path.exists():
            return None
        stored = stored_night(path)
        if stored is None or (stored.source_key, stored.sleeper) != (key, self.name):
            raise InputError(f"{path} is not a night of this source; choose another --store")
        if not stored.goes_on(now_utc):
            raise InputError(
                f"{path} holds a night that is over (its last epoch ended "
                f"{stored.reached_utc.astimezone():%Y-%m-%d %H:%M}); choose another --store"
            )
        return stored

    def _continued(self, store: NightStore) -> LiveNight:
        """What the night in ``store`` is made of; it goes on with that and with nothing else."""
        live, session = store.live_night(), store.session()
        assert live is not None and session is not None  # or it would not have been found
        contract = self._house.backend.contract
        ours = (self._house.options.gain.value, contract.full_name)
        if (session.gain, session.model) != ours:
            raise InputError(
                f"the night in {store.path} was begun with --gain {session.gain} and "
                f"{session.model}: give these again, or begin another with --new-night"
            )
        names = [each.name for each in live.montage.derivations]
        if not set(map(name_key, self._options.channels)) <= set(map(name_key, names)):
            _log.warning(
                "%sThe night goes on with the derivations it was begun with: %s",
                self._prefix,
                ", ".join(names),
            )
        return live

    def _notice_set_clock(self, before_s: float) -> float:
        """Say it if the machine's clock was set since it lay ``before_s`` from monotonic time."""
        now_s = Timeline(self._house.clock).offset_s
        if abs(now_s - before_s) < WALL_CLOCK_S:
            return before_s
        _log.warning(
            "%sThe machine's clock was set by %+.0f s. The night keeps its own time: no epoch "
            "moves",
            self._prefix,
            now_s - before_s,
        )
        return now_s

    def _new_store(self, timeline: Timeline) -> NightStore:
        path = self._options.store
        if path is None:
            words = "".join(c if c.isalnum() else "-" for c in self.name or self._key).strip("-")
            now = datetime.fromtimestamp(timeline.now_s())
            path = nights_folder() / f"{now:%Y-%m-%d-%H%M%S}-{words[:40]}.sqlite"
        if path.exists():
            raise InputError(f"{path} exists already; choose another --store")
        return NightStore.open(path)

    def _begin(
        self, store: NightStore, source: LiveSource, timeline: Timeline, start_s: float
    ) -> RunningNight:
        """The first samples are here: the epoch grid begins with them."""
        device, options = source.device, self._house.options
        assert device is not None
        for note in (f"Monitoring {device.name}", *device.notes):
            _log.info("%s%s", self._prefix, note)
        montage = live_montage(
            device.channels, device.sfreq_hz, self._options.channels, device.candidates
        )
        contract = self._house.backend.contract
        session = Session(
            id=hashlib.sha256(f"{self._key}\n{self.name}\n{start_s:.6f}".encode()).hexdigest()[:32],
            source=device.name,
            derivation=montage.derivations[0].name,
            channels=montage.channels,
            start_s=start_s,
            start_utc=datetime.fromtimestamp(start_s, UTC),
            sfreq_hz=device.sfreq_hz,
            gain=options.gain.value,
            model=contract.full_name,
            sleeper=self.name,
        )
        names = ", ".join(each.name for each in montage.derivations)
        if all(name_key(each.name) != name_key(contract.channel) for each in montage.derivations):
            _log.info(
                "%sThe network learned from %s: expect less here", self._prefix, contract.channel
            )
        _log.info(
            "%sStaging the best of %s; the night is kept in %s", self._prefix, names, store.path
        )
        live = LiveNight(self._key, montage, boot_id(), timeline.offset_s, source.clock_offset_s)
        begin(store, session, self._house.clock.utc(), live)
        self._new_night = False  # whatever fails from here on, this one goes on
        return RunningNight(store, live, self._house)

    def _wait_no_longer(self, source: LiveSource, waited_s: float) -> None:
        limit_s = self._house.options.wait_s
        if limit_s is not None and waited_s > limit_s:
            raise InputError(
                f"nothing came within {limit_s:g} s ({source.status}); check with "
                f"sleep-monitor {'streams' if self._options.source.kind == 'lsl' else 'doctor'}"
            )

    def _take_marks(self, night: RunningNight) -> None:
        now_utc = self._house.clock.utc()
        while not self.marks.empty():
            mark = self.marks.get()
            start_utc = night.session.start_utc
            earliest = start_utc if mark.kind is MarkKind.LIGHTS_ON else start_utc - EARLIER_MARKS
            if mark.time_utc > now_utc + LATER_MARKS:
                _log.warning("%sA mark dated %s is not taken", self._prefix, mark.time_utc)
            elif mark.time_utc >= earliest:
                night.pipeline.mark(mark)

    def _fail(self, exc: Exception) -> None:
        text = _sentence(exc)
        self.error = exc if isinstance(exc, MonitorError) else MonitorError(text)
        self.state = SleeperState(self.name, text, self.state.night, failed=True)

    def _say(self, status: str) -> None:
        self.state = replace(self.state, status=status)

    @property
    def _prefix(self) -> str:
        return f"{self.name}: " if self.name else ""


def _timeline(clock: Clock, live: LiveNight, reached_utc: datetime) -> Timeline:
    """Time goes on as it did, if the machine has not been started since: else by the wall clock,
    but never back to before the last epoch."""
    fresh = Timeline(clock)
    if live.boot_id:
        same_boot = live.boot_id == boot_id()
    else:
        same_boot = abs(fresh.offset_s - live.timeline_offset_s) < 2.0
    if same_boot:
        return Timeline(clock, live.timeline_offset_s)
    behind_s = reached_utc.timestamp() - fresh.now_s()
    if behind_s > 0:
        _log.warning(
            "The machine's clock is %.0f s behind the night that goes on: set it. Until the end "
            "of this night its own time goes on",
            behind_s,
        )
        return Timeline(clock, fresh.offset_s + behind_s)
    return fresh


def _sentence(exc: Exception) -> str:
    return str(exc) if isinstance(exc, MonitorError) else f"{type(exc).__name__}: {exc}"
