"""EEG over the Lab Streaming Layer: finds a stream, joins it, and joins it again when it is back.

What may block (searching, opening, measuring the clocks) happens in a thread; `LslSource.poll`
only takes what liblsl has received meanwhile.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monitor.clock import Timeline
from monitor.config import LslConfig
from monitor.errors import InputError, MonitorError
from monitor.sources.live import Device
from monitor.sources.sample_clock import SampleClock
from monitor.types import F32, F64, MIN_SFREQ_HZ, EegChunk

log = logging.getLogger(__name__)

BUFFER_S = 360
"""What liblsl keeps while nobody polls."""

SETTLE_S = 2.0
"""How long to look for further matches after the first one: two rounds of liblsl's queries."""

SILENCE_S = 5.0
"""Without samples for so long, the stream is searched for again."""

TEND_S = 2.0
"""How often the offset between the sender's clock and ours is asked for."""

UNREACHABLE_CLOCK_S = 5.0
"""Without a measured offset for so long, times go by arrival."""

SAME_CLOCK_S = 5.0
"""Stamps this close to LSL's clock are on it."""

STEP_S = 2.0
"""Stamps that go back by more, or leap into the future by more, come from a clock that was set."""

SUSPENDED_S = 0.1
"""LSL's clock stands still while Linux is suspended. A difference of less is measurement."""

EARLIEST_S, LATEST_S = 60.0, 24 * 3600.0
"""How far from now a clock's offset of earlier may place its samples and still be believed."""

MEASURE_S = 3.0
"""The rate is measured over this, and over twice as long if it has no name or contradicts it."""

USUAL_RATES_HZ = (
    *(100.0, 125.0, 128.0, 200.0, 220.0, 250.0, 256.0, 300.0, 500.0, 512.0, 600.0),
    *(1000.0, 1024.0, 2000.0, 2048.0),
)

MICROVOLTS = {"nv": 1e-3, "uv": 1.0, "mv": 1e3, "v": 1e6}
_PREFIXES = {"micro": "u", "milli": "m", "nano": "n", "µ": "u", "μ": "u", "mc": "u"}
_NOT_EEG = re.compile(
    r"\b(aux\d*|acc\w*|gyro\w*|ppg\w*|eog\w*|emg\w*|ecg\w*|ekg\w*|marker\w*|trigger\w*|"
    r"time\w*|counter\w*|battery\w*|imu\w*|temp\w*|resp\w*|spo2)(?![a-z])",
    re.IGNORECASE,
)
_EEG_TYPES = {"", "eeg", "unknown", "voltage"}


@dataclass(frozen=True, slots=True)
class LslStream:
    """A stream on the network. ``sfreq_hz`` is 0 if irregular; ``unit`` "" if it names none."""

    name: str
    type: str
    source_id: str
    host: str
    channels: tuple[str, ...]
    sfreq_hz: float
    unit: str
    is_eeg: bool

    def __str__(self) -> str:
        source_id = f", source id {self.source_id!r}" if self.source_id else ""
        return f"{self.name!r} of type {self.type!r} on {self.host}{source_id}"


def list_streams(wait_s: float) -> list[LslStream]:
    """All streams that answer within ``wait_s``, EEG first. Raises `InputError` without liblsl."""
    pylsl = _pylsl()
    streams = []
    for info in pylsl.resolve_streams(wait_s):
        with suppress(*_absent(pylsl)):
            info = pylsl.StreamInlet(info, recover=False).info(timeout=1.0)
        streams.append(_stream(info))
    return sorted(streams, key=lambda stream: (not stream.is_eeg, stream.name, stream.source_id))


