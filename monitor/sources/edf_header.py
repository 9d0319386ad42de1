"""The header of an EDF, EDF+, BDF or BDF+ file: what it says, checked against the file's size.

Format: Kemp et al. 1992 (EDF), Kemp & Olivan 2003 (EDF+), BioSemi (BDF: 24-bit samples).
mne decodes the samples; it does not tell a truncated file from a whole one, so the header is
read here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import BinaryIO

from monitor.errors import InputError

ANNOTATION_LABELS = ("EDF Annotations", "BDF Annotations")
_TRIGGER_LABELS = ("status", "trigger")
_UNDATED = datetime(1985, 1, 1, tzinfo=UTC)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class SignalHeader:
    """One signal of the file. ``name`` is its label, numbered where the file repeats a label."""

    label: str
    name: str
    unit: str
    physical_min: float
    physical_max: float
    digital_min: float
    digital_max: float
    samples_per_record: int

    @property
    def is_annotation(self) -> bool:
        return self.label in ANNOTATION_LABELS

    @property
    def is_trigger(self) -> bool:
        return self.label.lower() in _TRIGGER_LABELS


@dataclass(frozen=True, slots=True)
class EdfHeader:
    """A header that agrees with the file it heads.

    - ``n_records`` data records of ``record_s`` seconds are really there; ``record_s`` is 0 only
      in a file of annotations alone.
    - ``start_utc`` is the recorder's clock, which names no zone; ``start_known`` is False where
      the date is missing or anonymised, and then ``start_utc`` counts from 1 January 1985.
    - ``notes``: what a user should know about the file, one sentence each.
    """

    path: Path
    sample_bytes: int
    header_bytes: int
    start_utc: datetime
    start_known: bool
    discontinuous: bool
    n_records: int
    record_s: float
    signals: tuple[SignalHeader, ...]
    notes: tuple[str, ...]

    @property
    def record_bytes(self) -> int:
        return self.sample_bytes * sum(s.samples_per_record for s in self.signals)


def read_header(path: Path) -> EdfHeader:
    """The header of ``path``.

    Raises InputError when the file cannot be read, is no EDF or BDF file, is damaged, or holds
    fewer records than its header promises.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a directory: give one EDF or BDF file")
        with path.open("rb") as file:
            return _parse(path, file, path.stat().st_size)
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist: check the name") from exc
    except PermissionError as exc:
        raise InputError(f"{path} may not be read: ask its owner for permission") from exc
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc


