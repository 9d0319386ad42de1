"""A file that MNE-Python reads as a `Recording`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from monitor.errors import InputError, MonitorError
from monitor.sources.derivation import NamedChannel, RecordedDerivation
from monitor.sources.durations import spoken_duration
from monitor.sources.lost import kept_runs, lost_stretches
from monitor.sources.mne_files.kinds import BRAINVISION, EEGLAB, MneKind, main_file
from monitor.sources.mne_files.opening import open_raw, quiet
from monitor.sources.mne_files.pieces import (
    Pause,
    brainvision_file,
    brainvision_pauses,
    pieces_of,
    placed_s,
)
from monitor.sources.recording import Annotation, Start, StartDate
from monitor.text import clean
from monitor.types import F32, F64, MAX_SFREQ_HZ, UNDATED, EegChunk

UV_PER_V = 1e6

BLOCK_BYTES = 16 * 2**20
"""Bytes that are read at once, in float64 and with all channels: most formats hold them mixed."""

MOST_REMARKS = 100_000
"""Annotations that are kept: a stimulus program may write millions."""

ANONYMOUS = datetime(2000, 1, 1, tzinfo=UTC)
"""The date that MNE's own ``anonymize`` writes. It takes the time of day away, too."""

IMPLAUSIBLE_UV, LOOK_S = 1e5, 10.0
"""Samples that differ by more from their median, over `LOOK_S`, are no volts."""

_FINITE_UV = float(np.finfo(np.float32).max) / 2.0
_COMMENT = "Comment/"  # BrainVision's type of a marker, which MNE puts before its text


