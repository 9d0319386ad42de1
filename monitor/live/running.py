"""A live night that has begun: its samples staged, stored and told; its picture taken."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from models.contract import EPOCH_S, SFREQ_HZ
from monitor.clock import Clock, Timeline
from monitor.composition import NO_DELIVERY, EventDelivery
from monitor.conditioning.conditioner import Conditioner
from monitor.config import LiveOptions
from monitor.errors import MonitorError
from monitor.night.backlog import Backlog
from monitor.night.state import NightState
from monitor.night.store import LiveNight, NightStore
from monitor.pipeline import Pipeline
from monitor.sources.live import Device, LiveSource
from monitor.staging.backend import Backend
from monitor.staging.stager import Stager
from monitor.types import ChannelState, EegChunk

PUSH_S = 0.5
"""Samples are conditioned so often, and as soon as they complete an epoch: one by one they would
cost ten times as much."""

STATE_S = 0.5
CONTACT_EVERY_S = 2.0
"""How often the picture of a night is taken for the screen, and electrodes are looked at."""

AT_FULL_PACE = 16
"""So many sleepers take a fifth of one core (`sleep-deploy benchmark live`)."""

SAME_RATE = 0.02
"""A measured rate differs a little from night to night; a filter for one serves the other."""

CLOCK_OFFSET_S = 0.05
"""A smaller change of a device's clock offset is not worth remembering."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class House:
    """What all sleepers share."""

    options: LiveOptions
    backend: Backend
    redis_url: str | None
    clock: Clock
    closing: threading.Event

    @property
    def pace(self) -> float:
        """How many times less often each is looked after where there are many: one process has
        one core's worth of Python, and what waits for it comes late for all."""
        return max(1.0, len(self.options.sleepers) / AT_FULL_PACE)


class RunningNight:
    """A night that has begun: its pipeline and publisher, and where its picture is taken."""

    def __init__(
        self, store: NightStore, live: LiveNight, house: House, resumed_s: float | None = None
    ) -> None:
        session = store.session()
        assert session is not None
        self.session = session
        self._store = store
        self._live = live
        self._house = house
        self._backlog = Backlog(store, house.clock)
        self._events = EventDelivery(store, session.id, house.redis_url, house.clock)
        self.pipeline = Pipeline(
            session,
            Conditioner(
                live.montage,
                session.sfreq_hz,
                session.start_s,
                session.start_utc,
                house.options.gain,
                first_epoch=None if resumed_s is None else store.n_epochs(),
            ),
            Stager(house.backend, house.clock),
            store,
            notify=self._events.notify,
            backlog=self._backlog,
            resumed_s=resumed_s,
        )
        self.trouble = ""
        """Why what comes is not taken."""
        self._device: Device | None = None
        self._rows: list[int] = []
        self._delivery = NO_DELIVERY
        self._held: list[EegChunk] = []
        self._push_at_s = 0.0
        self._next_state_s = 0.0
        self._next_contact_s = 0.0
        self._contacts: tuple[ChannelState, ...] = ()
        self._events.start()

    def step(self, source: LiveSource, chunks: Sequence[EegChunk], now_s: float) -> None:
        """Take what came, and tell the pipeline what time it is: it goes on whatever comes."""
        if chunks and self._fits(source):
            self._held += [self._montage_of(chunk) for chunk in chunks]
        if now_s >= self._push_at_s or self._epoch_is_complete():
            self._push_at_s = now_s + PUSH_S * self._house.pace
            self.pipeline.push(self._held_until(now_s))
            self._held = []
        self._backlog.flush()
        self._keep_clock(source.clock_offset_s)

    def due(self) -> bool:
        """Whether it is time for a new picture."""
        now_s = self._house.clock.monotonic_s()
        if now_s < self._next_state_s:
            return False
        self._next_state_s = now_s + STATE_S * self._house.pace
        if now_s >= self._next_contact_s:
            self._next_contact_s = now_s + CONTACT_EVERY_S * self._house.pace
            self._contacts = self.pipeline.contacts()
        return True

    def state(self, timeline: Timeline, ended: bool = False) -> NightState:
        """A picture of the night as it is now."""
        with suppress(MonitorError):  # the store cannot be read just now: show the last state
            self._delivery = self._events.state()
        return self.pipeline.night.state(
            clock_utc=datetime.fromtimestamp(timeline.now_s(), UTC),
            signal=self.pipeline.signal,
            recent_uv=self.pipeline.recent_uv,
            channels=self._contacts,
            last_sample_utc=self.pipeline.last_sample_utc,
            unstored=self._backlog.unstored_epochs,
            delivery=self._delivery,
            n_epochs_total=None,
            speed=None,
            ended=ended,
        )

    def finish(self, timeline: Timeline) -> NightState:
        """Close the night in order. Raises `MonitorError` if the disk does not take it."""
        self.pipeline.push(self._held_until(timeline.now_s()))
        self.pipeline.finish(self._house.clock.utc())
        try:
            self._backlog.drain()
        except MonitorError as exc:
            raise MonitorError(
                f"{self._backlog.unstored_epochs} epochs could not be stored and are lost: {exc}"
            ) from exc
        self._events.finish()
        return self.state(timeline, ended=True)

    def close(self) -> None:
        """Stop publishing. What was not published, whoever goes on with the night will."""
        self._events.close()

    def _epoch_is_complete(self) -> bool:
        end_s = self.session.start_s + EPOCH_S * (self.pipeline.night.n_epochs + 1)
        return bool(self._held) and self._held[-1].times_s[-1] >= end_s - 2.0 / SFREQ_HZ

    def _held_until(self, now_s: float) -> EegChunk:
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
        """Whether the device has what this night is made of; else `trouble` says what it lacks."""
        device = source.device
        if device is None or device is self._device:
            return not self.trouble
        channels, self._device, self.trouble = self._live.montage.channels, device, ""
        rate = device.sfreq_hz / self.session.sfreq_hz
        if set(channels) <= set(device.channels) and abs(rate - 1.0) <= SAME_RATE:
            self._rows = [device.channels.index(channel) for channel in channels]
            return True
        self.trouble = (
            f"{device.name} has channels {', '.join(device.channels)} at {device.sfreq_hz:g} Hz, "
            f"not those that this night began with ({', '.join(channels)} at "
            f"{self.session.sfreq_hz:g} Hz): begin another with --new-night"
        )
        _log.warning("%s", self.trouble)
        return False

    def _montage_of(self, chunk: EegChunk) -> EegChunk:
        channels = self._live.montage.channels
        return replace(chunk, data_uv=chunk.data_uv[self._rows], channels=channels)

    def _keep_clock(self, clock_offset_s: float | None) -> None:
        """Remember how the device's clock lies, for whoever goes on with this night."""
        known_s = self._live.clock_offset_s
        if clock_offset_s is None or (
            known_s is not None and abs(clock_offset_s - known_s) < CLOCK_OFFSET_S
        ):
            return
        self._live = replace(self._live, clock_offset_s=clock_offset_s)
        try:
            self._store.go_on(self._live)
        except MonitorError as exc:
            _log.warning("%s", exc)
