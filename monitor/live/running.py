"""A live night that has begun: feeds its pipeline, publishes its events, reports its state."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from models.contract import EPOCH_S, SFREQ_HZ
from monitor.clock import Timeline
from monitor.composition import NO_DELIVERY, EventDelivery, build_pipeline
from monitor.errors import MonitorError
from monitor.live.continuing import why_not_its_device
from monitor.live.shared import SharedServices
from monitor.night.backlog import Backlog
from monitor.night.live_night import LiveNight
from monitor.night.state import NightState
from monitor.night.store import NightStore
from monitor.sinks.epochs_csv import EpochTable
from monitor.sinks.ways import CarriedNight, open_ways
from monitor.sources.live import Device, LiveSource
from monitor.types import ChannelState, EegChunk

PUSH_S = 0.5
"""Interval at which samples are conditioned. Chunk by chunk they would cost ten times as much.
Samples that complete an epoch do not wait for it."""

STATE_S = 0.5
"""Interval between two snapshots of the night for the screen."""

CONTACT_EVERY_S = 2.0
"""Interval at which the contacts of the electrodes are judged for the screen."""

CLOCK_OFFSET_S = 0.05
"""A change of the device's clock offset is stored if it is larger than this."""

_log = logging.getLogger(__name__)


class RunningNight:
    """A live night that has begun.

    - ``resumed_s``: where a stored night continues, on the source's clock; None for a new night.
    - ``table``: the CSV file with its epochs, kept current; None: no such file.
    """

    def __init__(
        self,
        store: NightStore,
        live: LiveNight,
        shared: SharedServices,
        resumed_s: float | None = None,
        table: Path | None = None,
    ) -> None:
        session = store.session()
        assert session is not None
        self.session = session
        self._store = store
        self._table = None if table is None else EpochTable(table, session)
        self._live = live
        self._shared = shared
        self._backlog = Backlog(store, shared.clock)
        timeline = Timeline(shared.clock, live.timeline_offset_s)
        carried = CarriedNight(session, lambda: datetime.fromtimestamp(timeline.now_s(), UTC))
        ways = open_ways(shared.options.ways, carried, store, shared.clock)
        self._events = EventDelivery(store, session.id, shared.redis_url, shared.clock, ways=ways)
        self.pipeline = build_pipeline(
            session,
            live.montage,
            store,
            shared.backend,
            shared.clock,
            self._events.notify,
            backlog=self._backlog,
            resumed_s=resumed_s,
        )
        self.trouble = ""
        """Why the samples that arrive cannot be used; "" if they can."""
        self._device: Device | None = None
        self._rows: list[int] = []  # the device's row for each channel of the montage
        self._delivery = NO_DELIVERY
        self._held: list[EegChunk] = []  # chunks that wait for the next push
        self._push_at_s = 0.0
        self._next_state_s = 0.0
        self._next_contact_s = 0.0
        self._contacts: tuple[ChannelState, ...] = ()
        self._events.start()

    def step(self, source: LiveSource, chunks: Sequence[EegChunk], now_s: float) -> None:
        """Feed ``chunks`` and the time ``now_s``, which closes epochs without samples."""
        if chunks and self._fits(source):
            self._held += [self._in_montage(chunk) for chunk in chunks]
        if now_s >= self._push_at_s or self._epoch_is_complete():
            self._push_at_s = now_s + PUSH_S * self._shared.pace
            self.pipeline.push(self._held_until(now_s))
            self._held = []
        self._backlog.flush()
        self._keep_clock(source.clock_offset_s)

    def is_due(self) -> bool:
        """Return True if it is time for a new snapshot.

        Then also judge the contacts, if that is due, and bring the table of epochs up to date.
        """
        now_s = self._shared.clock.monotonic_s()
        if now_s < self._next_state_s:
            return False
        self._next_state_s = now_s + STATE_S * self._shared.pace
        if now_s >= self._next_contact_s:
            self._next_contact_s = now_s + CONTACT_EVERY_S * self._shared.pace
            self._contacts = self.pipeline.contacts()
        if self._table is not None:
            self._table.update(self.pipeline.night.live, self.pipeline.night.revised)
        return True

    def state(self, timeline: Timeline, ended: bool = False) -> NightState:
        """Return a snapshot of the night."""
        with suppress(MonitorError):  # if the store cannot be read now, show the last numbers
            self._delivery = self._events.state()
        return self.pipeline.night.state(
            clock_utc=datetime.fromtimestamp(timeline.now_s(), UTC),
            signal=self.pipeline.signal,
            recent_uv=self.pipeline.recent_uv,
            channels=self._contacts,
            last_sample_utc=self.pipeline.last_sample_utc,
            unstored=self._backlog.unstored_epochs,
            trouble=self._backlog.trouble,
            delivery=self._delivery,
            n_epochs_total=None,
            is_live=True,
            speed=None,
            ended=ended,
        )

    def finish(self, timeline: Timeline) -> NightState:
        """End the night in order; return its last state.

        Raises `MonitorError` if the disk refuses the epochs that wait.
        """
        self.pipeline.push(self._held_until(timeline.now_s()))
        self.pipeline.finish(self._shared.clock.utc())
        try:
            self._backlog.drain()
        except MonitorError as exc:
            raise MonitorError(
                f"{self._backlog.unstored_epochs} epochs could not be stored and are lost: {exc}"
            ) from exc
        self._events.finish()
        return self.state(timeline, ended=True)

    @property
    def path(self) -> Path:
        """The night's file."""
        return self._store.path

    @property
    def losses(self) -> list[str]:
        """Accidents of the night's file during the night, a sentence each."""
        return self._store.losses

    def write_table(self) -> None:
        """Write the table of epochs. Raises `MonitorError` if it cannot be written."""
        if self._table is not None:
            self._table.write(self.pipeline.night.live, self.pipeline.night.revised)

    def close(self) -> None:
        """Stop publishing. The run that continues the night publishes the events that are left."""
        self._events.close()

    def _epoch_is_complete(self) -> bool:
        # The last grid point lies one step before the end of the epoch. The second step is a
        # margin: a push that comes too early costs little, one that comes too late delays a stage.
        end_s = self.session.start_s + EPOCH_S * (self.pipeline.night.n_epochs + 1)
        return bool(self._held) and self._held[-1].times_s[-1] >= end_s - 2.0 / SFREQ_HZ

    def _held_until(self, now_s: float) -> EegChunk:
        """Join the chunks that wait into one, perhaps empty, that reports the time ``now_s``."""
        channels = self._live.montage.channels
        nothing = np.empty((len(channels), 0), np.float32)
        return EegChunk(
            np.concatenate([nothing, *(chunk.data_uv for chunk in self._held)], axis=1),
            np.concatenate([np.empty(0), *(chunk.times_s for chunk in self._held)]),
            channels,
            self.session.sfreq_hz,
            reached_s=now_s,
        )

    def _fits(self, source: LiveSource) -> bool:
        """Return True if the device is the night's, with its channels and rate; or set `trouble`.

        The source makes a new `Device` when it finds another one; only then is it checked again.
        """
        device = source.device
        if device is None or device is self._device:
            return not self.trouble
        self._device = device
        problem = why_not_its_device(device, self._live, self.session)
        if problem:
            self.trouble = f"{problem}: begin another night with --new-night"
            _log.warning("%s", self.trouble)
            return False
        self.trouble = ""
        self._rows = [device.channels.index(channel) for channel in self._live.montage.channels]
        return True

    def _in_montage(self, chunk: EegChunk) -> EegChunk:
        """Return ``chunk`` with the channels of the night alone, in their order."""
        channels = self._live.montage.channels
        return replace(chunk, data_uv=chunk.data_uv[self._rows], channels=channels)

    def _keep_clock(self, clock_offset_s: float | None) -> None:
        """Store the offset of the device's clock, for a run that continues this night."""
        known_s = self._live.clock_offset_s
        if clock_offset_s is None or (
            known_s is not None and abs(clock_offset_s - known_s) < CLOCK_OFFSET_S
        ):
            return
        self._live = replace(self._live, clock_offset_s=clock_offset_s)
        try:
            self._store.update_live(self._live)
        except MonitorError as exc:
            _log.warning("%s", exc)