class MneRecording:
    """A file that MNE reads, as a `Recording`. Its samples stay in the file where MNE can.

    - Time 0 is the first sample. Pauses and samples that were cut out are gaps (`pieces`), as are
      samples under annotations `LOST` and samples without a value.
    - ``channels`` are those in volts; MNE gives them one rate. Their kind, EEG or EOG, is chosen by
      their names.
    - ``fingerprint``: SHA-256 of the file, or of the hashes of all files of the recording.
    """

    def __init__(self, path: Path, kind: MneKind) -> None:
        self.path, self._kind = path, kind
        main = main_file(path, kind)
        raw = self._raw = open_raw(path, main, kind)
        self._sfreq_hz = float(raw.info["sfreq"])
        if not (raw.n_times >= 1 and 0.0 < self._sfreq_hz <= MAX_SFREQ_HZ):
            raise InputError(
                f"{path} is damaged: it claims {raw.n_times} samples at {self._sfreq_hz:g} Hz. "
                "Copy or export it again"
            )
        self._places = self._voltages()
        self.channels = tuple(NamedChannel(name, self._sfreq_hz) for name in self._places)
        self._pieces, self._notes = pieces_of(self._pauses(main), raw.n_times, self._sfreq_hz)
        self.start = _start(raw)
        self.start_utc: datetime = self.start.utc
        if not self.start.known:
            self._notes.append(
                "The recording carries no start date: its clock times count from "
                f"{self.start_utc:%d %B %Y, %H:%M}."
            )
        self.first_sample_s = 0.0
        self.duration_s: float = placed_s(self._pieces, raw.n_times, self._sfreq_hz)
        self.annotations = self._annotations()
        self.fingerprint = _fingerprint(path, main, self._files(main))

    def _voltages(self) -> dict[str, int]:
        """Return the place of each channel in volts by its clean, distinct name."""
        # FIFF's codes, which MNE keeps for every format: the volt, and a channel of triggers.
        volt, stim = 107, 3
        found: dict[str, int] = {}
        for place, channel in enumerate(self._raw.info["chs"]):
            if int(channel["unit"]) == volt and int(channel["kind"]) != stim:
                name = clean(channel["ch_name"]) or str(place + 1)
                while name in found:
                    name += "'"
                found[name] = place
        if not found:
            names = clean(", ".join(self._raw.ch_names))
            raise InputError(
                f"{self.path} has no channel in volts, only {names}: give a recording of EEG"
            )
        return found

    def _pauses(self, main: Path) -> list[Pause]:
        if self._kind.name == BRAINVISION.name:
            return brainvision_pauses(main)
        if self._kind is not EEGLAB:
            return []
        noted = self._raw.annotations
        return [
            # 'boundary' lies between two samples, and lasts as long as what was cut out. Without
            # such a length it has none, or that of one sample.
            Pause(
                math.ceil(onset_s * self._sfreq_hz - 1e-3),
                lasts_s=float(cut_s) if cut_s * self._sfreq_hz > 1.5 else None,
            )
            for onset_s, cut_s, text in zip(
                noted.onset, noted.duration, noted.description, strict=True
            )
            if str(text).casefold() == "boundary" and math.isfinite(onset_s)
        ]

    def _annotations(self) -> tuple[Annotation, ...]:
        noted, first_s = self._raw.annotations, float(self._raw.first_time)
        found: list[Annotation] = []
        for place in range(min(len(noted), MOST_REMARKS)):
            onset_s, duration_s = float(noted.onset[place]) - first_s, float(noted.duration[place])
            if not (math.isfinite(onset_s) and abs(onset_s) < 1e9):
                continue
            text = clean(str(noted.description[place]).removeprefix(_COMMENT))
            # '@@' and the channel, as in EDF+: lost samples of one channel are no gap of others.
            names = [f"{text}@@{clean(name)}" for name in noted.ch_names[place]] or [text]
            at_s = placed_s(self._pieces, onset_s * self._sfreq_hz, self._sfreq_hz)
            lasts_s = duration_s if 0.0 < duration_s < 1e9 and text != "boundary" else 0.0
            found += [Annotation(at_s, lasts_s, each) for each in names]
        return tuple(sorted(found, key=lambda each: each.onset_s))

    def _files(self, main: Path) -> set[Path]:
        """Return the files of the recording besides ``main``."""
        found = {Path(each) for each in self._raw.filenames if each is not None}
        if self._kind.name == BRAINVISION.name:
            named = (brainvision_file(main, key) for key in (b"MarkerFile", b"DataFile"))
            found |= {each for each in named if each is not None}
        if main.is_dir():
            found |= {each for each in main.rglob("*") if not each.name.startswith(".")}
        return {each for each in found if each.is_file()} - {main}

    def notes(self, derivation: RecordedDerivation) -> list[str]:
        """Return what the user must know before ``derivation`` is staged, one sentence each."""
        notes = [*self._notes]
        if gaps_s := [b - a for a, b in lost_stretches(self.annotations, derivation.recorded)]:
            times = "once" if len(gaps_s) == 1 else f"{len(gaps_s)} times"
            notes.append(
                f"The recording is interrupted {times}, for {spoken_duration(sum(gaps_s))} in all."
            )
        bads = {clean(name) for name in self._raw.info["bads"]}
        notes += [f"The file marks {n} as bad." for n in derivation.recorded if n in bads]
        look = self._read(derivation, 0, min(self._raw.n_times, round(LOOK_S * self._sfreq_hz)))
        if np.isfinite(look).any():
            typical_uv = np.nanmedian(np.abs(look - np.nanmedian(look)))
            if typical_uv > IMPLAUSIBLE_UV:
                notes.append(
                    f"{derivation.name} swings by {typical_uv / UV_PER_V:.3g} V, which no EEG does:"
                    " the file was probably saved with microvolts where MNE expects volts."
                )
        return notes

    def chunks(
        self, derivation: RecordedDerivation, chunk_s: float = 1.0, start_s: float = -math.inf
    ) -> Iterator[EegChunk]:
        """Yield the samples of ``derivation`` from ``start_s`` on, ``chunk_s`` seconds at a time.

        See `Recording.chunks`. Memory holds 16 MiB of the file at a time, in float64, unless MNE
        keeps the whole in memory (.fif.gz, a .set without .fdt). Raises `MonitorError` if the file
        changes while it is read.
        """
        if chunk_s <= 0:
            raise ValueError(f"chunk_s must be more than 0, got {chunk_s}")
        try:
            self._read(derivation, 0, 1)
        except MonitorError as exc:
            raise InputError(str(exc)) from exc
        return self._chunks(derivation, max(1, round(min(chunk_s, 1e6) * self._sfreq_hz)), start_s)

    def _chunks(
        self, derivation: RecordedDerivation, chunk_n: int, start_s: float
    ) -> Iterator[EegChunk]:
        sfreq_hz = self._sfreq_hz
        lost = lost_stretches(self.annotations, derivation.recorded)
        whole = max(1, BLOCK_BYTES // (8 * len(self._raw.ch_names) * chunk_n))
        block_n = min(whole * chunk_n, self._raw.n_times)
        for piece in self._pieces:
            for begin, end in kept_runs(piece.start_s, piece.n, sfreq_hz, start_s, lost):
                for at in range(begin, end, block_n):
                    stop = min(at + block_n, end)
                    uv = self._read(derivation, piece.first + at, piece.first + stop)
                    for start in range(0, uv.size, chunk_n):
                        part = uv[start : start + chunk_n]
                        numbers = at + start + np.arange(part.size)
                        times_s = piece.start_s + numbers / sfreq_hz
                        yield from self._valued(derivation.name, part, times_s)

    def _valued(self, name: str, uv: F32, times_s: F64) -> Iterator[EegChunk]:
        """Yield the samples that have a value, without a gap in a chunk."""
        edges = np.diff(np.isfinite(uv).astype(np.int8), prepend=0, append=0)
        runs = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
        for a, b in runs:
            yield EegChunk(uv[np.newaxis, a:b], times_s[a:b], (name,), self._sfreq_hz)

    def _read(self, derivation: RecordedDerivation, first: int, stop: int) -> F32:
        """Return the microvolts (n,) of the derivation; NaN where there is no value."""
        places = [self._places[name] for name in derivation.recorded]
        try:
            with quiet():
                rows = np.stack([self._raw[place, first:stop][0][0] for place in places])
        except Exception as exc:
            raise MonitorError(
                f"{self.path} cannot be read at {first / self._sfreq_hz:.0f} s "
                f"({clean(f'{type(exc).__name__}: {exc}')}): copy or export it again"
            ) from exc
        uv = (rows[0] - rows[1] if len(places) == 2 else rows[0]) * UV_PER_V
        uv[~(np.abs(uv) <= _FINITE_UV)] = np.nan
        return np.asarray(uv, np.float32)


def _start(raw: Any) -> Start:
    """Return the start of the first sample. MNE takes a clock without a time zone as UTC."""
    stated = raw.info["meas_date"]
    if isinstance(stated, datetime) and stated != ANONYMOUS:
        try:
            utc = stated.astimezone(UTC) + timedelta(seconds=float(raw.first_time))
            if utc.date() >= UNDATED:
                kind = StartDate.DUMMY if utc.date() == UNDATED else StartDate.REAL
                return Start(utc, kind, time_known=True)
        except (OverflowError, ValueError):
            pass
    midnight = datetime.combine(UNDATED, datetime.min.time(), UTC)
    return Start(midnight, StartDate.UNKNOWN, time_known=False)


def _fingerprint(path: Path, main: Path, others: set[Path]) -> str:
    try:
        files = [*([] if main.is_dir() else [main]), *sorted(others)]
        digests = []
        for each in files:
            with each.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )
