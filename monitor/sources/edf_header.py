"""Read the header of an EDF, EDF+, BDF or BDF+ file and check it against the file's size.

Formats: Kemp et al. 1992 (EDF), Kemp & Olivan 2003 (EDF+), BioSemi (BDF: 24-bit samples).
A field that cannot be read refuses the file only if nobody can do without it.
"""

from __future__ import annotations

import math
import re
import shlex
import stat
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from monitor.errors import InputError
from monitor.sources.durations import spoken_duration
from monitor.sources.edf_fields import HeaderFields, parse_number
from monitor.sources.edf_start import read_start
from monitor.sources.recording import Start
from monitor.text import clean

_ANNOTATION_LABEL = re.compile(r"(?:edf|bdf) ?annotations ?\d*")
"""'EDF Annotations' and 'BDF Annotations', as EDF+ and BDF+ prescribe, in spellings of careless
writers, who also number them."""

_LIMITS = ("physical minimum", "physical maximum", "digital minimum", "digital maximum")
_TRIGGER_LABELS = ("status", "trigger")
SHORTEST_RECORD_S, LONGEST_RECORD_S = 1e-5, 1e6
"""Data records that last less or more (11 days) are damage: arithmetic with them overflows."""

LARGEST_RECORD_BYTES = 512 * 1024 * 1024
"""A data record is read as a whole. EDF recommends 61,440 bytes at most, but some programs write a
whole night as one record."""

_BDF_VERSION = b"\xffBIOSEMI"
_SQLITE = b"SQLite f"


@dataclass(frozen=True, slots=True)
class SignalHeader:
    """A signal of the file. ``name`` is its label, with a number if the file repeats the label.

    - A sample's value in ``unit`` is linear in its digital value: ``digital_min`` is
      ``physical_min``, and ``digital_max`` is ``physical_max``. A limit that is no number is NaN.
    - ``problem`` is the reason why the samples cannot be decoded, or "".
    """

    label: str
    name: str
    unit: str
    physical_min: float
    physical_max: float
    digital_min: float
    digital_max: float
    samples_per_record: int
    problem: str = ""

    @property
    def is_annotation(self) -> bool:
        """True if the signal holds texts with times instead of samples (EDF+)."""
        return _ANNOTATION_LABEL.fullmatch(self.label.casefold()) is not None

    @property
    def is_trigger(self) -> bool:
        """True if the signal holds trigger codes instead of a measured voltage."""
        return self.label.lower() in _TRIGGER_LABELS


@dataclass(frozen=True, slots=True)
class EdfHeader:
    """A header that agrees with the size of its file.

    - The file holds ``n_records`` whole data records of ``record_s`` seconds each. ``record_s`` is
      0 only in a file that holds annotations and no signals.
    - ``start`` is the time of the recorder's clock, with what is known of it. EDF names no time
      zone: the clock counts as UTC.
    - ``discontinuous`` is True if there may be gaps between records (EDF+D, BDF+D).
    - ``notes``: what the user must know about the file, one sentence each.
    """

    path: Path
    sample_bytes: int
    header_bytes: int
    start: Start
    discontinuous: bool
    n_records: int
    record_s: float
    signals: tuple[SignalHeader, ...]
    notes: tuple[str, ...]

    @property
    def start_utc(self) -> datetime:
        """The start of the file, with time zone UTC."""
        return self.start.utc

    @property
    def start_known(self) -> bool:
        """True if date and time of the start are real."""
        return self.start.known

    @property
    def record_bytes(self) -> int:
        """The size of one data record."""
        return self.sample_bytes * sum(s.samples_per_record for s in self.signals)


