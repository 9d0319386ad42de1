"""Writes EDF+C files: 16-bit signals of one rate, and annotations.

Format: Kemp et al. 1992 (EDF), Kemp & Olivan 2003 (EDF+). The header is ASCII, annotations are
UTF-8. Every field that could break the file is made fit here, and nowhere else.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from monitor.types import F32

MOST_BYTES = 61_440
"""Size of a data record that EDF recommends not to exceed."""

DIGITAL_MAX = 32_767
"""The range is symmetrical, so that 0 uV is stored as 0."""

LIMIT_UV = 3276.0
"""Largest limit of calibrated microvolts: a step is 0.1 uV, less than the noise of an amplifier."""

_MOST = 9_999_999.0
"""Largest limit whose negative fits 8 letters."""

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class EdfEvent:
    """An annotation. ``duration_s`` 0: a moment. ``channel``: the only one it belongs to, or ""."""

    onset_s: float
    duration_s: float
    text: str
    channel: str = ""

    @property
    def raw(self) -> bytes:
        """The annotation as a time-stamped annotation list."""
        # '@@' precedes the channel of an annotation (EDF+ section 2.2.4).
        text = f"{self.text}@@{self.channel}" if self.channel else self.text
        duration = b"" if self.duration_s == 0 else b"\x15" + _number(self.duration_s)
        onset = _number(self.onset_s, "+")
        return onset + duration + b"\x14" + _annotation(text).encode() + b"\x14\0"


@dataclass(frozen=True, slots=True)
class EdfSignal:
    """A signal in microvolts. ``limit_uv``: larger values are clipped."""

    label: str
    limit_uv: float
    transducer: str = ""
    prefiltering: str = ""


def edf_plus(
    start: datetime,
    *,
    patient: str,
    equipment: str,
    clock: str,
    signals: Sequence[EdfSignal],
    events: Sequence[EdfEvent],
    record_s: float,
    n_records: int,
    samples_per_record: int,
    records: Iterator[F32],
) -> Iterator[bytes]:
    """Yield a whole file piece by piece.

    - ``start``: the clock in the header, to the microsecond. Onsets in ``events`` count from it.
      ``clock`` names its zone in a word; "" if it is not known.
    - ``records``: ``n_records`` times float32 (n_signals, samples_per_record), microvolts. NaN is
      stored as 0. A file without signals has ``n_records`` empty ones.
    """
    # The header holds whole seconds. The rest is the onset of the first record (EDF+ 2.2.4).
    rest_s = start.microsecond / 1e6
    later = [
        EdfEvent(each.onset_s + rest_s, each.duration_s, each.text, each.channel) for each in events
    ]
    times = [EdfEvent(rest_s + record_s * n, 0.0, "").raw for n in range(n_records)]
    texts = _spread(times, [each.raw for each in later])
    width = 2 * math.ceil(max(map(len, texts)) / 2)
    labels = distinct_labels([each.label for each in signals])
    yield _header(start, patient, equipment, clock, signals, labels, record_s, n_records,
                  samples_per_record, width)  # fmt: skip
    limits_uv = np.array([[each.limit_uv] for each in signals], np.float32).reshape(-1, 1)
    for text, data_uv in zip(texts, records, strict=True):
        yield _digital(data_uv, limits_uv) + text.ljust(width, b"\0")


def limit_uv(largest_uv: float, typical_uv: float) -> float:
    """Return the physical limit of a signal: what 8 letters of the header state exactly.

    ``largest_uv`` and ``typical_uv`` are the maximum and the median of its absolute values. A step
    is at most 0.1 uV, or 1/160 of the typical value of a signal without calibrated microvolts: so
    artefacts that are hundreds of times larger are clipped.
    """
    most_uv = max(LIMIT_UV, 200.0 * typical_uv)
    wanted_uv = min(max(largest_uv, 0.01), most_uv)
    step = 10.0 ** (math.floor(math.log10(wanted_uv)) - 3)
    rounded = min(math.ceil(wanted_uv / step - 1e-9) * step, _MOST)
    return float(f"{rounded:.5g}") if rounded < 100_000 else float(math.ceil(rounded))


def record_length_s(n_signals: int, sfreq_hz: float) -> float:
    """Return the length of a data record: a part of an epoch that EDF's size allows."""
    bytes_per_s = 2 * sfreq_hz * max(1, n_signals)
    return next((each for each in (30.0, 10.0, 5.0) if each * bytes_per_s <= MOST_BYTES), 1.0)


