"""Text recordings as their recorders write them, of a signal whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from monitor.types import F64

START_S = 1_770_000_000.25
"""Unix seconds of the first sample: 2 February 2026, 02:40 UTC."""

MUSE = ("TP9", "AF7", "AF8", "TP10")


@dataclass(frozen=True)
class Truth:
    """Samples as a device took them: ``times_s`` (n,) after `START_S`, ``uv`` (n, n_channels)."""

    times_s: F64
    uv: F64


def truth(
    seconds: float, rate_hz: float, n_channels: int, gaps: tuple[tuple[float, float], ...] = ()
) -> Truth:
    """Return noise of 20 uV; ``gaps`` are beginnings and lengths of losses, in seconds."""
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    lost = np.zeros(times_s.size, dtype=bool)
    for begin_s, length_s in gaps:
        lost |= (times_s >= begin_s) & (times_s < begin_s + length_s)
    uv = np.random.default_rng(1).normal(0.0, 20.0, (times_s.size, n_channels)).round(3)
    return Truth(times_s[~lost], uv[~lost])


def arrival_s(times_s: F64, each: int = 12, jitter_s: float = 0.0) -> F64:
    """Return stamps of packets of ``each`` samples that share the time of their arrival."""
    packets = np.arange(times_s.size) // each
    last = np.minimum((packets + 1) * each, times_s.size) - 1
    delays_s = np.random.default_rng(2).exponential(jitter_s, packets[-1] + 1)
    return np.maximum.accumulate(times_s[last] + delays_s[packets])


def write_muselsl(path: Path, recorded: Truth, stamps_s: F64 | None = None) -> Path:
    """Write as ``muselsl record`` does: pandas with three decimals."""
    stamps_s = recorded.times_s if stamps_s is None else stamps_s
    lines = ["timestamps,TP9,AF7,AF8,TP10,Right AUX"]
    for stamp_s, uv in zip(stamps_s, recorded.uv, strict=True):
        lines.append(f"{START_S + stamp_s:.3f}," + ",".join(f"{v:.3f}" for v in [*uv, 0.0]))
    return _written(path, lines)


def local(stamp_s: float, decimals: int = 3) -> str:
    """Return local time as Mind Monitor writes it, of a place whose local time is UTC."""
    moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=round(START_S + stamp_s, 3))
    text = f"{moment:%Y-%m-%d %H:%M:%S.%f}"
    return text[: 20 + decimals].rstrip(".")


MIND_MONITOR = (
    "TimeStamp",
    *(f"{band}_{name}" for band in ("Delta", "Theta", "Alpha", "Beta", "Gamma") for name in MUSE),
    *(f"RAW_{name}" for name in MUSE),
    *("AUX_RIGHT", "Accelerometer_X", "Accelerometer_Y", "Accelerometer_Z"),
    *("Gyro_X", "Gyro_Y", "Gyro_Z", "HeadBandOn", *(f"HSI_{name}" for name in MUSE)),
    *("Battery", "Elements"),
)


def mind_monitor_row(stamp: str, uv: F64) -> str:
    """Return a line with a sample; the middle of the converter's range is 841 uV."""
    raw = ",".join(f"{v + 841.4:.3f}" for v in uv)
    bands, sensors = ",".join(["0.512"] * 20), "780.1,0.01,0.02,0.98,1.1,-2.2,0.3,1,1,1,1,1,87.5"
    return f"{stamp},{bands},{raw},{sensors},"


def mind_monitor_event(stamp: str, text: str) -> str:
    """Return a line with a remark and no sample."""
    return f"{stamp}{',' * (len(MIND_MONITOR) - 1)}{text}"


def write_mind_monitor(
    path: Path,
    recorded: Truth,
    stamps_s: F64 | None = None,
    events: dict[int, str] | None = None,
    decimals: int = 3,
) -> Path:
    """Write as Mind Monitor does; ``events`` are remarks by the number of the next sample."""
    stamps_s = recorded.times_s if stamps_s is None else stamps_s
    lines = [",".join(MIND_MONITOR)]
    for number, (stamp_s, uv) in enumerate(zip(stamps_s, recorded.uv, strict=True)):
        stamp = local(stamp_s, decimals)
        if events and number in events:
            lines.append(mind_monitor_event(stamp, events[number]))
        lines.append(mind_monitor_row(stamp, uv))
    return _written(path, lines)


def write_openbci(path: Path, recorded: Truth, stamps_s: F64, rate_hz: float, numbers: F64) -> Path:
    """Write as version 5 of the OpenBCI GUI does for a Cyton; Java writes large numbers so."""
    n = recorded.uv.shape[1]
    names = ["Sample Index", *(f"EXG Channel {k}" for k in range(n))]
    names += [f"Accel Channel {k}" for k in range(3)] + ["Other"] * 7
    names += [*(f"Analog Channel {k}" for k in range(3)), "Timestamp", "Other"]
    lines = [
        "%OpenBCI Raw EXG Data",
        f"%Number of channels = {n}",
        f"%Sample Rate = {rate_hz:g} Hz",
        "%Board = OpenBCI_GUI$BoardCytonSerial",
        ", ".join([*names, "Timestamp (Formatted)"]),
    ]
    for number, stamp_s, uv in zip(numbers, stamps_s, recorded.uv, strict=True):
        unix = f"{(START_S + stamp_s) / 1e9:.15f}E9"
        cells = [f"{number:.1f}", *(f"{v:.3f}" for v in uv), *["0.0"] * 13, unix, "0.0"]
        lines.append(", ".join([*cells, local(stamp_s)]))
    return _written(path, lines)


def write_old_openbci(path: Path, recorded: Truth, stamps_s: F64, milliseconds: bool) -> Path:
    """Write as versions before 5 did: no names; with Unix milliseconds since version 2."""
    lines = [
        "%OpenBCI Raw EEG Data",
        "%",
        "%Sample Rate = 250.0 Hz",
        "%First Column = SampleIndex",
        "%Last Column = Timestamp ",
        "%Other Columns = EEG data in microvolts followed by Accel Data (in G) interleaved with "
        "Aux Data",
    ]
    for number, (stamp_s, uv) in enumerate(zip(stamps_s, recorded.uv, strict=True)):
        cells = [str(number % 256), *(f"{v:.2f}" for v in uv), "0.000", "0.000", "0.000"]
        cells += [local(stamp_s)[11:]]
        cells += [f"{(START_S + stamp_s) * 1e3:.0f}"] if milliseconds else []
        lines.append(", ".join(cells))
    return _written(path, lines)


def _written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
