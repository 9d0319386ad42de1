"""An XDF file of LabRecorder as a `Recording`.

pyxdf decodes the samples and maps each stream's clock to the recorder's by the clock offsets. Its
removal of jitter is off: it draws one line through all stamps between breaks of a second, so that
samples after a shorter gap move. `even_times` does it, as for texts, and keeps the gaps.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from monitor.errors import InputError
from monitor.sources.derivation import NamedChannel, RecordedDerivation
from monitor.sources.durations import spoken_duration
from monitor.sources.even_chunks import even_chunks
from monitor.sources.extras import load_extra
from monitor.sources.recording import Annotation, Start, StartDate
from monitor.sources.texts.even_times import EvenTimes, even_times, mended, recorded_rate_hz
from monitor.sources.xdf.chunks import BOUNDARY_CHUNK, MAGIC, Chunks, scan
from monitor.sources.xdf.streams import (
    XdfStream,
    eeg_streams,
    labels_of,
    none_is_eeg,
    stream_of,
)
from monitor.text import clean
from monitor.types import F32, F64, MAX_SFREQ_HZ, MIN_SFREQ_HZ, UNDATED, EegChunk

BLOCK = 2**18
"""Samples whose times are computed at once."""

MOST_MARKERS = 100_000

_FINITE_UV = float(np.finfo(np.float32).max) / 2.0
_LATEST_S = 1e11
"""Stamps beyond this are no times."""


@dataclass(frozen=True, slots=True, eq=False)
class _Samples:
    """The samples of a stream: microvolts (n, n_channels) of its channels ``names``.

    ``times`` count from ``begin_s`` on the recorder's clock; ``n_set``: how often that was set.
    """

    names: tuple[str, ...]
    uv: F32
    times: EvenTimes
    begin_s: float
    sfreq_hz: float
    n_set: int
    notes: tuple[str, ...]

    @property
    def end_s(self) -> float:
        return self.begin_s + float(self.times.at(self.times.n - 1, self.times.n)[0])


class XdfRecording:
    """The EEG streams of an XDF file as a `Recording`.

    - Time 0 is the first sample of EEG. ``start`` is the moment that LabRecorder wrote when it
      began to record.
    - Of several EEG streams, the name of each channel begins with its stream's name: no two devices
      make a derivation.
    - Samples stay in memory, as float32, and only those of EEG.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with _opened(path) as file:
                chunks = scan(file)
            with path.open("rb") as whole:
                self.fingerprint: str = hashlib.file_digest(whole, "sha256").hexdigest()
        except (OSError, EOFError, ValueError) as exc:  # a damaged .xdfz
            reason = clean(getattr(exc, "strerror", None) or str(exc))
            raise InputError(f"{path} cannot be read: {reason}") from exc
        found = [stream_of(number, xml) for number, xml in chunks.streams.items()]
        streams = {each.number: each for each in found if each is not None}
        eeg = eeg_streams(streams)
        if not eeg:
            damage = ", and it is damaged" if chunks.lost_bytes else ""
            raise InputError(f"{path} {none_is_eeg(streams)}{damage}: give a recording of EEG")
        markers = [each.number for each in streams.values() if each.is_marker]
        loaded = _load(path, chunks, [*(each.number for each in eeg), *markers])
        self._notes = [*_damage_notes(chunks)]
        self._streams: list[_Samples] = []
        for stream, label in zip(eeg, labels_of(eeg), strict=True):
            samples = loaded.pop(stream.number, None)
            if samples is None or len(samples["time_stamps"]) == 0:
                self._notes.append(f"The EEG stream {stream} holds no samples.")
            else:
                self._streams.append(_samples(path, stream, label, samples))
        if not self._streams:
            raise InputError(f"{path} holds no samples of EEG: the device sent nothing")
        if len(self._streams) > 1:
            listed = " and ".join(str(each) for each in eeg)
            self._notes.append(
                f"The file holds several EEG streams, {listed}: --channel chooses, by a stream's "
                f"name and a channel's, as in --channel '{self._streams[-1].names[0]}'."
            )
        self._places = {
            name: (samples, column)
            for samples in self._streams
            for column, name in enumerate(samples.names)
        }
        self.channels: Sequence[NamedChannel] = [
            NamedChannel(name, samples.sfreq_hz) for name, (samples, _) in self._places.items()
        ]
        self._origin_s = min(samples.begin_s for samples in self._streams)
        self.first_sample_s = 0.0
        self.duration_s: float = (
            max(each.end_s + each.times.period_s for each in self._streams) - self._origin_s
        )
        self.start, zone_note = _start(chunks.header)
        self.start_utc: datetime = self.start.utc
        self._notes += zone_note
        marks = (mark for number in markers if number in loaded for mark in _marks(loaded[number]))
        self.annotations: Sequence[Annotation] = tuple(
            sorted(
                (Annotation(a.onset_s - self._origin_s, 0.0, a.text) for a in marks),
                key=lambda each: each.onset_s,
            )
        )

    def notes(self, derivation: RecordedDerivation) -> list[str]:
        """Return what the user must know before ``derivation`` is staged, one sentence each."""
        samples, _ = self._found(derivation)
        notes = [*self._notes, *samples.notes]
        if samples.n_set:
            times = "once" if samples.n_set == 1 else f"{samples.n_set} times"
            notes.append(f"The clock of the stream was set {times}: no gap is counted there.")
        gaps_s = samples.times.gaps_s
        if gaps_s.size:
            times = "once" if gaps_s.size == 1 else f"{gaps_s.size} times"
            notes.append(
                f"The recording is interrupted {times}, for {spoken_duration(gaps_s.sum())} in all."
            )
        return notes

    def chunks(
        self, derivation: RecordedDerivation, chunk_s: float = 1.0, start_s: float = -math.inf
    ) -> Iterator[EegChunk]:
        """Yield the samples of ``derivation`` from ``start_s`` on, ``chunk_s`` seconds at a time.

        See `Recording.chunks`. A sample without a value is a gap. Raises `InputError` for a
        derivation of two devices.
        """
        if chunk_s <= 0:
            raise ValueError(f"chunk_s must be more than 0, got {chunk_s}")
        samples, columns = self._found(derivation)
        blocks = self._blocks(samples, columns)
        return even_chunks(blocks, derivation, samples.times.period_s, chunk_s, start_s)

    def _found(self, derivation: RecordedDerivation) -> tuple[_Samples, list[int]]:
        places = [self._places[name] for name in derivation.recorded]
        if any(samples is not places[0][0] for samples, _ in places):
            raise InputError(
                f"{self.path}: {derivation.name} takes its channels from two devices, whose "
                "samples do not match. Choose another --channel"
            )
        return places[0][0], [column for _, column in places]

    def _blocks(self, samples: _Samples, columns: list[int]) -> Iterator[tuple[F64, F64]]:
        after_s = samples.begin_s - self._origin_s
        for start in range(0, samples.times.n, BLOCK):
            stop = min(start + BLOCK, samples.times.n)
            uv = samples.uv[start:stop, columns].astype(np.float64)
            derived = uv[:, 0] - uv[:, 1] if len(columns) == 2 else uv[:, 0]
            yield derived, after_s + samples.times.at(start, stop)


