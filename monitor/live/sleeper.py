"""Monitors one person: finds the headband, begins or continues the night, and never gives up."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

from monitor.backoff import Backoff
from monitor.clock import Timeline, boot_id
from monitor.composition import nights_folder
from monitor.config import SleeperOptions
from monitor.errors import InputError, MonitorError, one_line
from monitor.live.continuing import continued_timeline, find_night, live_night
from monitor.live.running import RunningNight
from monitor.live.shared import SharedServices
from monitor.night.live_night import LiveNight
from monitor.night.state import SleeperState
from monitor.night.store import NightStore
from monitor.night.stored import StoredNight
from monitor.pipeline import begin
from monitor.sinks.epochs_csv import write_epochs
from monitor.sources.channel_names import name_key
from monitor.sources.live import LiveSource, source_key
from monitor.sources.live_montage import live_montage
from monitor.sources.opening import OpenSource
from monitor.types import EegChunk, Mark, MarkKind, Session

POLL_S = 0.05
"""Interval between two polls of the source: about as often as a headband delivers."""

EARLIER_MARKS = timedelta(minutes=15)
"""A lights-off mark or a note this long before the first sample still belongs to the night."""

LATER_MARKS = timedelta(minutes=1)
"""A mark further in the future than this was dated by a wrong clock."""

LONG_RUN_S = 600.0
"""An attempt that ran this long before it failed is repeated with the shortest delay."""

WALL_CLOCK_S = 10.0
"""If the wall clock moves this far against the steady clock, somebody has set it."""

_log = logging.getLogger(__name__)


class Sleeper:
    """Monitors one person in a thread, from the first search for the headband until the run ends.

    - A failure here never touches another sleeper.
    - After a failure that may pass, the thread tries again, until morning: the night continues in
      the same file, as after a restart of the machine.
    """

    def __init__(
        self, options: SleeperOptions, shared: SharedServices, open_source: OpenSource
    ) -> None:
        self._options = options
        self._shared = shared
        self._open_source = open_source
        self._key = source_key(options.source)
        self._new_night = shared.options.new_night
        self.name = options.sleeper
        self.marks: SimpleQueue[Mark] = SimpleQueue()
        """Marks of people, put here from any thread."""
        self.error: MonitorError | None = None
        """Why this sleeper's monitor gave up."""
        self.state = SleeperState(self.name, "starting", None)
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
                self._monitor()
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

    def _monitor(self) -> None:
        """Make one attempt to monitor the night. Raises the first failure."""
        clock = self._shared.clock
        self._wall_offset_s = Timeline(clock).offset_s
        with ExitStack() as stack:
            stored = None
            if not self._new_night:
                stored = find_night(self._options, self._key, clock.utc())
            if stored is None:
                timeline = Timeline(clock)
                source = stack.enter_context(self._source(timeline, None))
                chunks = self._wait_for_samples(source)
                if not chunks:
                    return
                store = stack.enter_context(closing(self._new_store(timeline)))
                night = self._begin(store, source, timeline, float(chunks[0].times_s[0]))
                stack.callback(night.close)
            else:
                timeline, source, night = self._continue(stored, stack)
                chunks = []
            self._stage(night, source, timeline, chunks)
            self._take_marks(night)
            # On the stack, so that the CSV file is written even if `finish` raises.
            stack.callback(self._write_epochs, night)
            self.state = SleeperState(self.name, "", night.finish(timeline))
            if night.losses:
                raise MonitorError("; ".join(night.losses))

    def _source(
        self, timeline: Timeline, clock_offset_s: float | None
    ) -> AbstractContextManager[LiveSource]:
        return closing(self._open_source(self._options.source, timeline, clock_offset_s))

    def _continue(
        self, stored: StoredNight, stack: ExitStack
    ) -> tuple[Timeline, LiveSource, RunningNight]:
        """Open the stored night and its source; ``stack`` closes them."""
        shared = self._shared
        store = stack.enter_context(closing(NightStore.open(stored.path)))
        live = live_night(store, shared.options, shared.backend.contract)
        names = [derivation.name for derivation in live.montage.derivations]
        if not set(map(name_key, self._options.channels)) <= set(map(name_key, names)):
            _log.warning(
                "%sThe night goes on with the derivations it was begun with: %s",
                self._prefix,
                ", ".join(names),
            )
        timeline = continued_timeline(shared.clock, live, stored.reached_utc)
        # The stored offset is to this timeline. After a reboot the timeline is another one.
        same_boot = timeline.offset_s == live.timeline_offset_s
        source = stack.enter_context(
            self._source(timeline, live.clock_offset_s if same_boot else None)
        )
        live = replace(live, boot_id=boot_id(), timeline_offset_s=timeline.offset_s)
        store.update_live(live)
        night = RunningNight(store, live, shared, resumed_s=timeline.now_s())
        stack.callback(night.close)
        _log.info(
            "%sGoing on with the night begun %s, in %s",
            self._prefix,
            f"{night.session.start_utc.astimezone():%Y-%m-%d %H:%M}",
            store.path,
        )
        return timeline, source, night

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
            self._take_marks(night)
            if night.is_due():
                status = night.trouble or source.status
                self.state = SleeperState(self.name, status, night.state(timeline))
                self._notice_set_clock()
            clock.sleep(POLL_S * shared.pace)
            chunks = source.poll()

    def _write_epochs(self, night: RunningNight) -> None:
        if self._options.output is not None:
            staged = night.pipeline.night
            write_epochs(self._options.output, staged.live, staged.revised, night.session.start_s)

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
        live = LiveNight(self._key, montage, boot_id(), timeline.offset_s, source.clock_offset_s)
        begin(store, session, self._shared.clock.utc(), live)
        # From here on --new-night has had its effect: a later attempt continues this night.
        self._new_night = False
        return RunningNight(store, live, self._shared)

    def _take_marks(self, night: RunningNight) -> None:
        now_utc = self._shared.clock.utc()
        while not self.marks.empty():
            mark = self.marks.get()
            start_utc = night.session.start_utc
            earliest = start_utc if mark.kind is MarkKind.LIGHTS_ON else start_utc - EARLIER_MARKS
            if mark.time_utc > now_utc + LATER_MARKS:
                _log.warning("%sA mark dated %s is not taken", self._prefix, mark.time_utc)
            elif mark.time_utc >= earliest:
                night.pipeline.mark(mark)

    def _fail(self, exc: Exception) -> None:
        self.error = exc if isinstance(exc, MonitorError) else MonitorError(one_line(exc))
        self.state = SleeperState(self.name, one_line(exc), self.state.night, failed=True)

    def _show(self, status: str) -> None:
        self.state = replace(self.state, status=status)

    @property
    def _prefix(self) -> str:
        return f"{self.name}: " if self.name else ""
