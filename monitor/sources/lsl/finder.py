"""A thread that looks for an LSL stream and opens it, because both may take a while."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np

from monitor.clock import Timeline
from monitor.config import LslConfig
from monitor.errors import InputError, MonitorError
from monitor.lsl_library import absent
from monitor.sources.live import KnownDevice
from monitor.sources.lsl import matching
from monitor.sources.lsl.joining import JoinedStream, join
from monitor.sources.lsl.metadata import UnreadableStreamError, stream_of, unusable

_log = logging.getLogger(__name__)

SETTLE_S = 2.0
"""After the first match, wait this long for other matches: two rounds of liblsl's queries."""

SILENCE_S = 5.0
"""After this long without samples, search for the stream again."""

REOPEN_S = 30.0
"""After this long without samples, open the stream anew even if it is still in the network. The
sender may have given up the connection while the network was away or this machine asleep. This
looks the same as a headband that is off, and liblsl keeps such a connection for ever."""

TEND_S = 2.0
"""Pause between measurements of the sender's clock, and between attempts to open a stream."""

CLOSE_S = 10.0
"""The longest that `Finder.close` waits: twice as long as opening a stream that does not answer."""

REFUSED_MAX = 1000
"""Number of streams that are left out and remembered."""

UNREACHABLE_CLOCK_S = 5.0
"""After this long without an answer about the sender's clock, use its stamps as they are."""


