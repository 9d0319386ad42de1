"""An EDF, EDF+ (continuous or not), BDF or BDF+ recording as a stream of EEG in microvolts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import mne
import numpy as np

from monitor.errors import InputError, MonitorError
from monitor.sources.derivation import Derivation
from monitor.sources.edf_header import EdfHeader, SignalHeader, read_header, spoken_duration
from monitor.sources.edf_records import EdfAnnotation, Segment, scan_records
from monitor.types import F64, EegChunk

_BLOCK_S = 60.0

_UV_PER_UNIT = {"uv": 1.0, "nv": 1e-3, "mv": 1e3, "v": 1e6}
# The micro sign in Latin-1, UTF-8 and Shift-JIS, each read as Latin-1, as headers hold them.
_MICRO_SIGNS = ("\xb5", "\xc2\xb5", "\xce\xbc", "\x83\xca")
# What mne multiplies a signal by, by the unit as the header spells it; all others by 1.
_MNE_FACTOR = {"uV": 1e-6, "\xb5V": 1e-6, "\x83\xcaV": 1e-6, "mV": 1e-3}


@dataclass(frozen=True, slots=True)
class EdfChannel:
    """A recorded channel. ``unit`` is the header's own word for it and may be empty."""

    name: str
    sfreq_hz: float
    unit: str
    n_samples: int