class LslSource:
    """A live stream of LSL, as a `LiveSource`.

    The stream is the one with the given properties, or else the only one of type EEG. It is found
    again after any absence; one that is back without a channel it had, or at another rate, is not
    joined, and ``status`` says so.

    ``clock_offset_s`` is that of an earlier run of the same night. Raises `InputError` for a unit
    that does not exist and where liblsl cannot be loaded.
    """

    def __init__(
        self, config: LslConfig, timeline: Timeline, clock_offset_s: float | None = None
    ) -> None:
        if config.unit is not None and _unit(config.unit) is None:
            raise InputError(f"--unit {config.unit!r} is not one of nV, uV, mV, V")
        self._config = config
        self._timeline = timeline
        self._pylsl = _pylsl()
        self._clock = _StreamClock(timeline, self._pylsl.local_clock, clock_offset_s)
        self._device: Device | None = None
        self._joined: _Joined | None = None
        self._held: list[tuple[F32, F64]] = []
        self._smooth: SampleClock | None = None
        self._finder = _Finder(self._pylsl, config, timeline)

    @property
    def key(self) -> str:
        config, joined = self._config, self._joined
        source_id = config.source_id or (joined and joined.stream.source_id)
        name = source_id or config.name or config.type or (joined and joined.stream.name) or "EEG"
        return f"lsl:{name}"

    @property
    def device(self) -> Device | None:
        return self._device

    @property
    def clock_offset_s(self) -> float | None:
        """Session time minus the stream's stamps, these corrected to this machine's LSL clock."""
        return self._clock.offset_s

    @property
    def status(self) -> str:
        if self._finder.searching_since_s is None:
            return "streaming" if self._device else f"measuring the rate of {self._finder.wanted}"
        waited_s = self._timeline.clock.monotonic_s() - self._finder.searching_since_s
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

    def _join(self, found: _Joined) -> None:
        self._joined = found
        self._clock.forget()
        if self._smooth is not None:
            self._smooth.restart()

    def _pull(self, joined: _Joined) -> tuple[F32, F64] | None:
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
        data = rows[:, joined.layout.columns].T * joined.layout.scale[:, None]
        return np.ascontiguousarray(data, dtype=np.float32), stamps_s + joined.correction_s

    def _measure(self, joined: _Joined, data_uv: F32, stamps_s: F64) -> list[EegChunk]:
        """Hold samples back until their rate is known, then hand over all of them."""
        self._held.append((data_uv, stamps_s))
        held_s = np.concatenate([stamps for _, stamps in self._held])
        sfreq_hz = _settled_rate_hz(held_s, joined.stream.sfreq_hz)
        if sfreq_hz is None:
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


