"""Looking for LSL streams and opening the one that is meant: all that may take a while."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.clock import Timeline
from monitor.config import LslConfig
from monitor.errors import InputError, MonitorError
from monitor.sources.lsl.library import absent, load_pylsl
from monitor.sources.lsl.metadata import TEXT, Layout, LslStream, ambiguous, layout_of, stream_of
from monitor.types import MIN_SFREQ_HZ

log = logging.getLogger(__name__)

BUFFER_S = 360
"""What liblsl keeps while nobody polls."""

SETTLE_S = 2.0
"""How long to look for further matches after the first one: two rounds of liblsl's queries."""

SILENCE_S = 5.0
"""Without samples for so long, the stream is searched for again."""

REOPEN_S = 30.0
"""Silent for so long, a stream that is there all the while is opened anew: a connection of which
only the sender knows that it is dead (the network was away, or this machine asleep) looks the same
as a headband that is off, and liblsl keeps it for ever."""

TEND_S = 2.0
"""How often the offset between the sender's clock and ours is asked for; and the pause before what
was not joined is opened again."""

CLOSE_S = 10.0
"""Twice what opening a stream that does not answer takes."""

UNREACHABLE_CLOCK_S = 5.0
"""Without a measured offset for so long, times go by arrival."""


def list_streams(wait_s: float) -> list[LslStream]:
    """All streams that answer within ``wait_s``, EEG first. Raises `InputError` without liblsl."""
    pylsl = load_pylsl()
    streams = []
    for info in pylsl.resolve_streams(wait_s):
        with suppress(*absent(pylsl)):
            info = pylsl.StreamInlet(info, recover=False).info(timeout=1.0)
        streams.append(stream_of(info))
    return sorted(streams, key=lambda stream: (not stream.is_eeg, stream.name, stream.source_id))


@dataclass(slots=True, eq=False)
class Joined:
    """A stream that is being received. ``correction_s`` takes its stamps to our LSL clock."""

    stream: LslStream
    uid: str
    inlet: Any
    layout: Layout
    chunk_size: int
    correction_s: float


class Finder:
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
        self.joined: Joined | None = None
        self.searching_since_s: float | None = self._now_s()
        self.trouble = ""
        self.error: MonitorError | None = None
        self._heard_s = -np.inf
        self._lost: Joined | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lsl-finder", daemon=True)
        self._thread.start()

    @property
    def wanted(self) -> str:
        given = self._config.model_dump(include={"name", "type", "source_id"}, exclude_none=True)
        told = [f"{key.replace('_', ' ')} {value!r}" for key, value in given.items()]
        return f"an LSL stream with {' and '.join(told)}" if told else "an LSL stream of type 'EEG'"

    def heard(self, joined: Joined) -> None:
        """Samples came; the last ones of a stream that is lost do not count."""
        if joined is self.joined and joined is not self._lost:
            self._heard_s = self._now_s()
            self.searching_since_s = None

    def lost(self, joined: Joined) -> None:
        """The stream is gone, and liblsl will not find it again."""
        if self._lost is not joined:
            self._lost = joined
            self._wake.set()

    def close(self) -> None:
        self._stop.set()
        self._wake.set()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.error("LSL does not let go of its stream; it ends with the program")
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
            before, joined = self.joined, self._open(self._choose(matches))
            if joined is None:
                self._stop.wait(TEND_S)
            elif self.searching_since_s is not None:
                self._heard_s, self.trouble = self._now_s(), ""
                self.joined = joined
                # The same one, opened anew, may be as silent as it was.
                if before is None or before is self._lost or joined.uid != before.uid:
                    self.searching_since_s = None

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
            and not (before and info.uid() == before.uid and self._may_speak(before))
        ]
        # Some senders give all streams of a headband one name and source id.
        return [info for info in matches if info.type().casefold() == "eeg"] or matches

    def _may_speak(self, joined: Joined) -> bool:
        """Whether to wait for more from a stream as it was opened."""
        return joined is not self._lost and self._now_s() - self._heard_s < REOPEN_S

    def _choose(self, matches: list[Any]) -> Any:
        """The one stream that is meant: the newest of those that only a restart tells apart."""
        newest = {
            (info.name(), info.type(), info.source_id() or info.uid()): info
            for info in sorted(matches, key=lambda info: info.created_at())
        }
        infos = list(newest.values())
        if self.joined is None and len(infos) > 1:
            raise InputError(ambiguous([stream_of(info) for info in infos]))
        return infos[-1]

    def _open(self, info: Any) -> Joined | None:
        """Join a stream. None if it does not answer, or is not the one that was there before."""
        stream, before = stream_of(info), self.joined
        if info.channel_format() == TEXT or 0 < stream.sfreq_hz < MIN_SFREQ_HZ:
            what = f"{stream.sfreq_hz:g} Hz" if stream.sfreq_hz else "text"
            problem = f"{stream} is no EEG: it is {what}, not {MIN_SFREQ_HZ:.0f} Hz or more"
            self._refuse(problem, before)
            return None
        buffer = BUFFER_S if stream.sfreq_hz else 10 * BUFFER_S  # hundreds of samples if irregular
        inlet = self._pylsl.StreamInlet(info, max_buflen=buffer, recover=True)
        try:
            full = inlet.info(timeout=2.0)
            stream, layout = stream_of(full), layout_of(full.as_xml(), self._config.unit)
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
        except absent(self._pylsl):
            self.trouble = "found, but it does not answer"
            return None
        chunk_size = max(256, int(4 * stream.sfreq_hz))
        joined = Joined(stream, info.uid(), inlet, layout, chunk_size, 0.0)
        asked_s = self._now_s()
        while not self._measure_clock(joined) and not self._stop.is_set():
            if self._now_s() - asked_s > UNREACHABLE_CLOCK_S:
                log.warning("the clock of LSL stream %s cannot be asked for: it is trusted", stream)
                break
        return joined

    def _refuse(self, problem: str, before: Joined | None) -> None:
        """No waiting mends a wrong choice; but a night goes on, and waits for its stream."""
        if before is None:
            raise InputError(f"LSL stream {problem}")
        if self.trouble != problem:
            log.warning("LSL stream %s: %s", before.stream, problem)
        self.trouble = problem

    def _measure_clock(self, joined: Joined) -> bool:
        with suppress(*absent(self._pylsl)):
            joined.correction_s = joined.inlet.time_correction(timeout=0.5)
            return True
        return False
