"""Decode the samples of one EDF or BDF channel with mne, a few records at a time.

- mne receives the records in memory and never opens the file: with a file name it first reads all
  annotations, which takes 150 MB for a day.
- mne receives a header with nothing but the scales of the signals, so that no odd label, unit or
  remark in the real header can stop it.
- mne receives one channel at a time: of several, it resamples the slower ones to the fastest rate.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import mne
import numpy as np

from monitor.errors import InputError, MonitorError
from monitor.sources.edf_header import EdfHeader, SignalHeader
from monitor.types import F64

_BLOCK_BYTES = 2 * 1024 * 1024
"""Bytes of the file that are decoded together, all channels counted."""

_UV_PER_UNIT = {"uv": 1.0, "nv": 1e-3, "mv": 1e3, "v": 1e6}
# Headers hold the micro sign in Latin-1 or UTF-8; here both are decoded as Latin-1.
_MICRO_SIGNS = ("\xc2\xb5", "\xce\xbc", "\xb5")


def uv_per_unit(unit: str) -> float | None:
    """Return the microvolts in one ``unit`` of an EDF header, or None if it is not a voltage."""
    for sign in _MICRO_SIGNS:
        unit = unit.replace(sign, "u")
    # Nobody records megavolts, but 'MV' is no proof of millivolts either: it stays unknown.
    return None if unit == "MV" else _UV_PER_UNIT.get(unit.lower())


class ChannelReader:
    """A reader of ``signal`` in the file that ``header`` describes.

    It keeps about 2 MB of the file decoded, and no file open. A unit that is not a voltage counts
    as microvolts. Raises `InputError` if the values cannot be decoded.
    """

    def __init__(self, header: EdfHeader, signal: SignalHeader) -> None:
        if signal.physical_min == signal.physical_max or signal.digital_min == signal.digital_max:
            raise InputError(
                f"{header.path} does not define the scale of {signal.name}: its physical or "
                "digital minimum and maximum are the same. Choose another --channel"
            )
        self._header = header
        self._index = header.signals.index(signal)
        scale = uv_per_unit(signal.unit)
        self._uv_per_unit = 1.0 if scale is None else scale
        self.samples_per_record = signal.samples_per_record
        self._records_per_block = max(1, _BLOCK_BYTES // header.record_bytes)
        self._block, self._values_uv = 0, self._read_block(0)

    def read_uv(self, start: int, stop: int) -> F64:
        """Return samples ``start`` to ``stop`` in microvolts, float64 (stop - start,).

        Raises `MonitorError` if the file has changed since it was opened.
        """
        block_n = self._records_per_block * self.samples_per_record
        pieces = []
        while start < stop:
            block, at = divmod(start, block_n)
            if block != self._block:
                self._block, self._values_uv = block, self._read_block(block)
            pieces.append(self._values_uv[at : at + stop - start])
            start += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _read_block(self, block: int) -> F64:
        first = block * self._records_per_block
        end = min(first + self._records_per_block, self._header.n_records)
        values: F64 = _decode(self._header, self._index, first, end).get_data()[0]
        return values * self._uv_per_unit


def _decode(header: EdfHeader, index: int, first: int, end: int) -> Any:
    """Return mne's view of signal ``index``, records ``first`` to ``end``, in its own unit."""
    n_bytes = (end - first) * header.record_bytes
    try:
        with header.path.open("rb") as file:
            head = file.read(header.header_bytes)
            file.seek(first * header.record_bytes, io.SEEK_CUR)
            records = file.read(n_bytes)
    except OSError as exc:
        raise _changed(header) from exc
    if len(records) < n_bytes:
        raise _changed(header)
    read = mne.io.read_raw_bdf if header.sample_bytes == 3 else mne.io.read_raw_edf
    # mne warns that there are fewer records than the header states, and about missing dates.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read(
                io.BytesIO(_plain(head, len(header.signals)) + records),
                include=[str(index)],
                preload=True,
                verbose="ERROR",
            )
        except Exception as exc:  # on odd headers mne asserts, or raises a bare Exception
            raise InputError(
                f"{header.path} cannot be decoded ({exc or type(exc).__name__}): export it again"
            ) from exc


def _plain(head: bytes, n_signals: int) -> bytes:
    """Return ``head`` without its texts: signals named 0, 1, ..., in volts.

    mne converts every other unit to volts; volts it leaves as they are.
    """
    plain = bytearray(head)
    labels = b"".join(str(i).encode().ljust(16) for i in range(n_signals))
    for at, text in (
        (8, b" " * 160),  # patient and recording
        (256, labels),
        (256 + 96 * n_signals, b"V       " * n_signals),  # unit
        (256 + 136 * n_signals, b" " * 80 * n_signals),  # prefiltering
        (256 + 224 * n_signals, b" " * 32 * n_signals),  # reserved
    ):
        plain[at : at + len(text)] = text
    return bytes(plain)


def _changed(header: EdfHeader) -> MonitorError:
    return MonitorError(
        f"{header.path} was moved or changed while it was read: put it back and start again"
    )
