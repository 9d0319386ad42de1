"""A table of text as a `Recording`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from monitor.errors import InputError, MonitorError
from monitor.sources.derivation import NamedChannel, RecordedDerivation
from monitor.sources.durations import spoken_duration
from monitor.sources.even_chunks import even_chunks
from monitor.sources.recording import Annotation, Start, StartDate
from monitor.sources.texts.even_times import I64, even_times, mended, recorded_rate_hz
from monitor.sources.texts.stamps import over_midnight, unix_milliseconds, unix_seconds
from monitor.sources.texts.table import Reading, Rows, Table, new_reading, read_rows
from monitor.text import clean
from monitor.types import F64, MIN_SFREQ_HZ, UNDATED, Bool, EegChunk

LARGEST_UV = float(np.finfo(np.float32).max) / 2.0
"""A larger value is damage: chunks are float32, and a derivation subtracts two channels."""

EARLIEST_UTC, LATEST_UTC = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2000, 2100))
"""Stamps outside these years count from the start of a computer or a device: they have no date."""

MOST_EVENTS = 10_000
"""Remarks that are kept of a file. A blink may be one."""


ReadTimes = Callable[[Rows, int], F64]
"""Returns the stamps (n,) in a column, in seconds; NaN for a cell that holds no time."""


@dataclass(frozen=True, slots=True)
class TextLayout:
    """The meaning of a table's columns.

    - ``names`` and ``columns``: the channels, in microvolts.
    - ``times``: reads ``time_column``, in seconds since 1970 if the stamps have a date.
    - ``nominal_hz``: 0 if neither the file nor the recorder states a rate.
    - ``local``: the stamps are local times, which step when summer time begins or ends.
    - ``dated``: False if the stamps are times of day without a date.
    - ``number_column``, ``wrap``: the device's sample number, which begins anew after ``wrap``
      numbers; None if the file has none of use.
    - ``event_column``: remarks, None if the file has none. A line that has no value in any channel
      is then no sample.
    - ``slow``: the advice if the rate is below 80 Hz.
    """

    recorder: str
    table: Table
    time_column: int
    names: tuple[str, ...]
    columns: tuple[int, ...]
    times: ReadTimes
    nominal_hz: float = 0.0
    local: bool = False
    dated: bool = True
    number_column: int | None = None
    event_column: int | None = None
    slow: str = "choose a higher rate in the recorder"
    notes: tuple[str, ...] = field(default=())
    identity: str = ""


class TextRecording:
    """A table of text as a `Recording`. Time 0 is the first sample.

    - Opening reads the stamps of the whole file: they show rate, gaps, length. Memory holds them
      until then, some 40 bytes a sample; nothing of them stays.
    - A line that holds no sample is left out, and counted in the notes.
    - No file stays open: there is nothing to close.
    """

    def __init__(self, layout: TextLayout) -> None:
        self._layout = layout
        self.path: Path = layout.table.path
        reading = new_reading()
        stamps, device_numbers, events, n = [], [], [], 0
        try:
            number_column = layout.number_column
            wanted = [] if number_column is None else [number_column]
            for block in _blocks(layout, wanted, reading):
                stamps.append(block.stamps_s)
                events += [(n + at, stamp_s, text) for at, stamp_s, text in block.events]
                n += block.stamps_s.size
                if number_column is not None:
                    device_numbers.append(block.rows.numbers(number_column))
        except OSError as exc:
            raise InputError(f"{self.path} cannot be read: {exc.strerror}") from exc
        stated_s = np.concatenate([*stamps, np.zeros(0)])
        stamps.clear()  # a night's stamps are large
        self._check(stated_s, reading)
        if not layout.dated:
            stated_s = over_midnight(stated_s)
        usual_s = 1.0 / (layout.nominal_hz or 256.0)
        stamps_s, self._n_set = mended(stated_s, usual_s, layout.local)
        sfreq_hz = self._rate_hz(stamps_s)
        lost = None
        if device_numbers:
            lost = lost_before(np.concatenate(device_numbers), stamps_s, sfreq_hz)
        self._times = even_times(stamps_s, sfreq_hz, lost)
        self._reading, self._sfreq_hz = reading, sfreq_hz
        self.channels: Sequence[NamedChannel] = [NamedChannel(n, sfreq_hz) for n in layout.names]
        self.start = _start(layout, float(stamps_s[0]) + self._times.begin_s)
        self.start_utc: datetime = self.start.utc
        self.first_sample_s = 0.0
        self.duration_s = float(self._times.at(n - 1, n)[0]) + self._times.period_s
        reading.digest.update(layout.identity.encode())
        self.fingerprint: str = reading.digest.hexdigest()
        self.annotations: Sequence[Annotation] = tuple(
            Annotation(self._event_s(at, stamp_s, stated_s), 0.0, text)
            for at, stamp_s, text in events[:MOST_EVENTS]
        )

    def _event_s(self, at: int, stamp_s: float, stated_s: F64) -> float:
        """Return the time of a remark with this stamp, between samples ``at - 1`` and ``at``."""
        before, after = max(at - 1, 0), min(at, stated_s.size - 1)
        begin_s, end_s = (float(self._times.at(each, each + 1)[0]) for each in (before, after))
        later_s = stamp_s - float(stated_s[before])
        return begin_s + (min(max(later_s, 0.0), end_s - begin_s) if later_s > 0 else 0.0)

    def notes(self, derivation: RecordedDerivation) -> list[str]:
        """Return what the user must know before ``derivation`` is staged, one sentence each."""
        notes = [*self._layout.notes]
        if not self.start.known:
            notes.append(_date_note(self.start))
        nominal_hz = self._layout.nominal_hz
        if nominal_hz and self._sfreq_hz != nominal_hz:
            notes.append(
                f"The time stamps show {self._sfreq_hz:g} Hz and not {nominal_hz:g} Hz: the stamps "
                "count."
            )
        if self._n_set:
            times = "once" if self._n_set == 1 else f"{self._n_set} times"
            notes.append(f"The clock of the recording was set {times}: no gap is counted there.")
        gaps_s = self._times.gaps_s
        if gaps_s.size:
            times = "once" if gaps_s.size == 1 else f"{gaps_s.size} times"
            notes.append(
                f"The recording is interrupted {times}, for {spoken_duration(gaps_s.sum())} in all."
            )
        if self._reading.skipped:
            lines = "line that holds" if self._reading.skipped == 1 else "lines that hold"
            notes.append(f"{self._reading.skipped} {lines} no sample are left out.")
        if self._reading.cut:
            notes.append("The file ends within a line, which is left out: it may have been cut.")
        return notes

    def chunks(
        self, derivation: RecordedDerivation, chunk_s: float = 1.0, start_s: float = -math.inf
    ) -> Iterator[EegChunk]:
        """Yield the samples of ``derivation`` from ``start_s`` on, ``chunk_s`` seconds at a time.

        See `Recording.chunks`. A sample that has no value in a channel of ``derivation`` is a gap.
        Memory holds 1 MiB of the file at a time. Raises `MonitorError` if the file changes.
        """
        if chunk_s <= 0:
            raise ValueError(f"chunk_s must be more than 0, got {chunk_s}")
        blocks = self._derived(derivation)
        return even_chunks(blocks, derivation, self._times.period_s, chunk_s, start_s)

    def _derived(self, derivation: RecordedDerivation) -> Iterator[tuple[F64, F64]]:
        """Yield microvolts (n,) and times (n,) as the blocks of the file hold them."""
        columns = [self._layout.columns[self._layout.names.index(n)] for n in derivation.recorded]
        reading, n = new_reading(), 0
        try:
            for block in _blocks(self._layout, columns, reading):
                uv = block.rows.numbers(columns[0])
                for reference in columns[1:]:
                    uv -= block.rows.numbers(reference)
                uv[np.abs(uv) > LARGEST_UV] = np.nan
                start, n = n, n + block.stamps_s.size
                if n > self._times.n:
                    break
                yield uv, self._times.at(start, n)
        except OSError as exc:
            raise MonitorError(f"{self.path} cannot be read: {exc.strerror}") from exc
        reading.digest.update(self._layout.identity.encode())
        if reading.digest.hexdigest() != self.fingerprint:
            raise MonitorError(f"{self.path} has changed while it was read: run it again")

    def _check(self, stamps_s: F64, reading: Reading) -> None:
        if not reading.lines:
            raise InputError(f"{self.path} is a {self._layout.recorder} file without samples")
        if stamps_s.size < reading.lines / 2 or not np.isfinite(stamps_s).any():
            raise InputError(
                f"{self.path} is damaged: {stamps_s.size} of its {reading.lines} lines hold a "
                f"sample of a {self._layout.recorder} file with its time. Copy or export it again"
            )

    def _rate_hz(self, stamps_s: F64) -> float:
        sfreq_hz = recorded_rate_hz(stamps_s, self._layout.nominal_hz)
        if sfreq_hz is None:
            raise InputError(
                f"{self.path} is too short, or its time stamps stand still: they do not show the "
                f"sampling rate of its {stamps_s.size} samples"
            )
        if sfreq_hz < MIN_SFREQ_HZ:
            raise InputError(
                f"{self.path} holds {sfreq_hz:g} samples a second, and staging needs "
                f"{MIN_SFREQ_HZ:g}: {self._layout.slow}"
            )
        return sfreq_hz


def lost_before(device_numbers: F64, stamps_s: F64, sfreq_hz: float) -> I64 | None:
    """Return how many samples were lost before each one (n,), by the device's numbers (n,).

    The numbers rise by one and wrap after the largest, or the numbers are of no use: None. They do
    not show a loss that is longer than their cycle: the stamps do.
    """
    if device_numbers.size < 2 or not (np.abs(device_numbers) < 2**16).all():  # NaN, too
        return None
    counted = device_numbers.astype(np.int64)
    rises = np.diff(counted)
    cycle = 256 if counted.max() < 256 else 65536
    if counted.min() < 0 or counted.max() >= cycle or np.mean(rises % cycle == 1) < 0.8:
        return None
    lost = (rises - 1) % cycle
    passed = np.diff(stamps_s) * sfreq_hz - 1.0
    # A counter that began anew claims more than fits into the time that passed.
    lost[(lost > passed + 0.5 * sfreq_hz) | (passed >= cycle - 1)] = 0
    return np.concatenate([[0], lost])


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Samples of a block of the file: n rows and their stamps (n,).

    ``events``: remarks, each with the number of samples in this block before it and its stamp.
    """

    rows: Rows
    stamps_s: F64
    events: list[tuple[int, float, str]]