def _spread(times: list[bytes], texts: list[bytes]) -> list[bytes]:
    """Lay ``texts`` evenly into the records, whose time lists are ``times``.

    An annotation may stand in any record (EDF+ section 2.2.4): one with many does not make all
    records wide.
    """
    share = math.ceil(sum(map(len, texts)) / len(times))
    laid, waiting = [], list(reversed(texts))
    done = 0
    for number, each in enumerate(times, 1):
        record = bytearray(each)
        while waiting and done < share * number:
            done += len(waiting[-1])
            record += waiting.pop()
        laid.append(bytes(record))
    return laid


def _digital(data_uv: F32, limits_uv: F32) -> bytes:
    if not data_uv.size:
        return b""
    known = np.nan_to_num(data_uv.astype(np.float64), nan=0.0)
    scaled = np.clip(known / limits_uv * DIGITAL_MAX, -DIGITAL_MAX, DIGITAL_MAX)
    return np.rint(scaled).astype("<i2").tobytes()


def _header(
    start: datetime,
    patient: str,
    equipment: str,
    clock: str,
    signals: Sequence[EdfSignal],
    labels: Sequence[str],
    record_s: float,
    n_records: int,
    samples_per_record: int,
    width: int,
) -> bytes:
    day = f"{start.day:02d}-{_MONTHS[start.month - 1]}-{start.year:04d}"
    n_signals = len(signals) + 1
    # Outside 1985 to 2084 two digits do not name a year: EDF+ then writes 'yy' (section 2.1.3.2).
    year = f"{start.year % 100:02d}" if 1985 <= start.year <= 2084 else "yy"
    fields = [
        ("0", 8),
        (f"X X X {_word(patient)}", 80),
        (f"Startdate {day} X X {_word(equipment)} {clock}", 80),
        (f"{start.day:02d}.{start.month:02d}.{year}", 8),
        (f"{start:%H.%M.%S}", 8),
        (str(256 * (n_signals + 1)), 8),
        ("EDF+C", 44),
        (str(n_records), 8),
        (f"{record_s:g}", 8),
        (str(n_signals), 4),
    ]
    ranges = [f"{each.limit_uv:.8g}" for each in signals]
    columns = [
        ([*labels, "EDF Annotations"], 16),
        ([*(each.transducer for each in signals), ""], 80),
        (["uV"] * len(signals) + [""], 8),
        ([f"-{each}" for each in ranges] + ["-1"], 8),
        ([*ranges, "1"], 8),
        ([str(-DIGITAL_MAX)] * len(signals) + ["-32768"], 8),
        ([str(DIGITAL_MAX)] * len(signals) + ["32767"], 8),
        ([*(each.prefiltering for each in signals), ""], 80),
        ([str(samples_per_record)] * len(signals) + [str(width // 2)], 8),
        ([""] * n_signals, 32),
    ]
    fields += [(text, size) for texts, size in columns for text in texts]
    return b"".join(_ascii(text, size).ljust(size).encode("ascii") for text, size in fields)


def _number(value: float, sign: str = "") -> bytes:
    """Return seconds to the microsecond, without an exponent: EDF+ allows none."""
    text = f"{value:{sign}.6f}".rstrip("0").rstrip(".")
    return text.encode()


def _annotation(text: str) -> str:
    """Return ``text`` without the bytes that separate annotations."""
    return re.sub("[\0-\x1f]+", " ", text)


def _word(text: str) -> str:
    """Return a subfield of a header: words are joined, an unknown one is X (EDF+ 2.1.3.3)."""
    return "_".join(_ascii(text, 60).split()) or "X"


def _ascii(text: str, longest: int) -> str:
    """Return ``text`` in printable ASCII: without accents, and '?' for other letters."""
    plain = unicodedata.normalize("NFKD", text)
    letters = (c for c in plain if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in letters)[:longest]


def distinct_labels(names: Sequence[str]) -> list[str]:
    """Return the labels of signals with these names: 16 letters of ASCII, each label once."""
    distinct: list[str] = []
    for label in (_ascii(name, 16) for name in names):
        found, number = label, 2
        while found in distinct or found == "EDF Annotations":
            end = f" {number}"
            found, number = label[: 16 - len(end)] + end, number + 1
        distinct.append(found)
    return distinct
