"""A stream of LSL as a live source."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from monitor.clock import Timeline
from monitor.config import LslConfig
from monitor.errors import InputError
from monitor.lsl_library import load_pylsl
from monitor.sources.live import Device, KnownDevice
from monitor.sources.lsl.finder import Finder
from monitor.sources.lsl.joining import JoinedStream
from monitor.sources.lsl.stream_clock import StreamClock
from monitor.sources.rate import AHEAD_S, RateWatch, comparable_stamps, settled_rate_hz
from monitor.sources.sample_clock import SampleClock
from monitor.types import F32, F64, MAX_SFREQ_HZ, MIN_SFREQ_HZ, EegChunk

_log = logging.getLogger(__name__)

HELD_MAX = 700_000
"""If the rate is still unknown after this many samples (13 s at the highest rate), it never will
be."""

HELD_BYTES = 256 * 2**20
"""Largest memory for samples whose rate is not known yet."""

DELIVERIES, ARRIVAL_S = 3, 0.5
"""The rate counts as known after at least so many deliveries, over at least this time. The first
one alone may hold seconds of samples, whose stamps LSL counted by the declared rate."""

PULLS_MAX = 64
"""Most pulls in one poll: a sender that is faster than this machine must not hold the night up."""


class LslSource:
    """A stream of LSL as a `LiveSource`.

    It is the stream with the properties in ``config``, or the only one of type EEG. The source
    finds it again after any absence. A stream that comes back without a channel it had, or at
    another rate, is not joined, and ``status`` gives the reason.

    ``clock_offset_s`` and ``known`` come from an earlier run of the same night. Raises `InputError`
    if liblsl cannot be loaded.
    """

    def __init__(
        self,
        config: LslConfig,
        timeline: Timeline,
        clock_offset_s: float | None = None,
        known: KnownDevice | None = None,
    ) -> None:
        self._timeline = timeline
        self._pylsl = load_pylsl()
        self._stream_clock = StreamClock(timeline, self._pylsl.local_clock, clock_offset_s)
        self._device: Device | None = None
        self._joined: JoinedStream | None = None
        self._measuring = True
        self._held: list[tuple[F32, F64]] = []  # samples and stamps until the rate is known
        self._held_since_s = 0.0
        self._sample_clock: SampleClock | None = None
        self._rate_watch: RateWatch | None = None
        self._finder = Finder(self._pylsl, config, timeline, known)

    @property
    def device(self) -> Device | None:
        return self._device

    @property
    def clock_offset_s(self) -> float | None:
        """Timeline minus the stream's stamps, these corrected to this machine's LSL clock."""
        return self._stream_clock.offset_s

    @property
    def status(self) -> str:
        since_s = self._finder.searching_since_s  # read once: the thread may set it to None
        if since_s is None:
            if self._stream_clock.untimed:
                return f"dropping samples without a time from {self._finder.description}"
            if self._measuring:
                return f"measuring the rate of {self._finder.description}"
            return "streaming"
        waited_s = self._timeline.clock.monotonic_s() - since_s
        trouble = f": {self._finder.trouble}" if self._finder.trouble else ""
        return f"waiting for {self._finder.description} ({waited_s:.0f} s){trouble}"

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
        if self._measuring:
            return self._measure(self._joined, *pulled)
        return self._deliver([pulled])

    def close(self) -> None:
        self._joined = None
        self._finder.close()

    def _join(self, found: JoinedStream) -> None:
        self._joined = found
        self._stream_clock.forget()
        # The old stamps may be of another clock: mixed with the new ones they show no rate.
        self._held.clear()
        if self._sample_clock is not None:
            self._sample_clock.restart()
        if self._device is not None:
            self._rate_watch = RateWatch(self._device.sfreq_hz)

    def _pull(self, joined: JoinedStream) -> tuple[F32, F64] | None:
        """Return all samples that came, (n_channels, n), and stamps (n,) on our LSL clock."""
        self._stream_clock.follow_suspension()
        parts: list[tuple[Any, Any]] = []
        try:
            while not parts or (len(parts[-1][1]) == joined.chunk_size and len(parts) < PULLS_MAX):
                parts.append(joined.inlet.pull_chunk(0.0, joined.chunk_size, as_numpy=True))
        except self._pylsl.util.LostError:
            self._finder.report_lost(joined)
        stamps_s = np.concatenate([part[1] for part in parts]) if parts else np.empty(0)
        if not stamps_s.size:
            return None
        self._finder.report_samples(joined)
        if joined.inlet.was_clock_reset():
            self._stream_clock.forget()
        rows = np.concatenate([part[0] for part in parts]) if len(parts) > 1 else parts[0][0]
        first = self._stream_clock.skip(stamps_s)
        if first == stamps_s.size:
            return None
        data = rows[first:, joined.layout.columns].T * joined.layout.scale[:, None]
        return np.ascontiguousarray(data, dtype=np.float32), stamps_s[first:] + joined.correction_s

    def _measure(self, joined: JoinedStream, data_uv: F32, stamps_s: F64) -> list[EegChunk]:
        """Hold samples back until their rate is known; then return all of them."""
        now_s = self._timeline.clock.monotonic_s()
        if not self._held:
            self._held_since_s = now_s
        self._held.append((data_uv, stamps_s))
        enough = len(self._held) >= DELIVERIES and now_s - self._held_since_s >= ARRIVAL_S
        held_s = comparable_stamps([stamps for _, stamps in self._held])
        sfreq_hz = settled_rate_hz(held_s, joined.stream.sfreq_hz) if enough else None
        if sfreq_hz is None:
            n_held = sum(stamps.size for _, stamps in self._held)
            if n_held > HELD_MAX or n_held * data_uv.itemsize * data_uv.shape[0] > HELD_BYTES:
                raise InputError(
                    f"LSL stream {joined.stream}: {n_held} samples came and their stamps show no "
                    "rate: set the nominal rate and the time stamps in the sender"
                )
            return []
        self._check_rate(joined, held_s, sfreq_hz)
        self._begin(joined, sfreq_hz, held_s)
        held, self._held = self._held, []
        return self._deliver(held)

    def _check_rate(self, joined: JoinedStream, held_s: F64, sfreq_hz: float) -> None:
        """Raise `InputError` for a rate that cannot be staged, or that the stamps do not show."""
        if sfreq_hz < MIN_SFREQ_HZ or sfreq_hz > MAX_SFREQ_HZ:
            # A night that has begun names the new rate itself, and waits for the right one.
            if self._device is None:
                raise InputError(
                    f"LSL stream {joined.stream} has {sfreq_hz:.4g} samples a second; EEG for "
                    f"sleep needs {MIN_SFREQ_HZ:.0f} or more, and {MAX_SFREQ_HZ:.0f} at most"
                )
            return
        known_s = held_s[np.isfinite(held_s)]
        if not known_s.size or known_s[-1] - known_s[0] < 0.5 * held_s.size / sfreq_hz:
            raise InputError(
                f"LSL stream {joined.stream}: the time stamps of its samples do not advance: "
                "correct them in the sender, or let LSL make them"
            )

    def _begin(self, joined: JoinedStream, sfreq_hz: float, held_s: F64) -> None:
        """Use a rate that was measured. The `Device` stays the same if its rate does."""
        self._measuring = False
        self._sample_clock = SampleClock(sfreq_hz)
        self._rate_watch = RateWatch(sfreq_hz)
        self._stream_clock.period_s = 1.0 / sfreq_hz
        if self._device is None:
            self._stream_clock.anchor(held_s)
        elif self._device.sfreq_hz == sfreq_hz:
            return
        else:
            _log.warning(
                "LSL stream %s now sends %g samples a second, not %g",
                *(joined.stream, sfreq_hz, self._device.sfreq_hz),
            )
        name = f"LSL stream {joined.stream.name!r} from {joined.stream.host}"
        notes = tuple(self._notes(joined, sfreq_hz))
        self._device = Device(
            name, joined.layout.names, sfreq_hz, notes=notes, identity=self._finder.identity
        )

    def _deliver(self, parts: list[tuple[F32, F64]]) -> list[EegChunk]:
        """Return chunks with smooth times. If stamps contradict the rate, measure it anew."""
        assert self._device is not None and self._sample_clock is not None
        assert self._rate_watch is not None
        chunks = []
        for n, (data_uv, stamps_s) in enumerate(parts):
            chunk = self._chunk(self._device, data_uv, stamps_s)
            slow = self._rate_watch.is_slow(stamps_s)
            if slow or self._sample_clock.ahead_s > AHEAD_S:
                self._measuring, self._held = True, parts[n:]
                self._held_since_s = self._timeline.clock.monotonic_s()
                break
            chunks.append(chunk)
        return chunks

    def _notes(self, joined: JoinedStream, sfreq_hz: float) -> list[str]:
        """Return what the user must know about a stream whose rate and clock are known now."""
        name, nominal_hz = joined.stream.name, joined.stream.sfreq_hz
        notes = list(joined.layout.notes)
        if nominal_hz and sfreq_hz != nominal_hz:
            notes.append(
                f"LSL stream {name!r} states {nominal_hz:g} Hz but its samples come at "
                f"{sfreq_hz:g} Hz: {sfreq_hz:g} Hz is used."
            )
        if not self._stream_clock.shared:
            notes.append(
                f"LSL stream {name!r} is stamped by a clock of its own: its times follow from when "
                "samples arrived."
            )
        return notes

    def _chunk(self, device: Device, data_uv: F32, stamps_s: F64) -> EegChunk:
        assert self._sample_clock is not None
        times = []
        for times_s, stepped in self._stream_clock.map(stamps_s):
            if stepped:
                self._sample_clock.restart()
            times.append(self._sample_clock.smooth(times_s))
        return EegChunk(data_uv, np.concatenate(times), device.channels, device.sfreq_hz)
