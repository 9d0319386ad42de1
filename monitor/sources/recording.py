"""The contract of a recording: a file of samples that `sleep-monitor replay` can stage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from monitor.sources.derivation import RecordedChannel, RecordedDerivation
from monitor.types import EegChunk

LOST = "BAD_ACQ_SKIP"
"""Text of an annotation over samples that were not recorded, although the file has values for them.
MNE names it so; `sleep-monitor nights export` writes it, too."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A remark in a recording, such as a sleep stage or "Lights off".

    ``onset_s`` counts from the recording's ``start_utc``; ``duration_s`` is 0 if not stated.
    """

    onset_s: float
    duration_s: float
    text: str


class StartDate(StrEnum):
    """Knowledge of the date on which a file starts.

    - REAL: the file states a date.
    - DUMMY: the file states the date of anonymised files, 1 January 1985. Files that were
      anonymised together have clock times that compare.
    - UNKNOWN: the file states no date, or an impossible one; 1 January 1985 stands for it.
    """

    REAL = "real"
    DUMMY = "dummy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a file, and what is known of it.

    - ``utc`` is time 0 of the file, with time zone UTC.
    - ``date``: the day of ``utc`` means nothing unless this is REAL.
    - ``time_known`` is False if the file does not state the time of day to the second. ``utc`` then
      has the hour and minute if these are known, and zeros for the rest.
    """

    utc: datetime
    date: StartDate
    time_known: bool

    @property
    def known(self) -> bool:
        """True if ``utc`` is a real moment: its date and its time are stated."""
        return self.date is StartDate.REAL and self.time_known

    @property
    def has_time(self) -> bool:
        """True if the time of day is known. Anonymised files often have midnight instead."""
        return self.time_known and (self.date is StartDate.REAL or self.utc.time() != time())


class Recording(Protocol):
    """A recording whose properties are known and whose samples are still in the file.

    - All times are seconds since ``start_utc``.
    - The same file gives the same properties and samples in every run. A replay that was
      interrupted depends on this: it reads the recording again from the start.
    - The constructor or factory raises `InputError` for a file that nobody can stage. Later, the
      methods raise `MonitorError` if the file changes or disappears while it is read.

    A worked example of a new format is in ``ADDING.md``.
    """

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def channels(self) -> Sequence[RecordedChannel]:
        """All channels that may be staged, in the order of the file."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of the content (the readers here use SHA-256), without name or date of the file.

        The session's id depends on it: recordings that differ in one sample are different nights.
        """
        ...

    @property
    def start_utc(self) -> datetime:
        """The start of the recording, time 0, with time zone UTC."""
        ...

    @property
    def start(self) -> Start:
        """The start of the recording, as ``start_utc``, with what is known of it."""
        ...

    @property
    def first_sample_s(self) -> float:
        """The time of the first sample."""
        ...

    @property
    def duration_s(self) -> float:
        """The end of the last sample's period, gaps included."""
        ...

    @property
    def annotations(self) -> Sequence[Annotation]:
        """Remarks by onset. Sleep stages and lights marks are read from their texts; may be ()."""
        ...

    def notes(self, derivation: RecordedDerivation) -> list[str]:
        """Return what the user must know before ``derivation`` is staged, one sentence each."""
        ...

    def chunks(
        self, derivation: RecordedDerivation, chunk_s: float = 1.0, start_s: float = -math.inf
    ) -> Iterator[EegChunk]:
        """Yield the samples of ``derivation`` from ``start_s`` on, ``chunk_s`` seconds at a time.

        By default these are all samples; the first one may lie before time 0.
        Each chunk is float32 (1, n) in microvolts with float64 (n,) rising times, n at least 1. Its
        one channel has the name of the derivation. A chunk holds no gap: the last chunk before a
        gap is shorter. How the recording is cut changes neither samples nor times.

        Raises `InputError` at the call, before the first chunk, if the samples of ``derivation``
        cannot be decoded.
        """
        ...