class _StreamClock:
    """From stamps to session time: ``stamp + offset_s``.

    A stream on LSL's clock is placed exactly. Any other clock is placed by when its first samples
    arrived, or where an earlier run placed it. A clock that was set is placed anew, never before
    what came already.
    """

    def __init__(self, timeline: Timeline, lsl_now: Any, offset_s: float | None) -> None:
        self._timeline = timeline
        self._lsl_now = lsl_now
        self.offset_s = offset_s
        self.shared = False
        self.period_s = 0.0
        self._anchored = False
        self._last_s = -np.inf  # session time of the newest sample
        self._was_now = False  # whether that was about now when it came

    def forget(self) -> None:
        """The stamps may come from another clock now."""
        self._anchored = False

    def follow_suspension(self) -> None:
        """The session's time went on while this machine slept; LSL's did not."""
        if self._anchored and self.shared and self.offset_s is not None:
            offset_s = self._timeline.now_s() - self._lsl_now()
            if abs(offset_s - self.offset_s) > SUSPENDED_S:
                log.warning(
                    "the machine was suspended for %.1f s; times go on after it",
                    offset_s - self.offset_s,
                )
                self.offset_s = offset_s

    def anchor(self, stamps_s: F64, keep: bool = True) -> None:
        """Place the clock of ``stamps_s`` (n,), which came just now; where it was if that may be
        right still, unless told not to ``keep`` it."""
        now_s, lsl_now_s = self._timeline.now_s(), self._lsl_now()
        known_s = stamps_s[np.isfinite(stamps_s)]
        first_s, newest_s = (known_s[0], known_s[-1]) if known_s.size else (lsl_now_s, lsl_now_s)
        before_s, shared_s = self.offset_s, now_s - lsl_now_s
        # The first may have waited for us, the newest may run ahead; a clock just set is suspect.
        away_s = np.abs(np.array([first_s, newest_s]) - lsl_now_s)
        same = away_s.min() < SAME_CLOCK_S if keep else away_s.max() < STEP_S
        self.shared = bool(same and first_s + shared_s > self._last_s - STEP_S)
        if self.shared:
            self.offset_s = shared_s
        elif before_s is None or not (
            keep and max(now_s - EARLIEST_S, self._last_s) <= first_s + before_s <= now_s + LATEST_S
        ):
            self.offset_s = float(max(now_s - newest_s, self._last_s + self.period_s - first_s))
        if before_s is not None and self.offset_s is not None:
            moved_s = self.offset_s - before_s
            if abs(moved_s) > SUSPENDED_S:
                log.warning("the LSL stream's clock moved by %.1f s: times follow arrival", moved_s)
        self._anchored = True

    def map(self, stamps_s: F64) -> list[tuple[F64, bool]]:
        """Session times of ``stamps_s`` (n,), cut where the clock was set (True: just before)."""
        restarted = not self._anchored
        if restarted:
            self.anchor(stamps_s)
        assert self.offset_s is not None
        now_s = self._timeline.now_s()
        times_s = stamps_s + self.offset_s
        before_s = np.concatenate([[self._last_s], times_s[:-1]])
        if not restarted and np.abs(times_s - before_s).max() < STEP_S:
            self._last_s = float(times_s[-1])
            self._was_now = abs(self._last_s - now_s) < SAME_CLOCK_S
            return [(times_s, False)]
        # A sender may run ahead all the time; it may not leap from now into the future.
        was_now = np.abs(before_s - now_s) < SAME_CLOCK_S
        was_now[:1] = self._was_now
        leaps = (times_s - before_s > STEP_S) & (times_s > now_s + STEP_S) & was_now
        cuts = np.flatnonzero((times_s - before_s < -STEP_S) | leaps)
        if restarted:
            cuts = cuts[cuts > 0]
        mapped = []
        for start, stop in itertools.pairwise([*sorted({0, *cuts.tolist()}), stamps_s.size]):
            if start in cuts:
                self.anchor(stamps_s[start:], keep=False)
            part_s = stamps_s[start:stop] + self.offset_s
            mapped.append((part_s, restarted or start in cuts))
            known_s = part_s[np.isfinite(part_s)]
            if known_s.size:
                self._last_s = float(known_s[-1])
                self._was_now = abs(self._last_s - now_s) < SAME_CLOCK_S
            restarted = False
        return mapped


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Which of a stream's channels are EEG: their columns, names, and microvolts a unit (n,)."""

    columns: list[int]
    names: tuple[str, ...]
    scale: F32
    notes: tuple[str, ...]

    def only(self, names: Sequence[str]) -> _Layout | None:
        """The channels of these names, in this order; None if one is missing."""
        if not set(names) <= set(self.names):
            return None
        places = [self.names.index(name) for name in names]
        columns = [self.columns[place] for place in places]
        return _Layout(columns, tuple(names), self.scale[places], self.notes)


@dataclass(slots=True, eq=False)
class _Joined:
    """A stream that is being received. ``correction_s`` takes its stamps to our LSL clock."""

    stream: LslStream
    uid: str
    inlet: Any
    layout: _Layout
    chunk_size: int
    correction_s: float


