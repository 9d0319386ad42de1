"""Read an EDF, EDF+ (continuous or not), BDF or BDF+ recording as a stream of microvolts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from monitor.errors import InputError
from monitor.sources.derivation import RecordedDerivation
from monitor.sources.durations import spoken_duration
from monitor.sources.edf_header import EdfHeader, read_header
from monitor.sources.edf_records import scan_records
from monitor.sources.edf_samples import ChannelReader, scale_notes
from monitor.sources.edf_segments import Segment
from monitor.sources.lost import kept_runs, lost_stretches
from monitor.sources.recording import Annotation, Start
from monitor.types import EegChunk


@dataclass(frozen=True, slots=True)
class EdfChannel:
    """A recorded channel. ``unit`` is the text in the header and may be empty."""

    name: str
    sfreq_hz: float
    unit: str
    n_samples: int


class EdfRecording:
    """An EDF or BDF file as a `Recording`.

    - Every time is in seconds since ``start_utc``, the start that the header states. EDF names no
      time zone: the recorder's clock counts as UTC. ``start_known`` is False if the date is missing
      or anonymised, or the time of day cannot be read; ``start`` says what is known.
    - ``first_sample_s`` is the time of the first sample (a fraction of a second in some EDF+
      files), ``duration_s`` the end of the last data record, gaps included.
    - ``fingerprint`` is the SHA-256 of the file's content; it does not depend on name or date.
    - No file stays open: there is nothing to close.
    """

    def __init__(self, header: EdfHeader) -> None:
        self._header = header
        self._signals = {
            s.name: s for s in header.signals if not s.is_annotation and not s.is_trigger
        }
        if not self._signals:
            raise InputError(
                f"{header.path} holds annotations and no signals: give the recording itself, "
                "and this file with --hypnogram if it holds the sleep stages"
            )
        if not any(s.samples_per_record for s in self._signals.values()):
            raise InputError(
                f"{header.path} is damaged: its header gives the samples per record of "
                f"{next(iter(self._signals))} as 0. Copy or export it again"
            )
        records = scan_records(header)
        self._segments, self._record_notes = records.segments, records.notes
        self.path = header.path
        self.channels = tuple(
            EdfChannel(
                name=s.name,
                sfreq_hz=s.samples_per_record / header.record_s,
                unit=s.unit,
                n_samples=s.samples_per_record * header.n_records,
            )
            for s in self._signals.values()
        )
        self.start: Start = header.start
        self.start_utc: datetime = header.start_utc
        self.start_known: bool = header.start_known
        self.first_sample_s: float = self._segments[0].start_s
        self.duration_s: float = self._end_s(self._segments[-1])
        self.fingerprint: str = records.fingerprint
        self.annotations: tuple[Annotation, ...] = records.annotations

    @classmethod
    def open(cls, path: Path | str) -> EdfRecording:
        """Open the recording in ``path``; read it once for its annotations and fingerprint.

        Raises `InputError` if it cannot be read, is not EDF or BDF, is damaged, or holds no
        signals.
        """
        try:
            return cls(read_header(Path(path)))
        except OSError as exc:  # the disk failed after the header was read
            raise InputError(f"{path} cannot be read: {exc.strerror}") from exc

    def notes(self, derivation: RecordedDerivation) -> list[str]:
        """Return what the user must know before ``derivation`` is staged, one sentence each.

        Raises `InputError` for a channel without a usable scale, as `chunks` does.
        """
        notes = [*self._header.notes, *self._record_notes]
        gaps_s = [b.start_s - self._end_s(a) for a, b in pairwise(self._segments)]
        lost = lost_stretches(self.annotations, derivation.recorded)
        gaps_s += [end_s - start_s for start_s, end_s in lost]
        if gaps_s := [gap_s for gap_s in gaps_s if gap_s > 0]:
            times = "once" if len(gaps_s) == 1 else f"{len(gaps_s)} times"
            notes.append(
                f"The recording is interrupted {times}, for {spoken_duration(sum(gaps_s))} in all."
            )
        for name in derivation.recorded:
            notes += scale_notes(self._header, self._signals[name])
        return notes

    def chunks(
        self, derivation: RecordedDerivation, chunk_s: float = 1.0, start_s: float = -math.inf
    ) -> Iterator[EegChunk]:
        """Yield the samples of ``derivation`` from ``start_s`` on, ``chunk_s`` seconds at a time.

        Each chunk is float32 (1, n) microvolts, one channel with the name of the derivation, and
        free of gaps: the last chunk before a gap is shorter. Samples under an annotation `LOST` are
        a gap. How the recording is cut changes neither samples nor times. Memory holds 512 KiB of
        the file at a time.

        Raises `InputError` for a channel without a usable scale, `MonitorError` if the file changes
        while it is read.
        """
        if chunk_s <= 0:
            raise ValueError(f"chunk_s must be more than 0, got {chunk_s}")
        # Each reader decodes its first block here, so that errors come before the first chunk.
        readers = [ChannelReader(self._header, self._signals[n]) for n in derivation.recorded]
        return self._chunks(derivation, readers, chunk_s, start_s)

    def _chunks(
        self,
        derivation: RecordedDerivation,
        readers: list[ChannelReader],
        chunk_s: float,
        start_s: float,
    ) -> Iterator[EegChunk]:
        per_record = readers[0].samples_per_record
        sfreq_hz = per_record / self._header.record_s
        chunk_n = max(1, round(chunk_s * sfreq_hz))
        lost = lost_stretches(self.annotations, derivation.recorded)
        for segment in self._segments:
            offset = segment.first_record * per_record
            n = segment.n_records * per_record
            for first, last in kept_runs(segment.start_s, n, sfreq_hz, start_s, lost):
                for start in range(first, last, chunk_n):
                    stop = min(start + chunk_n, last)
                    uv = readers[0].read_uv(offset + start, offset + stop)
                    for reference in readers[1:]:
                        uv = uv - reference.read_uv(offset + start, offset + stop)
                    yield EegChunk(
                        data_uv=uv[np.newaxis].astype(np.float32),
                        times_s=segment.start_s + np.arange(start, stop) / sfreq_hz,
                        channels=(derivation.name,),
                        sfreq_hz=sfreq_hz,
                    )

    def _end_s(self, segment: Segment) -> float:
        return segment.start_s + segment.n_records * self._header.record_s