def read_header(path: Path) -> EdfHeader:
    """Read the header of ``path``.

    Raises `InputError` if the file cannot be read, is not EDF or BDF, is damaged, or holds no whole
    data record.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path} is a folder: give one recording")
        # A pipe would wait for ever for its other end.
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path} is a device or a pipe: give a file")
        with path.open("rb") as file:
            return _parse(path, file, status.st_size)
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist: check the name") from exc
    except PermissionError as exc:
        raise InputError(f"{path} may not be read: ask its owner for permission") from exc
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:  # a NUL, or a letter that the system's file names cannot hold
        raise InputError(f"{clean(str(path))!r} is no file name: check it") from exc


def _parse(path: Path, file: BinaryIO, size: int) -> EdfHeader:
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes): copy or export it again")
    version = file.read(8)
    if version == _SQLITE:
        raise InputError(
            f"{path} is no recording but an SQLite file; a night of the monitor is shown by: "
            f"sleep-monitor nights show {shlex.quote(str(path))}"
        )
    is_bdf = version == _BDF_VERSION
    if not is_bdf and version.strip(b" \0") != b"0":
        raise InputError(
            f"{path} has no format that the monitor reads (EDF, BDF, Muse, OpenBCI, BrainFlow, "
            "XDF, BrainVision, EEGLAB, FIF, GDF): convert it to EDF first"
        )
    fields = HeaderFields(path, file)
    fields.text(80, "patient")
    recording = fields.text(80, "recording")
    date, time = fields.text(8, "start date"), fields.text(8, "start time")
    start, start_notes = read_start(recording, date, time)
    header_bytes = fields.count(8, "header size")
    discontinuous = fields.text(44, "file type")[3:5] == "+D"
    stated = fields.count(8, "number of records")
    record_s = fields.number(8, "record duration")
    n_signals = fields.count(4, "number of signals")
    if n_signals < 1 or header_bytes != 256 * (n_signals + 1):
        raise InputError(
            f"{path} is damaged: its header claims {n_signals} signals in {header_bytes} bytes. "
            "Copy or export it again"
        )
    signals = _signals(fields, n_signals)
    sample_bytes = 3 if is_bdf else 2
    record_bytes = sample_bytes * sum(s.samples_per_record for s in signals)
    only_annotations = all(s.is_annotation for s in signals)
    _check_records(path, record_s, record_bytes, only_annotations)
    n_records, notes = _count_records(path, stated, size - header_bytes, record_bytes, record_s)
    if only_annotations and n_records < stated:
        raise InputError(
            f"{path} is truncated: its header states {stated} data records, the file holds "
            f"{n_records}. Copy or export it again"
        )
    return EdfHeader(
        path=path,
        sample_bytes=sample_bytes,
        header_bytes=header_bytes,
        start=start,
        discontinuous=discontinuous,
        n_records=n_records,
        record_s=record_s,
        signals=signals,
        notes=(*notes, *start_notes),
    )


def _signals(fields: HeaderFields, n_signals: int) -> tuple[SignalHeader, ...]:
    """Read the part of the header that describes the signals.

    The file holds the first field of all signals, then the second field of all, and so on.
    """

    labels = [fields.text(16, "label") for _ in range(n_signals)]
    names = _unique(labels)
    for _ in range(n_signals):
        fields.text(80, "transducer")
    units = [fields.text(8, "unit") for _ in range(n_signals)]
    limits = {name: [fields.text(8, name) for _ in range(n_signals)] for name in _LIMITS}
    for _ in range(n_signals):
        fields.text(80, "prefiltering")
    signals = []
    for label, name, unit, *texts in zip(labels, names, units, *limits.values(), strict=True):
        n_samples = fields.count(8, f"samples per record of {name}")
        if n_samples < 0:
            raise fields.damaged(f"samples per record of {name}", str(n_samples), "0 or more")
        numbers = [parse_number(text) for text in texts]
        problems = [
            f"gives the {limit} of {name} as '{text}', not as a number"
            for limit, text, number in zip(_LIMITS, texts, numbers, strict=True)
            if number is None
        ]
        low, high, digital_low, digital_high = (math.nan if x is None else x for x in numbers)
        problem = problems[0] if problems else ""
        signals.append(
            SignalHeader(
                label, name, unit, low, high, digital_low, digital_high, n_samples, problem
            )
        )
    return tuple(signals)


def _unique(labels: list[str]) -> list[str]:
    """Number repeated labels -0, -1, ..., and skip numbers that make another signal's label.

    The time is linear in the number of labels.
    """
    repeats = Counter(labels)
    numbers = dict.fromkeys(labels, 0)
    taken: set[str] = set()
    names = []
    for label in labels:
        name = label
        while name in taken or (name == label and repeats[label] > 1):
            name = f"{label}-{numbers[label]}"
            numbers[label] += 1
        taken.add(name)
        names.append(name)
    return names


def _check_records(path: Path, record_s: float, record_bytes: int, only_annotations: bool) -> None:
    """Raise `InputError` for data records that cannot be worked with."""
    if record_s == 0 and only_annotations:
        return
    if not SHORTEST_RECORD_S <= record_s <= LONGEST_RECORD_S:
        raise InputError(
            f"{path} is damaged: its data records last {record_s:g} s. Copy or export it again"
        )
    if record_bytes > LARGEST_RECORD_BYTES:
        raise InputError(
            f"{path} claims data records of {record_bytes / 2**20:,.0f} MiB: export it with "
            "records of some seconds"
        )


def _count_records(
    path: Path, stated: int, data_bytes: int, record_bytes: int, record_s: float
) -> tuple[int, list[str]]:
    """Return the number of data records and the notes for the user about it."""
    present, rest = divmod(max(0, data_bytes), record_bytes) if record_bytes else (0, 0)
    if present == 0:
        raise InputError(
            f"{path} holds a header but no samples: the recorder stopped before its first "
            "data record"
        )
    # EDF writes -1 while it records: the recorder did not close this file.
    if stated < 1:
        return present, [
            "The recorder did not close this file: its length, "
            f"{spoken_duration(present * record_s)}, is taken from the file's size."
        ]
    if present < stated:
        return present, [
            f"The recording ends early: its header states {stated} data records "
            f"({spoken_duration(stated * record_s)}), the file holds {present} "
            f"({spoken_duration(present * record_s)}). The last "
            f"{spoken_duration((stated - present) * record_s)} are missing."
        ]
    ignored = (present - stated) * record_bytes + rest
    return stated, [f"{ignored} bytes after the last data record are ignored."] * (ignored > 0)