def is_xdf(head: bytes) -> bool:
    """Return True if a file that begins with ``head`` is an XDF file."""
    return head.startswith(MAGIC)


def open_xdf(path: Path) -> XdfRecording:
    """Open the XDF file at ``path``, or a compressed one (.xdfz).

    Raises `InputError` if it cannot be read, holds no EEG, or the extra `formats` is missing.
    """
    return XdfRecording(path)


def _opened(path: Path) -> BinaryIO:
    packed = path.name.lower().endswith((".xdfz", ".xdf.gz"))
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def _load(path: Path, chunks: Chunks, numbers: list[int]) -> dict[int, dict[str, Any]]:
    """Return pyxdf's streams ``numbers``, their stamps on the recorder's clock."""
    pyxdf = load_extra("pyxdf", path, "an XDF file")
    # pyxdf logs each damaged chunk.
    logging.getLogger("pyxdf").setLevel(logging.CRITICAL + 1)
    try:
        with np.errstate(all="ignore"), _opened(path) as file:
            source: Any = file
            if chunks.lost_bytes:  # pyxdf would take what is left of a chunk for samples
                # After damage inside a chunk, it goes on at the next boundary.
                whole = BOUNDARY_CHUNK.join(_stretches(file, chunks))
                source = io.BytesIO(MAGIC + whole)
            streams, _ = pyxdf.load_xdf(source, numbers, dejitter_timestamps=False)
    except Exception as exc:  # damaged bytes raise whatever they lead to
        raise InputError(
            f"{path} is damaged ({clean(f'{type(exc).__name__}: {exc}')}): copy it again"
        ) from exc
    return {each["info"]["stream_id"]: each for each in streams}


