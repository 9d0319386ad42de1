"""Decode the samples of one EDF or BDF channel, a few data records at a time.

Formats: Kemp et al. 1992 (EDF: 16-bit samples), BioSemi (BDF: 24-bit samples); both are
little-endian two's complement.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.errors import InputError, MonitorError
from monitor.sources.edf_header import EdfHeader, SignalHeader
from monitor.types import F64
from monitor.units import uv_per_unit

_Bytes = npt.NDArray[np.uint8]
_Int16 = npt.NDArray[np.int16]
_Int32 = npt.NDArray[np.int32]

_BLOCK_BYTES = 512 * 1024
"""Bytes of the file that are read together, all channels counted. A larger block does not fit the
processor's cache once it is decoded to float64, and takes longer."""

_LARGEST_UV = float(np.finfo(np.float32).max) / 2.0
"""Chunks are float32, and a derivation subtracts two channels."""


class ChannelReader:
    """A reader of ``signal`` in the file that ``header`` describes.

    It keeps one block decoded (512 KiB of the file, or one data record if that is larger), and no
    file open. A unit that is not a voltage counts as microvolts. Raises `InputError` if the header
    does not define a usable scale.
    """

    def __init__(self, header: EdfHeader, signal: SignalHeader) -> None:
        self._header = header
        self.samples_per_record = signal.samples_per_record
        index = header.signals.index(signal)
        first = header.sample_bytes * sum(s.samples_per_record for s in header.signals[:index])
        self._place = slice(first, first + header.sample_bytes * signal.samples_per_record)
        self._gain, self._offset, self._uv_per_unit = _scale(header, signal)
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
        """Return the samples of ``block`` in microvolts, float64 (n_records * samples,)."""
        first = block * self._records_per_block
        n_records = min(self._records_per_block, self._header.n_records - first)
        rows = _read_records(self._header, first, n_records)[:, self._place]
        decode = _int24 if self._header.sample_bytes == 3 else _int16
        # The order of these steps is MNE's: another order differs in the last bit.
        # values: (n_records, samples_per_record)
        values: F64 = np.multiply(decode(rows), self._gain, dtype=np.float64)
        values += self._offset
        values *= self._uv_per_unit
        return values.ravel()


def _scale(header: EdfHeader, signal: SignalHeader) -> tuple[float, float, float]:
    """Return gain, offset and microvolts per unit: uV = (digital * gain + offset) * uv_per_unit.

    Raises `InputError` if a minimum equals its maximum, or if values may be too large for float32.
    """
    physical_range = signal.physical_max - signal.physical_min
    digital_range = signal.digital_max - signal.digital_min
    if physical_range == 0 or digital_range == 0:
        raise InputError(
            f"{header.path} does not define the scale of {signal.name}: its physical or "
            "digital minimum and maximum are the same. Choose another --channel"
        )
    gain = physical_range / digital_range
    offset = signal.physical_min - signal.digital_min * gain
    scale = uv_per_unit(signal.unit)
    scale = 1.0 if scale is None else scale
    # A sample may lie outside the digital minimum and maximum, but not outside its bits.
    largest_digital = 2.0 ** (8 * header.sample_bytes - 1)
    largest_uv = (abs(gain) * largest_digital + abs(offset)) * scale
    if not largest_uv <= _LARGEST_UV:  # NaN too: infinity minus infinity, or times 0
        raise InputError(
            f"{header.path} does not define the scale of {signal.name}: its physical range, "
            f"{signal.physical_min:g} to {signal.physical_max:g}, is too large for its digital "
            f"range, {signal.digital_min:g} to {signal.digital_max:g}. Choose another --channel"
        )
    return gain, offset, scale


def _read_records(header: EdfHeader, first: int, n_records: int) -> _Bytes:
    """Return ``n_records`` data records from ``first`` on, uint8 (n_records, record_bytes)."""
    n_bytes = n_records * header.record_bytes
    try:
        with header.path.open("rb") as file:
            file.seek(header.header_bytes + first * header.record_bytes)
            records = file.read(n_bytes)
    except OSError as exc:
        raise _changed(header) from exc
    if len(records) < n_bytes:
        raise _changed(header)
    return np.frombuffer(records, dtype=np.uint8).reshape(n_records, header.record_bytes)


def _int16(rows: _Bytes) -> _Int16:
    """Return EDF samples: (n_records, 2 * samples_per_record) -> (n_records, samples)."""
    return rows.view("<i2")


def _int24(rows: _Bytes) -> _Int32:
    """Return BDF samples: (n_records, 3 * samples_per_record) -> (n_records, samples)."""
    wide = np.zeros((rows.shape[0], rows.shape[1] // 3, 4), dtype=np.uint8)
    wide[:, :, 1:] = rows.reshape(rows.shape[0], -1, 3)  # the 24 bits in the upper three bytes
    values: _Int32 = wide.view("<i4")[:, :, 0]  # (n_records, samples)
    values >>= 8  # an arithmetic shift repeats the sign bit
    return values


def _changed(header: EdfHeader) -> MonitorError:
    return MonitorError(
        f"{header.path} was moved or changed while it was read: put it back and start again"
    )
