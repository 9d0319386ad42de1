"""An EDF or BDF file taken apart: every field of the header, every signal, every record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
import numpy.typing as npt

GLOBAL_FIELDS = {
    "version": 8,
    "patient": 80,
    "recording": 80,
    "startdate": 8,
    "starttime": 8,
    "header_bytes": 8,
    "reserved": 44,
    "n_records": 8,
    "record_s": 8,
    "n_signals": 4,
}
SIGNAL_FIELDS = {
    "label": 16,
    "transducer": 80,
    "unit": 8,
    "physical_min": 8,
    "physical_max": 8,
    "digital_min": 8,
    "digital_max": 8,
    "prefiltering": 80,
    "samples": 8,
    "own": 32,
}
"""Width in bytes of each field of the header, in the order of the file."""


@dataclass
class Signal:
    """A signal. ``digital`` is int (n_records, samples per record); None holds annotations."""

    fields: dict[str, bytes]
    digital: npt.NDArray[np.int32] | None = None


@dataclass
class EdfFile:
    """A file in its parts. ``lists`` holds the annotation lists of each record."""

    fields: dict[str, bytes]
    signals: list[Signal]
    lists: list[bytes] = field(default_factory=list)
    list_bytes: int = 0
    sample_bytes: int = 2

    def content(self) -> bytes:
        """Return the file."""
        head = [_fit(self.fields[name], width) for name, width in GLOBAL_FIELDS.items()]
        for name, width in SIGNAL_FIELDS.items():
            head += [_fit(signal.fields.get(name, b""), width) for signal in self.signals]
        n_records = len(self.lists) or max(
            (len(s.digital) for s in self.signals if s.digital is not None), default=0
        )
        body = []
        for record in range(n_records):
            for signal in self.signals:
                if signal.digital is None:
                    body.append(self.lists[record].ljust(self.list_bytes, b"\0"))
                else:
                    body.append(_little_endian(signal.digital[record], self.sample_bytes))
        return b"".join(head + body)


def new_file(
    signals: Sequence[Signal],
    *,
    record_s: str = "1",
    lists: Sequence[bytes] = (),
    discontinuous: bool = False,
    bdf: bool = False,
    startdate: bytes = b"09.03.24",
    starttime: bytes = b"22.30.15",
    recording: bytes | None = None,
) -> EdfFile:
    """Return a file of ``signals``, and of a signal for ``lists`` if there are any (EDF+)."""
    every, sample_bytes, list_bytes = list(signals), 3 if bdf else 2, 0
    kind = b"BDF" if bdf else b"EDF"
    if lists:
        list_bytes = max(len(each) for each in lists) + 1
        list_bytes += -list_bytes % sample_bytes
        every.append(_annotation_signal(kind, list_bytes // sample_bytes, sample_bytes))
    shapes = [len(s.digital) for s in signals if s.digital is not None]
    n_records = shapes[0] if shapes else len(lists)
    if recording is None:
        recording = b"Startdate 09-MAR-2024 X X X" if lists else b""
    return EdfFile(
        {
            "version": b"\xffBIOSEMI" if bdf else b"0",
            "patient": b"X X X X",
            "recording": recording,
            "startdate": startdate,
            "starttime": starttime,
            "header_bytes": str(256 * (len(every) + 1)).encode(),
            "reserved": kind + (b"+D" if discontinuous else b"+C") if lists else b"",
            "n_records": str(n_records).encode(),
            "record_s": record_s.encode(),
            "n_signals": str(len(every)).encode(),
        },
        every,
        list(lists),
        list_bytes,
        sample_bytes,
    )


def new_signal(
    label: str,
    digital: npt.NDArray[np.int32],
    *,
    unit: bytes = b"uV",
    physical: tuple[str, str] = ("-3276.8", "3276.7"),
    bdf: bool = False,
) -> Signal:
    """Return a signal whose digital range is the whole range of its samples."""
    limit = 2**23 if bdf else 2**15
    return Signal(
        {
            "label": label.encode("latin-1"),
            "unit": unit,
            "physical_min": physical[0].encode(),
            "physical_max": physical[1].encode(),
            "digital_min": str(-limit).encode(),
            "digital_max": str(limit - 1).encode(),
            "samples": str(digital.shape[1]).encode(),
        },
        digital,
    )


def numbered(random: Random, n_records: int, per_record: int) -> npt.NDArray[np.int32]:
    """Return samples that show their place: a ramp from a random number on, int32."""
    start, step = random.randrange(-9000, 9000), random.choice((1, 3, 7, -5))
    ramp = start + step * np.arange(n_records * per_record)
    return (ramp % 20_000 - 10_000).astype(np.int32).reshape(n_records, per_record)


def annotation(onset: str, *texts: str, duration: str | None = None) -> bytes:
    """Return an annotation list of EDF+: onset, duration and texts."""
    length = b"" if duration is None else b"\x15" + duration.encode("utf-8")
    body = b"".join(text.encode("utf-8", "surrogatepass") + b"\x14" for text in texts)
    return onset.encode("utf-8") + length + b"\x14" + body + b"\0"


def _annotation_signal(kind: bytes, samples: int, sample_bytes: int) -> Signal:
    limit = 2**23 if sample_bytes == 3 else 2**15
    return Signal(
        {
            "label": kind + b" Annotations",
            "physical_min": b"-1",
            "physical_max": b"1",
            "digital_min": str(-limit).encode(),
            "digital_max": str(limit - 1).encode(),
            "samples": str(samples).encode(),
        }
    )


def _fit(value: bytes, width: int) -> bytes:
    return value[:width].ljust(width)


def _little_endian(values: npt.NDArray[np.int32], sample_bytes: int) -> bytes:
    wide = values.astype("<i4").view(np.uint8).reshape(-1, 4)
    return wide[:, :sample_bytes].tobytes()