def spoken_duration(duration_s: float) -> str:
    """``duration_s`` as a person says it: '8 h 0 min', '83 min' for less than two hours, '12 s'."""
    if duration_s < 120:
        return f"{duration_s:.4g} s"
    minutes = int(duration_s // 60)
    if minutes >= 48 * 60:
        return f"{minutes // (24 * 60)} days"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


class _Fields:
    """Reads header fields one after the other."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    def text(self, n_bytes: int, what: str) -> str:
        raw = self._file.read(n_bytes)
        if len(raw) < n_bytes:
            raise InputError(
                f"{self._path} is damaged: it ends inside its header, at the {what}. "
                "Copy or export it again"
            )
        # Latin-1 takes any byte; the micro sign of Shift-JIS is the one pair worth knowing.
        text = raw.decode("latin-1").split("\0")[0].strip().replace("\x83\xca", "\xb5")
        return "".join(c if c.isprintable() else "?" for c in text)

    def number(self, n_bytes: int, what: str) -> float:
        text = self.text(n_bytes, what)
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"{self._path} is damaged: its header gives the {what} as '{text}', "
                "not as a number. Copy or export it again"
            )
        return value

    def count(self, n_bytes: int, what: str) -> int:
        value = self.number(n_bytes, what)
        if value != int(value):
            raise InputError(
                f"{self._path} is damaged: its header gives the {what} as {value}, "
                "not as a whole number. Copy or export it again"
            )
        return int(value)

    def positive(self, n_bytes: int, what: str) -> int:
        value = self.count(n_bytes, what)
        if value < 1:
            raise InputError(
                f"{self._path} is damaged: its header gives the {what} as {value}. "
                "Copy or export it again"
            )
        return value


def _parse(path: Path, file: BinaryIO, size: int) -> EdfHeader:
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes): copy or export it again")
    version = file.read(8)
    is_bdf = version == b"\xffBIOSEMI"
    if not is_bdf and version.strip(b" \0") != b"0":
        raise InputError(f"{path} is not an EDF or BDF file: give one, or convert it to EDF first")
    fields = _Fields(path, file)
    fields.text(80, "patient")
    recording = fields.text(80, "recording")
    date, time = fields.text(8, "start date"), fields.text(8, "start time")
    start, start_known = _start(recording, date, time)
    header_bytes = fields.count(8, "header size")
    discontinuous = fields.text(44, "file type")[3:5] == "+D"
    promised = fields.count(8, "number of records")
    record_s = fields.number(8, "record duration")
    n_signals = fields.count(4, "number of signals")
    if n_signals < 1 or header_bytes != 256 * (n_signals + 1):
        raise InputError(
            f"{path} is damaged: its header claims {n_signals} signals in {header_bytes} bytes. "
            "Copy or export it again"
        )
    signals = _signals(fields, n_signals)
    if record_s < 0 or (record_s == 0 and not all(s.is_annotation for s in signals)):
        raise InputError(
            f"{path} is damaged: its data records last {record_s:g} s. Copy or export it again"
        )
    sample_bytes = 3 if is_bdf else 2
    record_bytes = sample_bytes * sum(s.samples_per_record for s in signals)
    n_records, notes = _count_records(path, promised, size - header_bytes, record_bytes, record_s)
    if not start_known:
        notes.append(
            "The recording carries no start date: its clock times count from "
            f"{start:%d %B %Y, %H:%M}."
        )
    return EdfHeader(
        path=path,
        sample_bytes=sample_bytes,
        header_bytes=header_bytes,
        start_utc=start,
        start_known=start_known,
        discontinuous=discontinuous,
        n_records=n_records,
        record_s=record_s,
        signals=signals,
        notes=tuple(notes),
    )


def _signals(fields: _Fields, n_signals: int) -> tuple[SignalHeader, ...]:
    def each(what: str) -> list[float]:
        return [fields.number(8, f"{what} of {label}") for label in labels]

    labels = [fields.text(16, "label") for _ in range(n_signals)]
    for _ in range(n_signals):
        fields.text(80, "transducer")
    units = [fields.text(8, "unit") for _ in range(n_signals)]
    physical_min = each("physical minimum")
    physical_max = each("physical maximum")
    digital_min = each("digital minimum")
    digital_max = each("digital maximum")
    for _ in range(n_signals):
        fields.text(80, "prefiltering")
    n_samples = [fields.positive(8, f"samples per record of {label}") for label in labels]
    return tuple(
        SignalHeader(*signal)
        for signal in zip(
            labels,
            _unique(labels),
            units,
            physical_min,
            physical_max,
            digital_min,
            digital_max,
            n_samples,
            strict=True,
        )
    )


def _unique(labels: list[str]) -> list[str]:
    """Repeated labels numbered -0, -1, ..."""
    names: list[str] = []
    for label in labels:
        numbers = count()
        name = label if labels.count(label) == 1 else f"{label}-{next(numbers)}"
        while name in names:
            name = f"{label}-{next(numbers)}"
        names.append(name)
    return names


def _count_records(
    path: Path, promised: int, data_bytes: int, record_bytes: int, record_s: float
) -> tuple[int, list[str]]:
    present, rest = divmod(max(0, data_bytes), record_bytes) if record_bytes else (0, 0)
    if promised < 1:  # EDF: -1 while recording, so a recorder that never closed its file.
        if present == 0:
            raise InputError(
                f"{path} holds a header but no samples: the recorder stopped before its first "
                "data record"
            )
        return present, [
            "The recorder did not close this file: its length, "
            f"{spoken_duration(present * record_s)}, is taken from the file's size."
        ]
    if present < promised:
        raise InputError(
            f"{path} is truncated: of the {promised} data records "
            f"({spoken_duration(promised * record_s)}) that its header promises, {present} "
            f"({spoken_duration(present * record_s)}) are there. Copy or export it again"
        )
    ignored = (present - promised) * record_bytes + rest
    return promised, [f"{ignored} bytes after the last data record are ignored."] * (ignored > 0)


def _start(recording: str, date: str, time: str) -> tuple[datetime, bool]:
    """Start of the recording, and whether its date is real (EDF+: 'Startdate 24-APR-1989 ...')."""
    clock = re.fullmatch(r"(\d\d)[.:](\d\d)[.:](\d\d)", time)
    plus = re.match(r"Startdate (\d\d)-([A-Za-z]{3})-(\d{4})(?: |$)", recording)
    plain = re.fullmatch(r"(\d\d)[.:/-](\d\d)[.:/-](\d\d)", date)
    hour, minute, second = (int(x) for x in clock.groups()) if clock else (0, 0, 0)
    try:
        if plus and plus[2].upper() in _MONTHS:
            year, month, day = int(plus[3]), _MONTHS.index(plus[2].upper()) + 1, int(plus[1])
        elif plain:
            # Two-digit years run from 1985 to 2084 (EDF+ section 2.1.3.2).
            day, month, year = (int(x) for x in plain.groups())
            year += 1900 if year >= 85 else 2000
        else:
            year, month, day = _UNDATED.year, _UNDATED.month, _UNDATED.day
        start = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:  # no such day or time, such as 00.00.00
        return _UNDATED, False
    return start, start.date() != _UNDATED.date()