class Finder:
    """The thread that searches, opens, and measures the sender's clock.

    `LslSource` reads these attributes at any moment, from another thread:

    - ``joined``: the stream to read; a new object each time one is opened.
    - ``searching_since_s``: monotonic time of the beginning of the search, None while samples come.
    - ``trouble``: the reason why a stream that was found is not joined, or "".
    - ``identity``: of the stream that is wanted; "" until one is joined in a new night.
    - ``error``: an error that no waiting can mend, or None. If it is set, the thread has ended.
    """

    def __init__(
        self, pylsl: Any, config: LslConfig, timeline: Timeline, known: KnownDevice | None
    ) -> None:
        self._pylsl = pylsl
        self._known = known
        self._config = config
        self._now_s = timeline.clock.monotonic_s
        self.identity = known.identity if known is not None and known.required else ""
        self.description = self.identity or matching.describe(config)
        self.joined: JoinedStream | None = None
        self.searching_since_s: float | None = self._now_s()
        self.trouble = ""
        self.error: MonitorError | None = None
        self._samples_s = -np.inf  # monotonic time of the newest samples
        self._refused: dict[str, str] = {}  # why a stream is not opened, by its uid
        self._lost: JoinedStream | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()
        # A daemon: it may wait in liblsl for longer than `close` does.
        self._thread = threading.Thread(target=self._run, name="lsl-finder", daemon=True)
        self._thread.start()

    def report_samples(self, joined: JoinedStream) -> None:
        """Note that ``joined`` has sent samples. The last ones of a lost stream do not count."""
        if joined is self.joined and joined is not self._lost:
            self._samples_s = self._now_s()
            self.searching_since_s = None

    def report_lost(self, joined: JoinedStream) -> None:
        """Note that ``joined`` is gone, and that liblsl will not find it again."""
        if self._lost is not joined:
            self._lost = joined
            self._wake.set()

    def close(self) -> None:
        """End the thread and release the stream."""
        self._stop.set()
        self._wake.set()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            _log.error("liblsl does not release its stream; it ends with the program")
        self.joined = None

    def _run(self) -> None:
        try:
            self._search()
            while not self._stop.is_set():
                self._wake.wait(TEND_S)
                self._wake.clear()
                joined = self.joined
                silent = self._now_s() - self._samples_s > SILENCE_S
                if joined is not None and (silent or joined is self._lost):
                    self.searching_since_s = self._now_s()
                    self._search()
                elif joined is not None:
                    joined.measure_clock(self._pylsl)
        except MonitorError as exc:
            self.error = exc
        except Exception as exc:
            _log.exception("The search for LSL streams failed")
            self.error = MonitorError(f"LSL failed: {exc}; start the monitor again")

    def _search(self) -> None:
        """Search until a stream is joined, or until the one before sends samples again."""
        resolver = self._pylsl.ContinuousResolver(forget_after=2.0)
        seen_s: float | None = None
        while not self._stop.wait(0.1) and self.searching_since_s is not None:
            matches = self._matches(resolver.results())
            if not matches:
                seen_s = None
                self._note_others(resolver)
                continue
            seen_s = self._now_s() if seen_s is None else seen_s
            if self._now_s() - seen_s < (SETTLE_S if self._may_change(matches) else 0.0):
                continue
            info = self._choose(matches)
            before, joined = self.joined, self._open(info)
            if joined is None:
                self._stop.wait(TEND_S)
            elif self.searching_since_s is not None:
                self._samples_s, self.trouble = self._now_s(), ""
                self.identity = matching.identity(info)
                self.joined = joined
                # The same stream, opened anew, may still be silent: the search goes on until it
                # sends samples.
                if before is None or before is self._lost or joined.uid != before.uid:
                    self.searching_since_s = None

    def _may_change(self, matches: list[Any]) -> bool:
        """Return True if it is better to wait for `SETTLE_S` before a stream is opened."""
        before = self.joined
        if before is None:
            # Other matches may be about to answer, unless the source id names just one.
            return not (self._config.source_id and matches[0].type().casefold() == "eeg")
        # liblsl itself finds a stream with a source id again, and loses fewer samples.
        return bool(before is not self._lost and before.stream.source_id)

    def _matches(self, infos: list[Any]) -> list[Any]:
        """Return the streams among ``infos`` that may be opened now."""
        before = self.joined
        found = matching.wanted(infos, self._config, self.identity)
        for info in [*found, *(info for info in infos if not info.uid())]:
            if problem := unusable(info):
                self._refuse(info, problem)
        return matching.eeg_or_all(
            [
                info
                for info in found
                if info.uid() not in self._refused
                and not (before and info.uid() == before.uid and self._may_send(before))
            ]
        )

    def _refuse(self, info: Any, problem: str) -> None:
        """Leave a stream out of the search, and name it once."""
        uid = info.uid()
        if uid in self._refused:
            return
        if len(self._refused) >= REFUSED_MAX:  # some program makes streams without end
            self._refused.clear()
        self._refused[uid] = problem
        self.trouble = f"LSL stream {stream_of(info)} is left out: {problem}"
        _log.warning("%s", self.trouble)

    def _may_send(self, joined: JoinedStream) -> bool:
        """Return True if a stream that is open may still send samples without being reopened."""
        return joined is not self._lost and self._now_s() - self._samples_s < REOPEN_S

    def _choose(self, matches: list[Any]) -> Any:
        """Return the stream to open. Raises `InputError` if several senders match at the start."""
        infos = matching.newest_of_each(matches)
        if self._known is not None and self.joined is None:
            same = [info for info in infos if matching.identity(info) == self._known.identity]
            infos = same or infos
        if self.joined is None and len(infos) > 1:
            raise InputError(matching.ambiguity([stream_of(info) for info in infos]))
        return infos[-1]

    def _note_others(self, resolver: Any) -> None:
        """Say which streams are there instead of the night's: the user may have changed it."""
        if not self.identity:
            return
        others = [
            info
            for info in matching.wanted(resolver.results(), self._config, "")
            if matching.identity(info) != self.identity and info.type().casefold() == "eeg"
        ]
        seen = ", ".join(sorted({matching.identity(info) for info in others})[:3])
        trouble = f"another stream is there, {seen}; --new-night begins a night with it"
        if seen and trouble != self.trouble:
            _log.warning("The night goes on with %s: %s", self.identity, trouble)
        self.trouble = trouble if seen else ""

    def _open(self, info: Any) -> JoinedStream | None:
        """Join a stream. Returns None if it does not answer, or does not fit the night so far."""
        before = self.joined
        try:
            joined = join(self._pylsl, info, self._config.unit, before)
        except UnreadableStreamError as exc:
            self._refuse(info, str(exc))
            return None
        except InputError as exc:
            # At the start, no waiting mends a wrong choice. A night that has begun waits for its
            # stream.
            if before is None:
                raise
            if self.trouble != str(exc):
                _log.warning("LSL stream %s: %s", before.stream, exc)
            self.trouble = str(exc)
            return None
        except absent(self._pylsl):
            self.trouble = "found, but it does not answer"
            return None
        began_s = self._now_s()
        while not joined.measure_clock(self._pylsl) and not self._stop.is_set():
            if self._now_s() - began_s > UNREACHABLE_CLOCK_S:
                _log.warning(
                    "The clock of LSL stream %s does not answer: its stamps are used as they are",
                    joined.stream,
                )
                break
        return joined
