"""A stream of LSL as a live source: what has come, in microvolts, at its time."""

from __future__ import annotations

from typing import Any

import numpy as np

from monitor.clock import Timeline
from monitor.config import LslConfig
from monitor.errors import InputError
from monitor.sources.live import Device
from monitor.sources.lsl.finder import Finder, Joined
from monitor.sources.lsl.library import load_pylsl
from monitor.sources.lsl.rate import settled_rate_hz
from monitor.sources.lsl.stream_clock import StreamClock
from monitor.sources.sample_clock import SampleClock
from monitor.types import F32, F64, MIN_SFREQ_HZ, EegChunk

HELD_MAX = 200_000
"""Samples after which a stream is given up whose rate is still unknown: minutes of any EEG."""


class LslSource:
    """A live stream of LSL, as a `LiveSource`.

    The stream is the one with the given properties, or else the only one of type EEG. It is found
    again after any absence; one that is back without a channel it had, or at another rate, is not
    joined, and ``status`` says so.

    ``clock_offset_s`` is that of an earlier run of the same night. Raises `InputError`
    where liblsl cannot be loaded.
    """

    def __init__(
        self, config: LslConfig, timeline: Timeline, clock_offset_s: float | None = None
    ) -> None:
        self._timeline = timeline
        self._pylsl = load_pylsl()
        self._clock = StreamClock(timeline, self._pylsl.local_clock, clock_offset_s)
        self._device: Device | None = None
        self._joined: Joined | None = None
        self._held: list[tuple[F32, F64]] = []
        self._smooth: SampleClock | None = None
        self._finder = Finder(self._pylsl, config, timeline)

    @property
    def device(self) -> Device | None:
        return self._device

    @property
    def clock_offset_s(self) -> float | None:
        """Session time minus the stream's stamps, these corrected to this machine's LSL clock."""
        return self._clock.offset_s

    @property
    def status(self) -> str:
        since_s = self._finder.searching_since_s  # once: the thread may find it meanwhile
        if since_s is None:
            if self._clock.untimed:
                return f"leaving out what {self._finder.wanted} sends without a time"
            return "streaming" if self._device else f"measuring the rate of {self._finder.wanted}"
        waited_s = self._timeline.clock.monotonic_s() - since_s
        trouble = f": {self._finder.trouble}" if self._finder.trouble else ""
        return f"waiting for {self._finder.wanted} ({waited_s:.0f} s){trouble}"

    def poll(self) -> list[EegChunk]:
        if self._finder.error is not None:
            raise self._finder.error
        found = self._finder.joined
        if found is not None and found is not self._joined:
            self._join(found)
        if self._joined is None:
            return []
        pulled = self._pull(self._joined)
        if pulled is None:
            return []
        data_uv, stamps_s = pulled
        if self._device is None:
            return self._measure(self._joined, data_uv, stamps_s)
        return [self._chunk(self._device, data_uv, stamps_s)]

    def close(self) -> None:
        self._joined = None
        self._finder.close()

    def _join(self, found: Joined) -> None:
        self._joined = found
        self._clock.forget()
        self._held.clear()  # its stamps may be of another clock: together they tell no rate
        if self._smooth is not None:
            self._smooth.restart()

    def _pull(self, joined: Joined) -> tuple[F32, F64] | None:
        """All that has come: microvolts (n_channels, n) and stamps on this machine's LSL clock."""
        self._clock.follow_suspension()
        parts: list[tuple[Any, Any]] = []
        try:
            while not parts or len(parts[-1][1]) == joined.chunk_size:
                parts.append(joined.inlet.pull_chunk(0.0, joined.chunk_size, as_numpy=True))
        except self._pylsl.util.LostError:
            self._finder.lost(joined)
        stamps_s = np.concatenate([part[1] for part in parts]) if parts else np.empty(0)
        if not stamps_s.size:
            return None
        self._finder.heard(joined)
        if joined.inlet.was_clock_reset():
            self._clock.forget()
        rows = np.concatenate([part[0] for part in parts]) if len(parts) > 1 else parts[0][0]
        first = self._clock.skip(stamps_s)
        if first == stamps_s.size:
            return None
        data = rows[first:, joined.layout.columns].T * joined.layout.scale[:, None]
        return np.ascontiguousarray(data, dtype=np.float32), stamps_s[first:] + joined.correction_s

    def _measure(self, joined: Joined, data_uv: F32, stamps_s: F64) -> list[EegChunk]:
        """Hold samples back until their rate is known, then hand over all of them."""
        self._held.append((data_uv, stamps_s))
        held_s = np.concatenate([stamps for _, stamps in self._held])
        sfreq_hz = settled_rate_hz(held_s, joined.stream.sfreq_hz)
        if sfreq_hz is None:
            if held_s.size > HELD_MAX:
                raise InputError(
                    f"LSL stream {joined.stream} names no rate and its times tell none: "
                    "send it with its rate"
                )
            return []
        if sfreq_hz < MIN_SFREQ_HZ:
            raise InputError(
                f"LSL stream {joined.stream} has {sfreq_hz:.4g} samples a second; "
                f"EEG for sleep needs {MIN_SFREQ_HZ:.0f} or more"
            )
        notes = list(joined.layout.notes)
        if joined.stream.sfreq_hz and sfreq_hz != joined.stream.sfreq_hz:
            notes.append(
                f"LSL stream {joined.stream.name!r} says {joined.stream.sfreq_hz:g} Hz but comes "
                f"at {sfreq_hz:g} Hz: the latter is taken."
            )
        self._smooth = SampleClock(sfreq_hz)
        self._clock.period_s = 1.0 / sfreq_hz
        self._clock.anchor(held_s)
        if not self._clock.shared:
            notes.append(
                f"LSL stream {joined.stream.name!r} is stamped by a clock of its own: times go by "
                "when samples arrived."
            )
        name = f"LSL stream {joined.stream.name!r} from {joined.stream.host}"
        device = Device(name, joined.layout.names, sfreq_hz, notes=tuple(notes))
        self._device = device
        held, self._held = self._held, []
        return [self._chunk(device, *part) for part in held]

    def _chunk(self, device: Device, data_uv: F32, stamps_s: F64) -> EegChunk:
        assert self._smooth is not None
        times = []
        for times_s, stepped in self._clock.map(stamps_s):
            if stepped:
                self._smooth.restart()
            times.append(self._smooth.smooth(times_s))
        return EegChunk(data_uv, np.concatenate(times), device.channels, device.sfreq_hz)