class _Finder:
    """The thread that searches, opens and watches the clock; `LslSource` reads its attributes.

    - ``joined``: the stream to read; a new object each time one is opened.
    - ``searching_since_s``: monotonic time since when there is nothing to read, or None.
    - ``trouble``: why what was found is not joined, or "".
    - ``error``: what no waiting can mend.
    """

    def __init__(self, pylsl: Any, config: LslConfig, timeline: Timeline) -> None:
        self._pylsl = pylsl
        self._config = config
        self._now_s = timeline.clock.monotonic_s
        self.joined: _Joined | None = None
        self.searching_since_s: float | None = self._now_s()
        self.trouble = ""
        self.error: MonitorError | None = None
        self._heard_s = -np.inf
        self._lost: _Joined | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lsl-finder")
        self._thread.start()

    @property
    def wanted(self) -> str:
        given = self._config.model_dump(include={"name", "type", "source_id"}, exclude_none=True)
        told = [f"{key.replace('_', ' ')} {value!r}" for key, value in given.items()]
        return f"an LSL stream with {' and '.join(told)}" if told else "an LSL stream of type 'EEG'"

    def heard(self, joined: _Joined) -> None:
        """Samples came."""
        if joined is self.joined:
            self._heard_s = self._now_s()
            self.searching_since_s = None

    def lost(self, joined: _Joined) -> None:
        """The stream is gone, and liblsl will not find it again."""
        if self._lost is not joined:
            self._lost = joined
            self._wake.set()

    def close(self) -> None:
        self._stop.set()
        self._wake.set()
        self._thread.join()
        self.joined = None

    def _run(self) -> None:
        try:
            self._search()
            while not self._stop.is_set():
                self._wake.wait(TEND_S)
                self._wake.clear()
                joined = self.joined
                silent = self._now_s() - self._heard_s > SILENCE_S
                if joined is not None and (silent or joined is self._lost):
                    self.searching_since_s = self._now_s()
                    self._search()
                elif joined is not None:
                    self._measure_clock(joined)
        except MonitorError as error:
            self.error = error
        except Exception as error:
            log.exception("searching for LSL streams failed")
            self.error = MonitorError(f"LSL failed: {error}; start the monitor again")

    def _search(self) -> None:
        """Until a stream is joined, or the one there was is heard again."""
        resolver = self._pylsl.ContinuousResolver(forget_after=2.0)
        seen_s: float | None = None
        while not self._stop.wait(0.1) and self.searching_since_s is not None:
            matches = self._matches(resolver.results())
            if not matches:
                seen_s = None
                continue
            seen_s = self._now_s() if seen_s is None else seen_s
            if self._now_s() - seen_s < (SETTLE_S if self._may_change(matches) else 0.0):
                continue
            joined = self._open(self._choose(matches))
            if joined is not None and self.searching_since_s is not None:
                self._heard_s, self.trouble = self._now_s(), ""
                self.joined, self.searching_since_s = joined, None

    def _may_change(self, matches: list[Any]) -> bool:
        """Whether to wait before one is opened."""
        before = self.joined
        if before is None:  # other matches may be about to answer
            return not (self._config.source_id and matches[0].type().casefold() == "eeg")
        # liblsl finds it by itself if it has a source id, and loses less.
        return bool(before is not self._lost and before.stream.source_id)

    def _matches(self, infos: list[Any]) -> list[Any]:
        config, before = self._config, self.joined
        wanted = {"name": config.name, "type": config.type, "source_id": config.source_id}
        if not any(wanted.values()):
            wanted["type"] = "EEG"
        if before is not None:
            stream = before.stream
            wanted = {"name": stream.name, "type": stream.type, "source_id": stream.source_id}
        matches = [
            info
            for info in infos
            if all(
                not value or getattr(info, key)().casefold() == value.casefold()
                for key, value in wanted.items()
            )
            and not (before and info.uid() == before.uid)
        ]
        # Some senders give all streams of a headband one name and source id.
        return [info for info in matches if info.type().casefold() == "eeg"] or matches

    def _choose(self, matches: list[Any]) -> Any:
        """The one stream that is meant: the newest of those that only a restart tells apart."""
        newest = {
            (info.name(), info.type(), info.source_id() or info.uid()): info
            for info in sorted(matches, key=lambda info: info.created_at())
        }
        infos = list(newest.values())
        if self.joined is None and len(infos) > 1:
            raise InputError(_ambiguous([_stream(info) for info in infos]))
        return infos[-1]

    def _open(self, info: Any) -> _Joined | None:
        """Join a stream. None if it does not answer, or is not the one that was there before."""
        stream, before = _stream(info), self.joined
        if info.channel_format() == self._pylsl.cf_string or 0 < stream.sfreq_hz < MIN_SFREQ_HZ:
            what = f"{stream.sfreq_hz:g} Hz" if stream.sfreq_hz else "text"
            problem = f"{stream} is no EEG: it is {what}, not {MIN_SFREQ_HZ:.0f} Hz or more"
            self._refuse(problem, before)
            return None
        buffer = BUFFER_S if stream.sfreq_hz else 10 * BUFFER_S  # hundreds of samples if irregular
        inlet = self._pylsl.StreamInlet(info, max_buflen=buffer, recover=True)
        try:
            full = inlet.info(timeout=2.0)
            stream, layout = _stream(full), _layout(full.as_xml(), self._config.unit)
            if before is not None:
                same = layout.only(before.layout.names)
                if same is None or stream.sfreq_hz != before.stream.sfreq_hz:
                    self._refuse("it is back with other channels or another rate", before)
                    return None
                layout = same
            inlet.open_stream(timeout=2.0)
        except InputError as error:
            if before is None:
                raise
            self._refuse(str(error), before)
            return None
        except _absent(self._pylsl):
            self.trouble = "found, but it does not answer"
            return None
        chunk_size = max(256, int(4 * stream.sfreq_hz))
        joined = _Joined(stream, info.uid(), inlet, layout, chunk_size, 0.0)
        asked_s = self._now_s()
        while not self._measure_clock(joined) and not self._stop.is_set():
            if self._now_s() - asked_s > UNREACHABLE_CLOCK_S:
                log.warning("the clock of LSL stream %s cannot be asked for: it is trusted", stream)
                break
        return joined

    def _refuse(self, problem: str, before: _Joined | None) -> None:
        """No waiting mends a wrong choice; but a night goes on, and waits for its stream."""
        if before is None:
            raise InputError(f"LSL stream {problem}")
        if self.trouble != problem:
            log.warning("LSL stream %s: %s", before.stream, problem)
        self.trouble = problem

    def _measure_clock(self, joined: _Joined) -> bool:
        with suppress(*_absent(self._pylsl)):
            joined.correction_s = joined.inlet.time_correction(timeout=0.5)
            return True
        return False


