"""Real EDF and BDF files for tests, written with edfio; functions here break rules it keeps.

A test chooses the digital value of every sample, so it can prove that none was lost, repeated or
shifted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from edfio import Bdf, BdfSignal, Edf, EdfAnnotation, EdfSignal, Recording

HEADER_FIELDS = {
    "version": slice(0, 8),
    "patient": slice(8, 88),
    "recording": slice(88, 168),
    "startdate": slice(168, 176),
    "starttime": slice(176, 184),
    "header_bytes": slice(184, 192),
    "reserved": slice(192, 236),
    "n_records": slice(236, 244),
    "record_s": slice(244, 252),
    "n_signals": slice(252, 256),
}
SIGNAL_FIELDS = {
    "label": (0, 16),
    "unit": (96, 8),
    "physical_min": (104, 8),
    "physical_max": (112, 8),
    "digital_min": (120, 8),
    "digital_max": (128, 8),
    "samples_per_record": (216, 8),
    "reserved": (224, 32),
}
"""Offset (in bytes per signal) and width of each field after the first 256 bytes."""


@dataclass(frozen=True)
class Signal:
    """Digital values of a channel; one digital step is ``step`` units, zero is zero."""

    label: str
    digital: npt.NDArray[np.integer]
    sfreq_hz: float
    unit: str = "uV"
    step: float = 1.0


def ramp(n: int, modulus: int = 30000) -> npt.NDArray[np.integer]:
    """Return the numbers of ``n`` samples, wrapped to fit 16 bits."""
    return np.arange(n) % modulus


def write_edf(
    path: Path,
    signals: Sequence[Signal],
    *,
    annotations: Iterable[tuple[float, float | None, str]] | None = None,
    start: tuple[date, time] | None = (date(2024, 3, 9), time(22, 30)),
    record_s: float | None = None,
    bdf: bool = False,
) -> Path:
    """Write an EDF file; EDF+C if it has annotations; BDF or BDF+C with ``bdf``.

    Without ``start`` the file has no date. A time with microseconds makes it EDF+C.
    """
    limit = 2**23 if bdf else 2**15
    kind: Any = BdfSignal if bdf else EdfSignal
    whole: Any = Bdf if bdf else Edf
    written = whole(
        [
            kind.from_digital(
                s.digital.astype(np.int32 if bdf else np.int16),
                s.sfreq_hz,
                label=s.label,
                physical_dimension=s.unit,
                digital_range=(-limit, limit - 1),
                physical_range=(-limit * s.step, (limit - 1) * s.step),
            )
            for s in signals
        ],
        starttime=start[1] if start else None,
        recording=Recording(startdate=start[0]) if start else None,
        data_record_duration=record_s,
        annotations=(
            None if annotations is None else [EdfAnnotation(*each) for each in annotations]
        ),
    )
    written.write(path)
    return path


def patch_header(path: Path, **fields: str | bytes) -> Path:
    """Overwrite fields of the first 256 bytes (`HEADER_FIELDS`), padded with spaces."""
    content = bytearray(path.read_bytes())
    for name, value in fields.items():
        place = HEADER_FIELDS[name]
        content[place] = _padded(value, place.stop - place.start)
    path.write_bytes(content)
    return path


def patch_signal(path: Path, index: int, **fields: str | bytes) -> Path:
    """Overwrite fields of one signal (`SIGNAL_FIELDS`), padded with spaces."""
    content = bytearray(path.read_bytes())
    n_signals = int(content[HEADER_FIELDS["n_signals"]])
    for name, value in fields.items():
        offset, width = SIGNAL_FIELDS[name]
        at = 256 + n_signals * offset + index * width
        content[at : at + width] = _padded(value, width)
    path.write_bytes(content)
    return path


def make_discontinuous(path: Path, onsets_s: Sequence[float | None]) -> Path:
    """Turn an EDF+C or BDF+C file into +D (discontinuous): record i begins at ``onsets_s[i]``.

    None removes the record's onset. The other annotations stay.
    """
    content = bytearray(path.read_bytes())
    n_signals = int(content[HEADER_FIELDS["n_signals"]])
    is_bdf = content[:8] == b"\xffBIOSEMI"
    counts_at = 256 + n_signals * SIGNAL_FIELDS["samples_per_record"][0]
    sizes = [
        int(content[counts_at + 8 * i : counts_at + 8 * i + 8]) * (3 if is_bdf else 2)
        for i in range(n_signals)
    ]
    at = 256 * (n_signals + 1)
    for onset_s in onsets_s:
        place = slice(at + sum(sizes[:-1]), at + sum(sizes))
        _, _, others = bytes(content[place]).partition(b"\0")
        own = b"" if onset_s is None else f"{onset_s:+.10g}\x14\x14\0".encode()
        tal = (own + others.strip(b"\0") + b"\0").ljust(sizes[-1], b"\0")
        assert len(tal) == sizes[-1], "no room for the onset: add an annotation to widen the field"
        content[place] = tal
        at += sum(sizes)
    assert at == len(content), "one onset is needed for each data record"
    content[HEADER_FIELDS["reserved"]] = _padded("BDF+D" if is_bdf else "EDF+D", 44)
    path.write_bytes(content)
    return path


def _padded(value: str | bytes, width: int) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode("latin-1")
    assert len(raw) <= width, f"{value!r} does not fit {width} bytes"
    return raw.ljust(width)