def _stretches(file: BinaryIO, chunks: Chunks) -> Iterator[bytes]:
    for begin, end in chunks.whole:
        file.seek(begin)
        yield file.read(end - begin)


def _samples(path: Path, stream: XdfStream, label: str, loaded: dict[str, Any]) -> _Samples:
    """Place the samples of a stream in time. Raises `InputError` if their stamps show no rate."""
    layout = stream.layout
    assert layout is not None
    with np.errstate(all="ignore"):
        # A night's samples are large: of the other channels nothing is kept.
        uv = np.asarray(loaded.pop("time_series")[:, layout.columns], np.float32)
        uv *= layout.scale
        uv[~(np.abs(uv) <= _FINITE_UV)] = np.nan
    stamps_s = np.asarray(loaded.pop("time_stamps"), np.float64)
    stamps_s = np.where(np.abs(stamps_s) < _LATEST_S, stamps_s, np.nan)
    if not np.isfinite(stamps_s).any():
        raise InputError(f"{path} is damaged: its EEG stream {stream} has no time stamps")
    stamps_s, n_set = mended(stamps_s, 1.0 / (stream.sfreq_hz or 256.0))
    sfreq_hz = recorded_rate_hz(stamps_s, stream.sfreq_hz)
    if sfreq_hz is None:
        raise InputError(
            f"{path} is too short, or its time stamps stand still: they do not show the sampling "
            f"rate of the {stamps_s.size} samples of its EEG stream {stream}"
        )
    if not MIN_SFREQ_HZ <= sfreq_hz <= MAX_SFREQ_HZ:
        raise InputError(
            f"{path} holds {sfreq_hz:.4g} samples a second in its EEG stream {stream}, and staging "
            f"needs {MIN_SFREQ_HZ:g} or more"
        )
    notes = [*layout.notes]
    if stream.sfreq_hz and sfreq_hz != stream.sfreq_hz:
        notes.append(
            f"The stream {stream.name!r} states {stream.sfreq_hz:g} Hz but its samples come at "
            f"{sfreq_hz:g} Hz: {sfreq_hz:g} Hz is used."
        )
    times = even_times(stamps_s, sfreq_hz)
    names = tuple(f"{label} {name}" if label else name for name in layout.names)
    begin_s = float(stamps_s[0]) + times.begin_s
    return _Samples(names, uv, times, begin_s, sfreq_hz, n_set, tuple(notes))


def _marks(loaded: dict[str, Any]) -> Iterator[Annotation]:
    """Yield the markers of a stream, by the recorder's clock."""
    stamps_s = np.asarray(loaded["time_stamps"], np.float64).tolist()[:MOST_MARKERS]
    for stamp_s, values in zip(stamps_s, loaded["time_series"], strict=False):
        first = values[0] if len(values) else ""
        text = clean(first if isinstance(first, str) else f"{first:g}")
        if text and abs(stamp_s) < _LATEST_S:  # NaN, too
            yield Annotation(stamp_s, 0.0, text)


def _start(header: str) -> tuple[Start, list[str]]:
    """Return the start that LabRecorder wrote, and what the user must know of it."""
    found = re.search(r"<datetime>\s*([^<]{10,40}?)\s*</datetime>", header)
    try:
        stated = datetime.fromisoformat(found[1]) if found else None
        utc = None if stated is None else stated.replace(tzinfo=stated.tzinfo or UTC)
        utc = None if utc is None else utc.astimezone(UTC)
    except (ValueError, OverflowError):
        stated = utc = None
    if stated is None or utc is None or utc.date() <= UNDATED:
        midnight = datetime.combine(UNDATED, datetime.min.time(), UTC)
        note = f"its clock times count from {midnight:%d %B %Y, %H:%M}."
        return Start(midnight, StartDate.UNKNOWN, time_known=False), [
            f"The recording carries no start date: {note}"
        ]
    notes = [] if stated.tzinfo else ["The start names no time zone: its clock counts as UTC."]
    return Start(utc, StartDate.REAL, time_known=True), notes


def _damage_notes(chunks: Chunks) -> list[str]:
    if not chunks.lost_bytes:
        return []
    if chunks.ends_early and len(chunks.whole) <= 1:
        return ["The file ends within a chunk: it is read as far as it goes."]
    return [f"{chunks.lost_bytes:,} bytes of the file are damaged: they count as a gap."]