@functools.cache
def _pylsl() -> Any:
    """The LSL library, loaded when a stream is asked for. Raises `InputError` if it cannot be."""
    try:
        import pylsl  # type: ignore[import-untyped, unused-ignore]
        import pylsl.util
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise InputError(
            f"LSL cannot be used here: {str(error).splitlines()[0] if str(error) else error!r}. "
            "pylsl's own liblsl needs glibc 2.35 or newer; for another one see PYLSL_LIB"
        ) from error
    # It writes every loss into the terminal, over the dashboard; `LslSource` tells instead.
    places = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")
    configured = any(Path(place).expanduser().exists() for place in places)
    if not configured and "LSLAPICFG" not in os.environ:
        with suppress(NotImplementedError):
            pylsl.set_config_content("[log]\nlevel = -3\n")
    return pylsl


def _absent(pylsl: Any) -> tuple[type[Exception], ...]:
    """What liblsl raises about a sender that is gone, or does not answer in time."""
    return pylsl.util.TimeoutError, pylsl.util.LostError


def _stream(info: Any) -> LslStream:
    """What a pylsl StreamInfo says; its channels are only known if it came from an inlet."""
    channels = _channels(info.as_xml())
    units = {channel["unit"] for channel in channels} - {""}
    return LslStream(
        name=info.name(),
        type=info.type(),
        source_id=info.source_id(),
        host=info.hostname(),
        channels=_names([channel["label"] for channel in channels]),
        sfreq_hz=float(info.nominal_srate()),
        unit=" ".join(sorted(units)),
        is_eeg=info.type().casefold() == "eeg" and info.channel_format() != 3,
    )