class EdfRecording:
    """A recording whose facts are known and whose samples are still in the file.

    - Every time is in seconds since ``start_utc``, the start that the header states; EDF names no
      time zone, so the recorder's clock is taken as UTC. ``start_known`` is False where the date
      is missing or anonymised.
    - ``first_sample_s`` is the time of the first sample (a fraction of a second in some EDF+
      files), ``duration_s`` the end of the last data record, gaps included.
    - ``fingerprint`` is the SHA-256 of the file's content: it depends on neither name nor date.
    - No file is held open: there is nothing to close.
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
        records = scan_records(header)
        self._segments = records.segments
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
        self.start_utc: datetime = header.start_utc
        self.start_known: bool = header.start_known
        self.first_sample_s: float = self._segments[0].start_s
        self.duration_s: float = self._end_s(self._segments[-1])
        self.fingerprint: str = records.fingerprint
        self.annotations: tuple[EdfAnnotation, ...] = records.annotations

    @classmethod
    def open(cls, path: Path | str) -> EdfRecording:
        """The recording in ``path``, read through once for its annotations and fingerprint.

        Raises InputError when it cannot be read, is no EDF or BDF file, is damaged or truncated,
        or holds no signals.
        """
        return cls(read_header(Path(path)))

    def notes(self, derivation: Derivation) -> list[str]:
        """What the user should be told before ``derivation`` of this recording is staged."""
        notes = list(self._header.notes)
        if len(self._segments) > 1:
            missing_s = sum(b.start_s - self._end_s(a) for a, b in pairwise(self._segments))
            notes.append(
                f"The recording is interrupted {len(self._segments) - 1} times, "
                f"for {spoken_duration(missing_s)} in all."
            )
        for name in derivation.recorded:
            unit = self._signals[name].unit
            if _uv_per_unit(unit) is None:
                said = f"has the unit '{unit}', which is not a voltage" if unit else "has no unit"
                notes.append(f"Channel {name} {said}: its values are taken as microvolts.")
        return notes

    def chunks(
        self, derivation: Derivation, chunk_s: float = 1.0, start_s: float = 0.0
    ) -> Iterator[EegChunk]:
        """The samples of ``derivation`` from ``start_s`` on, in pieces of ``chunk_s`` seconds.

        Each chunk is float32 (1, n) microvolts, one channel named after the derivation, and free
        of gaps: the last chunk before a gap is shorter. How the recording is cut changes neither
        samples nor times. Memory holds about one minute of the file at a time.

        Raises InputError for a channel that cannot be decoded, MonitorError when the file goes
        away while it is read.
        """
        if chunk_s <= 0:
            raise ValueError(f"chunk_s must be more than 0, got {chunk_s}")
        readers = [_ChannelReader(self._header, self._signals[n]) for n in derivation.recorded]
        return self._chunks(derivation, readers, chunk_s, start_s)

    def _chunks(
        self,
        derivation: Derivation,
        readers: list[_ChannelReader],
        chunk_s: float,
        start_s: float,
    ) -> Iterator[EegChunk]:
        per_record = readers[0].samples_per_record
        sfreq_hz = per_record / self._header.record_s
        chunk_n = max(1, round(chunk_s * sfreq_hz))
        # Long records are read whole: mne would read them again for every piece.
        block_n = chunk_n * math.ceil(max(_BLOCK_S * sfreq_hz, per_record) / chunk_n)
        for segment in self._segments:
            offset = segment.first_record * per_record
            n = segment.n_records * per_record
            skipped = max(0, math.ceil((start_s - segment.start_s) * sfreq_hz - 1e-6))
            for block in range(skipped, n, block_n):
                stop = min(block + block_n, n)
                uv = readers[0].read_uv(offset + block, offset + stop)
                for reference in readers[1:]:
                    uv = uv - reference.read_uv(offset + block, offset + stop)
                times_s = segment.start_s + np.arange(block, stop) / sfreq_hz
                for at in range(0, stop - block, chunk_n):
                    yield EegChunk(
                        data_uv=uv[np.newaxis, at : at + chunk_n].astype(np.float32),
                        times_s=times_s[at : at + chunk_n],
                        channels=(derivation.name,),
                        sfreq_hz=sfreq_hz,
                    )

    def _end_s(self, segment: Segment) -> float:
        return segment.start_s + segment.n_records * self._header.record_s


class _ChannelReader:
    """One channel through mne. Alone, because mne brings channels of one read to one rate."""

    def __init__(self, header: EdfHeader, signal: SignalHeader) -> None:
        if signal.physical_min == signal.physical_max or signal.digital_min == signal.digital_max:
            raise InputError(
                f"{header.path} does not say what the values of {signal.name} mean: its physical "
                "or digital minimum and maximum are the same. Choose another --channel"
            )
        self._header = header
        self.samples_per_record = signal.samples_per_record
        uv_per_unit = _uv_per_unit(signal.unit)
        self._uv_per_mne = (1.0 if uv_per_unit is None else uv_per_unit) / _MNE_FACTOR.get(
            signal.unit, 1.0
        )
        self._raw = _open_with_mne(header, signal.name)

    def read_uv(self, start: int, stop: int) -> F64:
        """Samples ``start`` to ``stop`` of the channel in microvolts, float64 (stop - start,)."""
        try:
            values: F64 = self._raw.get_data(start=start, stop=stop, verbose="ERROR")[0]
        except (OSError, ValueError, RuntimeError) as exc:
            raise MonitorError(
                f"{self._header.path} could not be read on: it was moved or changed meanwhile. "
                "Put it back and start again"
            ) from exc
        return values * self._uv_per_mne


def _open_with_mne(header: EdfHeader, name: str) -> Any:
    suffix, read = (
        (".bdf", mne.io.read_raw_bdf) if header.sample_bytes == 3 else (".edf", mne.io.read_raw_edf)
    )
    if header.path.suffix.lower() != suffix:
        raise InputError(
            f"{header.path} holds {suffix[1:].upper()} data under another name: "
            f"rename it to {header.path.with_suffix(suffix).name}"
        )
    # What mne warns of (sizes, dates, ranges, repeated names) the header has been checked for.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read(
                header.path,
                include=[name],
                exclude_after_unique=True,  # repeated labels are told apart by their numbers
                preload=False,
                encoding="latin1",  # any byte is valid; the annotations are read elsewhere
                verbose="ERROR",
            )
        except Exception as exc:  # mne asserts and raises bare Exception on odd headers
            raise InputError(
                f"{header.path} cannot be decoded ({exc or type(exc).__name__}): export it again"
            ) from exc


def _uv_per_unit(unit: str) -> float | None:
    for sign in _MICRO_SIGNS:
        unit = unit.replace(sign, "u")
    # 'MV' is left alone: nobody records megavolts, and it is not said that millivolts are meant.
    return None if unit == "MV" else _UV_PER_UNIT.get(unit.lower())