def _blocks(layout: TextLayout, columns: Sequence[int], reading: Reading) -> Iterator[_Block]:
    """Read the file block by block, and tell samples from other lines. Raises OSError.

    ``columns`` are those of which numbers are wanted, besides that of the time.
    """
    if layout.times in (unix_seconds, unix_milliseconds):
        columns = [*columns, layout.time_column]
    for rows in read_rows(layout.table, columns, reading):
        stamps_s = layout.times(rows, layout.time_column)
        timed = np.isfinite(stamps_s)
        if not timed.all():
            timed |= rows.cells(layout.time_column) == b""
            reading.skipped += int(np.count_nonzero(~timed))
            rows, stamps_s = rows.only(timed), stamps_s[timed]
        is_sample, texts = _remarks(layout, rows)
        so_far = np.cumsum(is_sample)
        events = [(int(so_far[at] - is_sample[at]), float(stamps_s[at]), t) for at, t in texts]
        yield _Block(rows.only(is_sample), stamps_s[is_sample], events)


def _remarks(layout: TextLayout, rows: Rows) -> tuple[Bool, list[tuple[int, str]]]:
    """Return True for each row (n,) that is a sample, and the remarks with their rows.

    In a file with remarks, a row that has no value in any channel is no sample.
    """
    is_sample = np.ones(len(rows.lines), dtype=np.bool_)
    texts: list[tuple[int, str]] = []
    if layout.event_column is None:
        return is_sample, texts
    delimiter = layout.table.delimiter
    # Only these rows can be of interest: to split each one takes long.
    empty = delimiter * len(layout.columns)
    remark_last = layout.event_column == layout.table.n_cells - 1
    for at, line in enumerate(rows.lines):
        if remark_last and line.endswith(delimiter) and empty not in line:
            continue
        cells = line.split(delimiter)
        if text := cells[layout.event_column].strip():
            texts.append((at, clean(text.decode("utf-8", "replace"))))
        is_sample[at] = any(cells[column] for column in layout.columns)
    return is_sample, texts


def _start(layout: TextLayout, stamp_s: float) -> Start:
    midnight = datetime.combine(UNDATED, datetime.min.time(), UTC)
    if not layout.dated:
        utc = midnight + timedelta(seconds=stamp_s % 86400.0)
        return Start(utc, StartDate.UNKNOWN, time_known=True)
    if EARLIEST_UTC <= stamp_s <= LATEST_UTC:
        utc = datetime.fromtimestamp(stamp_s, UTC)
        return Start(utc, StartDate.REAL, time_known=True)
    return Start(midnight, StartDate.UNKNOWN, time_known=False)


def _date_note(start: Start) -> str:
    lacks = "date" if start.time_known else "date and no time of day"
    return (
        f"The recording carries no {lacks}: its clock times count from {start.utc:%d %B %Y, %H:%M}."
    )