def _channels(xml: str) -> list[dict[str, str]]:
    """Label, type and unit of each channel, "" where the description does not say."""
    root = ET.fromstring(xml)
    told = root.findall("desc/channels/channel")
    count = int(root.findtext("channel_count") or 0)
    empty = ET.Element("channel")
    return [
        {key: (channel.findtext(key) or "").strip() for key in ("label", "type", "unit")}
        for channel in [*told, *[empty] * count][:count]
    ]


def _names(labels: Sequence[str]) -> tuple[str, ...]:
    """Channel names: the labels, made unique; numbers where there are none."""
    names: list[str] = []
    for number, label in enumerate(labels, 1):
        name = label or str(number)
        while name in names:
            name = f"{label or 'channel'}.{number}"
            label = name
        names.append(name)
    return tuple(names)


def _layout(xml: str, unit: str | None) -> _Layout:
    """The EEG channels of a stream. Raises `InputError` if none is left."""
    channels = _channels(xml)
    names = _names([channel["label"] for channel in channels])
    columns = [
        n
        for n, channel in enumerate(channels)
        if channel["type"].casefold() in _EEG_TYPES and not _NOT_EEG.search(channel["label"])
    ]
    stream = ET.fromstring(xml).findtext("name")
    if not columns:
        raise InputError(f"LSL stream {stream!r} has no EEG channel, only {', '.join(names)}")
    units = [unit or channels[n]["unit"] for n in columns]
    unknown = sorted({text for text in units if _unit(text) is None})
    notes = []
    if unknown:
        told = f"has the unit {unknown[-1]!r}" if unknown[-1] else "names no unit"
        notes.append(f"LSL stream {stream!r} {told}: taken as microvolts; --unit sets it.")
    scale = np.array([_unit(text) or 1.0 for text in units], dtype=np.float32)
    return _Layout(columns, tuple(names[n] for n in columns), scale, tuple(notes))


def _unit(text: str) -> float | None:
    """Microvolts a unit, in any spelling of it; None if it is not one of voltage."""
    short = re.sub(r"[\s_-]", "", text.casefold())
    for prefix, letter in _PREFIXES.items():
        short = re.sub(f"^{prefix}(?=v)", letter, short)
    return MICROVOLTS.get(re.sub(r"volts?$", "v", short))


def _settled_rate_hz(stamps_s: F64, nominal_hz: float) -> float | None:
    """The rate to work with, or None while the stamps are too few to tell."""
    known_s = stamps_s[np.isfinite(stamps_s)]
    span_s = known_s[-1] - known_s[0] if known_s.size else 0.0
    if span_s < MEASURE_S or known_s.size < 16:
        # A sender that gives no times cannot contradict its rate.
        return nominal_hz if nominal_hz and stamps_s.size > 4 * MEASURE_S * nominal_hz else None
    # Of four parts, so that a gap in one of them does not count.
    parts = np.array_split(known_s, 4)
    slopes = [np.polyfit(np.arange(part.size), part - part[0], 1)[0] for part in parts]
    measured_hz = 1.0 / float(np.median(slopes))
    if nominal_hz and abs(measured_hz / nominal_hz - 1.0) <= 0.02:
        return nominal_hz
    if span_s < 2 * MEASURE_S:
        return None
    usual_hz = min(USUAL_RATES_HZ, key=lambda usual: abs(measured_hz / usual - 1.0))
    return usual_hz if abs(measured_hz / usual_hz - 1.0) <= 0.01 else round(measured_hz, 2)


def _ambiguous(streams: list[LslStream]) -> str:
    """Which streams match, and the option that tells them apart."""
    options = {"--name": "name", "--source-id": "source_id", "--type": "type"}
    told = [o for o, key in options.items() if len({getattr(s, key) for s in streams}) > 1]
    listed = "; ".join(str(stream) for stream in streams)
    how = f"choose with {told[0]}" if told else "give each sender a name or source id of its own"
    return f"{len(streams)} LSL streams match: {listed}; {how}"
