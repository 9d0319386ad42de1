"""Monitors one person: finds the headband, begins or continues the night, and never gives up."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from monitor.backoff import Backoff
from monitor.clock import Timeline, boot_id
from monitor.composition import nights_folder
from monitor.config import SleeperOptions
from monitor.errors import InputError, MonitorError, one_line
from monitor.live.continuing import (
    continued_timeline,
    find_night,
    why_another_night,
    why_not_its_device,
    why_over,
)
from monitor.live.marking import WaitingMarks
from monitor.live.running import RunningNight
from monitor.live.shared import SharedServices
from monitor.night.live_night import LiveNight
from monitor.night.record import read_night
from monitor.night.state import SleeperState
from monitor.night.store import NightStore
from monitor.night.stored import StoredNight
from monitor.pipeline import begin
from monitor.rules.runner import RuleRunner
from monitor.sources.channel_names import name_key
from monitor.sources.live import KnownDevice, LiveSource, has_appeared, source_key
from monitor.sources.live_montage import live_montage
from monitor.sources.opening import OpenSource
from monitor.types import EegChunk, Session

POLL_S = 0.05
"""Interval between two polls of the source: about as often as a headband delivers."""

LONG_RUN_S = 600.0
"""An attempt that ran this long before it failed is repeated with the shortest delay."""

WALL_CLOCK_S = 10.0
"""If the wall clock moves this far against the steady clock, somebody has set it."""

Begun = tuple[Timeline, LiveSource, RunningNight, Sequence[EegChunk]]
"""A night that goes on: its timeline and source, and the samples that came already."""

_log = logging.getLogger(__name__)


class Sleeper:
    """Monitors one person in a thread, from the first search for the headband until the run ends.

    - A failure here never touches another sleeper.
    - After a failure that may pass, the thread tries again, until morning: the night continues in
      the same file, as after a restart of the machine.
    """

    def __init__(
        self,
        options: SleeperOptions,
        shared: SharedServices,
        open_source: OpenSource,
        rules: RuleRunner | None = None,
    ) -> None:
        self._options = options
        self._rules = rules
        self._shared = shared
        self._open_source = open_source
        self._key = source_key(options.source)
        self._new_night = shared.options.new_night
        self.name = options.sleeper
        self.marks = WaitingMarks(self.name, shared.answer_mark)
        """Marks of people, put here from any thread."""
        self.error: MonitorError | None = None
        """Why this sleeper's monitor gave up."""
        self.file: Path | None = None
        """The file of the night, once it was ended in order."""
        self.state = SleeperState(self.name, "starting", None, kind=options.source.kind)
        """The newest snapshot for the screen."""
        self._turn_s = shared.clock.monotonic_s()
        self._wall_offset_s = 0.0  # wall clock minus steady clock, when it was last compared
        # A daemon, so that a source that hangs for ever cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"sleeper {self.name}", daemon=True)

    @property
    def alive(self) -> bool:
        """True until the thread has ended."""
        return self._thread.is_alive()

    @property
    def turn_s(self) -> float:
        """Monotonic time of the thread's last turn; infinite once it has ended.

        While the thread waits for the next attempt, this is the time of that attempt. A thread
        that hangs has an old time.
        """
        return self._turn_s if self.alive else math.inf

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end; return False if it did not within ``timeout_s``."""
        self._thread.join(timeout_s)
        return not self.alive

    def _run(self) -> None:
        clock, run_ends = self._shared.clock, self._shared.closing
        backoff = Backoff(first_s=1.0, longest_s=60.0)
        while True:
            began_s = clock.monotonic_s()
            try:
                while not self._monitor():
                    pass
                return
            except Exception as exc:
                # Once a night has begun, its file or its headband may be unusable for a while.
                # That is no reason to end the night.
                hopeless = isinstance(exc, InputError) and self.state.night is None
                if hopeless or run_ends.is_set():
                    self._fail(exc)
                    return
                if clock.monotonic_s() - began_s > LONG_RUN_S:
                    backoff.reset()
                wait_s = backoff.next_s()
                self._show(f"trying again in {wait_s:.0f} s: {one_line(exc)}")
                _log.error("%s%s; trying again", self._prefix, one_line(exc))
                self._turn_s = clock.monotonic_s() + wait_s
                run_ends.wait(wait_s)

    def _monitor(self) -> bool:
        """Make one attempt to monitor the night. Raises the first failure.

        Returns False if the night that it went on with is not this one: call it again.
        """
        clock = self._shared.clock
        self._wall_offset_s = Timeline(clock).offset_s
        with ExitStack() as stack:
            stored = self._stored_night()
            begun = self._start(stack) if stored is None else self._continue(stored, stack)
            if begun is None:
                return self._shared.closing.is_set()
            timeline, source, night, chunks = begun
            self._stage(night, source, timeline, chunks)
            self.marks.record_all(night.pipeline, night.session, clock.utc())
            # On the stack, so that the CSV file is written even if `finish` raises.
            stack.callback(night.write_table)
            self.state = SleeperState(self.name, "", night.finish(timeline))
            self.file = night.path
            if night.losses:
                raise MonitorError("; ".join(night.losses))
            return True

    def _source(
        self, timeline: Timeline, clock_offset_s: float | None, known: KnownDevice | None
    ) -> AbstractContextManager[LiveSource]:
        return closing(self._open_source(self._options.source, timeline, clock_offset_s, known))

    def _stored_night(self) -> StoredNight | None:
        """Return the night to continue, or None to begin one; say why if there is a choice."""
        if self._new_night:
            return None
        stored = find_night(self._options, self._key, self._shared.clock.utc())
        if stored is None:
            return None
        shared = self._shared
        why = why_another_night(stored, self._options, shared.options.gain, shared.backend.contract)
        if not why and stored.ended_utc is not None and self._options.store is None:
            why = why_over(read_night(stored.path).state)
        if why:
            self._begin_another(stored, why)
            return None
        return stored

    def _begin_another(self, stored: StoredNight, why: str) -> None:
        """Decide to begin a night instead of ``stored``.

        Raises `InputError` if the user named the file of ``stored``, and the night has not begun.
        """
        if self._options.store is not None:
            raise InputError(f"{stored.path} cannot be continued: {why}; choose another --store")
        _log.warning("%sBegins a new night: %s, kept in %s", self._prefix, why, stored.path)
        self._new_night = True

    def _start(self, stack: ExitStack) -> Begun | None:
        """Wait for the headband and begin a night; None if the run ends before."""
        timeline = Timeline(self._shared.clock)
        source = stack.enter_context(self._source(timeline, None, None))
        chunks = self._wait_for_samples(source)
        if not chunks:
            return None
        assert source.device is not None
        self._shared.claim(source.device.identity, self.name)
        store = stack.enter_context(closing(self._new_store(timeline)))
        night = self._begin(store, source, timeline, float(chunks[0].times_s[0]))
        stack.callback(night.close)
        return timeline, source, night, chunks

    def _continue(self, stored: StoredNight, stack: ExitStack) -> Begun | None:
        """Open the stored night and its source; ``stack`` closes them.

        A night that broke off goes on at once, and waits for its own device. One that was ended in
        order goes on once its device is there. Returns None if another device is there, so that
        another night begins, or if the run ends before.
        """
        shared = self._shared
        store = stack.enter_context(closing(NightStore.open(stored.path)))
        live, session = store.live_night(), store.session()
        assert live is not None and session is not None  # `find_night` returns no other store
        timeline = continued_timeline(shared.clock, live, stored.reached_utc)
        # The stored offset is to this timeline. After a reboot the timeline is another one.
        same_boot = timeline.offset_s == live.timeline_offset_s
        known = KnownDevice(live.device, required=stored.ended_utc is None)
        source = stack.enter_context(
            self._source(timeline, live.clock_offset_s if same_boot else None, known)
        )
        chunks: list[EegChunk] = []
        if not known.required:
            chunks = self._wait_for_samples(source)
            if not chunks:
                return None
            assert source.device is not None
            if why := why_not_its_device(source.device, live, session):
                self._begin_another(stored, why)
                return None
        shared.claim(live.device, self.name)
        if not set(map(name_key, self._options.channels)) <= set(map(name_key, stored.derivations)):
            _log.warning(
                "%sThe night goes on with the derivations it was begun with: %s",
                self._prefix,
                ", ".join(stored.derivations),
            )
        live = replace(live, boot_id=boot_id(), timeline_offset_s=timeline.offset_s)
        store.update_live(live)
        night = RunningNight(
            store,
            live,
            shared,
            resumed_s=timeline.now_s(),
            table=self._options.output,
            rules=self._rules,
        )
        stack.callback(night.close)
        # A night that was ended may not be the one that is meant. The screen shows warnings only.
        ended = stored.ended_utc
        _log.log(
            logging.INFO if ended is None else logging.WARNING,
            "%sContinues the night of %s%s, in %s; --new-night begins another",
            self._prefix,
            f"{session.start_utc.astimezone():%H:%M}",
            "" if ended is None else f", which was ended at {ended.astimezone():%H:%M}",
            store.path,
        )
        return timeline, source, night, chunks

    def _wait_for_samples(self, source: LiveSource) -> list[EegChunk]:
        """Return the first samples; [] if the run ends before any arrive.

        Raises `InputError` if none arrive within the time of ``--wait``.
        """
        clock, shared = self._shared.clock, self._shared
        began_s = clock.monotonic_s()
        while not shared.closing.is_set():
            self._turn_s = clock.monotonic_s()
            chunks = source.poll()
            if chunks and source.device is not None:
                return chunks
            self._show(source.status)
            if has_appeared(source.status):
                began_s = clock.monotonic_s()
            limit_s = shared.options.wait_s
            if limit_s is not None and clock.monotonic_s() - began_s > limit_s:
                raise InputError(
                    f"nothing came within {limit_s:g} s ({source.status}); check with "
                    f"sleep-monitor {'streams' if self._options.source.kind == 'lsl' else 'doctor'}"
                )
            clock.sleep(POLL_S * shared.pace)
        return []

    def _stage(
        self,
        night: RunningNight,
        source: LiveSource,
        timeline: Timeline,
        chunks: Sequence[EegChunk],
    ) -> None:
        """Feed ``chunks``, then all samples that the source delivers, until the run ends."""
        clock, shared = self._shared.clock, self._shared
        while not shared.closing.is_set():
            self._turn_s = clock.monotonic_s()
            night.step(source, chunks, timeline.now_s())
            self.marks.record(night.pipeline, night.session, clock.utc())
            if night.is_due():
                status = night.trouble or source.status
                self.state = SleeperState(self.name, status, night.state(timeline))
                self._notice_set_clock()
            clock.sleep(POLL_S * shared.pace)
            chunks = source.poll()

    def _notice_set_clock(self) -> None:
        """Warn if somebody set the machine's clock since the last call."""
        offset_s = Timeline(self._shared.clock).offset_s
        moved_s = offset_s - self._wall_offset_s
        if abs(moved_s) >= WALL_CLOCK_S:
            self._wall_offset_s = offset_s
            _log.warning(
                "%sThe machine's clock was set by %+.0f s. The night keeps its own time: no epoch "
                "moves",
                self._prefix,
                moved_s,
            )

    def _new_store(self, timeline: Timeline) -> NightStore:
        path = self._options.store or self._default_store(timeline)
        if path.exists():
            raise InputError(f"{path} exists already; choose another --store")
        return NightStore.open(path)

    def _default_store(self, timeline: Timeline) -> Path:
        """Return a path in the folder of nights, with the local time and the sleeper or source."""
        words = "".join(c if c.isalnum() else "-" for c in self.name or self._key).strip("-")
        now = datetime.fromtimestamp(timeline.now_s())
        return nights_folder() / f"{now:%Y-%m-%d-%H%M%S}-{words[:40]}.sqlite"

    def _begin(
        self, store: NightStore, source: LiveSource, timeline: Timeline, start_s: float
    ) -> RunningNight:
        """Begin a night in ``store``; its epoch grid starts with the first sample, ``start_s``."""
        device, options = source.device, self._shared.options
        assert device is not None
        for note in (f"Monitoring {device.name}", *device.notes):
            _log.info("%s%s", self._prefix, note)
        montage = live_montage(
            device.channels, device.sfreq_hz, self._options.channels, device.candidates
        )
        contract = self._shared.backend.contract
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
        names = [derivation.name for derivation in montage.derivations]
        if name_key(contract.channel) not in map(name_key, names):
            _log.info(
                "%sThe network learned from %s: expect less here", self._prefix, contract.channel
            )
        _log.info(
            "%sStaging the best of %s; the night is kept in %s",
            self._prefix,
            ", ".join(names),
            store.path,
        )
        live = LiveNight(
            self._key,
            montage,
            boot_id(),
            timeline.offset_s,
            source.clock_offset_s,
            device.identity,
        )
        begin(
            store,
            session,
            self._shared.clock.utc(),
            live,
            weights_sha256=contract.weights_sha256,
            command=options.command,
        )
        # From here on --new-night has had its effect: a later attempt continues this night.
        self._new_night = False
        return RunningNight(
            store, live, self._shared, table=self._options.output, rules=self._rules
        )

    def _fail(self, exc: Exception) -> None:
        self.error = exc if isinstance(exc, MonitorError) else MonitorError(one_line(exc))
        self.state = replace(self.state, status=one_line(exc), failed=True)

    def _show(self, status: str) -> None:
        self.state = replace(self.state, status=status)

    @property
    def _prefix(self) -> str:
        return f"{self.name}: " if self.name else ""
