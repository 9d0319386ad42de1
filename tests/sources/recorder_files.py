"""Recordings as BrainVision's recorder, EEGLAB and LabRecorder write them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from monitor.types import F64

BEGIN = datetime(2026, 3, 1, 22, 15, 30, tzinfo=UTC)
BOUNDARY_ID = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
MUSE = ("TP9", "AF7", "AF8", "TP10", "Right AUX")


def noise(n: int, n_channels: int = 2) -> F64:
    """Return microvolts (n, n_channels), in steps of 0.5 uV: each sample is of its own."""
    return np.round(np.random.default_rng(1).normal(0.0, 40.0, (n, n_channels))) / 2.0


def write_brainvision(
    path: Path,
    uv: F64,
    sfreq_hz: float = 250.0,
    names: Sequence[str] = ("Fpz", "Cz"),
    segments: Sequence[tuple[int, float | None]] = ((0, 0.0),),
    units: Sequence[str] = ("µV", "µV"),
) -> Path:
    """Write .vhdr, .eeg and .vmrk: int16 of 0.5 units, 'Lights off' one second after the beginning.

    ``segments``: the first sample of each, and its time after `BEGIN` in seconds.
    """
    data, marks = path.with_suffix(".eeg"), path.with_suffix(".vmrk")
    channels = [f"Ch{n}={x},,0.5,{u}" for n, (x, u) in enumerate(zip(names, units, strict=True), 1)]
    header = [
        "Brain Vision Data Exchange Header File Version 1.0",
        *("", "[Common Infos]", "Codepage=UTF-8", f"DataFile={data.name}"),
        *(f"MarkerFile={marks.name}", "DataFormat=BINARY", "DataOrientation=MULTIPLEXED"),
        *(f"NumberOfChannels={len(names)}", f"SamplingInterval={1e6 / sfreq_hz:g}"),
        *("", "[Binary Infos]", "BinaryFormat=INT_16", "", "[Channel Infos]", *channels, ""),
    ]
    path.write_text("\r\n".join(header), encoding="utf-8")
    per_uv = np.array([{"µV": 1.0, "mV": 1e-3}.get(unit, 1.0) for unit in units])
    data.write_bytes(np.round(uv * per_uv / 0.5).astype("<i2").tobytes())
    markers = [f"Comment,Lights off,{int(sfreq_hz) + 1},1,0"]
    for first, at_s in segments:
        date = "0" if at_s is None else f"{BEGIN + timedelta(seconds=at_s):%Y%m%d%H%M%S%f}"
        markers.append(f"New Segment,,{first + 1},1,0,{date}")
    markers.sort(key=lambda each: int(each.split(",")[2]))
    lines = [
        "Brain Vision Data Exchange Marker File, Version 1.0",
        *("", "[Common Infos]", "Codepage=UTF-8", f"DataFile={data.name}", "", "[Marker Infos]"),
        *(f"Mk{n}={each}" for n, each in enumerate(markers, 1)),
    ]
    marks.write_text("\r\n".join([*lines, ""]), encoding="utf-8")
    return path


def write_eeglab(
    path: Path,
    uv: F64,
    sfreq_hz: float = 250.0,
    names: Sequence[str] = ("Fpz", "Cz"),
    events: Sequence[tuple[str, float, float]] = (),
) -> Path:
    """Write .set and .fdt. ``events``: type, latency (the first sample is 1) and samples."""
    from scipy.io import savemat

    data = path.with_suffix(".fdt")
    uv.astype("<f4").tofile(data)
    fields = [("type", object), ("latency", float), ("duration", float)]
    eeg = {
        "setname": path.stem,
        "data": data.name,
        "trials": 1.0,
        "xmin": 0.0,
        "nbchan": float(len(names)),
        "pnts": float(uv.shape[0]),
        "srate": sfreq_hz,
        "xmax": (uv.shape[0] - 1) / sfreq_hz,
        "chanlocs": np.array([(name,) for name in names], dtype=[("labels", object)]),
        "event": np.array(list(events), dtype=fields) if events else np.array([]),
        **{key: np.array([]) for key in ("icawinv", "icaweights", "icasphere")},
    }
    with path.open("wb") as file:
        savemat(file, {"EEG": eeg}, appendmat=False)
    return path


def write_gdf(path: Path, uv: F64, sfreq_hz: int = 250) -> Path:
    """Write GDF 2.20: int16 of 0.5 uV of Fpz and Cz, records of a second, an event at sample 250.

    The fields are those of Schloegl 2006 (arXiv:cs/0608052), sections 1 to 3.
    """
    names, n_records = (b"Fpz", b"Cz"), uv.shape[0] // sfreq_hz
    days = (BEGIN - datetime(1, 1, 1, tzinfo=UTC)) / timedelta(days=1) + 367  # days of MATLAB
    fixed = b"GDF 2.20" + b"X X".ljust(66) + bytes(10 + 4) + b"night".ljust(64) + bytes(4 + 12)
    fixed += struct.pack("<QQH", round(days * 2**32), 0, 1 + len(names)) + bytes(6 + 8 + 6 + 6 + 24)
    fixed += struct.pack("<qIIHH", n_records, 1, 1, len(names), 0)
    microvolts, int16, largest = 4275, 3, 2.0**14
    fields = [
        *([name.ljust(16) for name in names], [bytes(86)] * 2),
        [struct.pack("<H", microvolts)] * 2,
        *([struct.pack("<d", each)] * 2 for each in (-largest, largest)),
        *([struct.pack("<d", each)] * 2 for each in (-2 * largest, 2 * largest)),
        *([bytes(68 + 12)] * 2, [struct.pack("<i", sfreq_hz)] * 2),
        *([struct.pack("<i", int16)] * 2, [bytes(12 + 20)] * 2),
    ]
    records = np.round(uv / 0.5).astype("<i2").reshape(n_records, sfreq_hz, 2).swapaxes(1, 2)
    events = b"\x01" + (1).to_bytes(3, "little") + struct.pack("<fIH", sfreq_hz, 251, 768)
    header = fixed + b"".join(each for field in fields for each in field)
    path.write_bytes(header + records.tobytes() + events)
    return path


@dataclass(frozen=True)
class Stream:
    """A stream of LSL: stamps (n,) by its own clock, values (n, n_channels) or texts (n).

    ``offset_s`` brings the stamps to the recorder's clock.
    """

    name: str
    type: str
    stamps_s: F64
    values: F64 | Sequence[str]
    labels: Sequence[str] = MUSE
    unit: str = "microvolts"
    sfreq_hz: float = 256.0
    offset_s: float = 0.0

    @property
    def header(self) -> str:
        texts = not isinstance(self.values, np.ndarray)
        channels = "".join(
            f"<channel><label>{label}</label><unit>{self.unit}</unit><type>EEG</type></channel>"
            for label in self.labels
        )
        return (
            f'<?xml version="1.0"?><info><name>{self.name}</name><type>{self.type}</type>'
            f"<channel_count>{1 if texts else len(self.labels)}</channel_count>"
            f"<nominal_srate>{self.sfreq_hz}</nominal_srate>"
            f"<channel_format>{'string' if texts else 'float32'}</channel_format>"
            f"<source_id>x</source_id><desc><channels>{channels}</channels></desc></info>"
        )

    def samples(self) -> list[bytes]:
        bodies = []
        for stamp_s, value in zip(self.stamps_s.tolist(), self.values, strict=True):
            if isinstance(value, str):
                body = b"\x01" + bytes([len(value.encode())]) + value.encode()
            else:
                body = value.astype("<f4").tobytes()
            bodies.append(b"\x08" + struct.pack("<d", stamp_s) + body)
        return bodies


def write_xdf(
    path: Path, *streams: Stream, datetime_text: str = "2026-03-01T23:15:30+0100"
) -> Path:
    """Write an XDF file as LabRecorder does: half a second in a chunk, a boundary after ten."""
    date = f"<datetime>{datetime_text}</datetime>" if datetime_text else ""
    header = f'<?xml version="1.0"?><info><version>1.0</version>{date}</info>'
    parts = [b"XDF:", _chunk(1, header.encode())]
    timed: list[tuple[float, int, bytes]] = []
    for number, stream in enumerate(streams, 1):
        of = struct.pack("<I", number)
        parts.append(_chunk(2, of + stream.header.encode()))
        samples, offset_s = stream.samples(), stream.offset_s
        for first in range(0, len(samples), 128):
            some = samples[first : first + 128]
            count = b"\x04" + struct.pack("<I", len(some))
            at_s = float(stream.stamps_s[first]) + offset_s
            timed.append((at_s, number, _chunk(3, of + count + b"".join(some))))
        for at_s in np.arange(*stream.stamps_s[[0, -1]], 5.0).tolist() if len(samples) else []:
            offset = _chunk(4, of + struct.pack("<dd", at_s, offset_s))
            timed.append((at_s + offset_s, number, offset))
    boundary_s = -np.inf
    for at_s, _, chunk in sorted(timed):
        if at_s > boundary_s + 10.0:
            parts.append(_chunk(5, BOUNDARY_ID))
            boundary_s = at_s
        parts.append(chunk)
    footers = [struct.pack("<I", n) + b"<info></info>" for n in range(1, len(streams) + 1)]
    path.write_bytes(b"".join([*parts, *(_chunk(6, each) for each in footers)]))
    return path


def _chunk(tag: int, content: bytes) -> bytes:
    return b"\x04" + struct.pack("<I", len(content) + 2) + struct.pack("<H", tag) + content
