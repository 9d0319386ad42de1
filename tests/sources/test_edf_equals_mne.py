"""The reader's microvolts are those of MNE-Python, to the last bit."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.errors import InputError
from monitor.sources.derivation import RecordedDerivation
from monitor.sources.edf import EdfRecording
from monitor.sources.edf_header import EdfHeader, read_header
from monitor.sources.edf_samples import ChannelReader
from monitor.units import uv_per_unit
from tests.edf_files import (
    Signal,
    make_discontinuous,
    patch_header,
    patch_signal,
    write_edf,
)

EXCERPT = Path(__file__).parents[2] / "monitor" / "demo" / "excerpt.edf"
ROOM = [(0.0, None, "widens the annotation field")]
ONSETS_S = [0.0, 1.0, 2.0, 2.5e3, 2501.0, 2502.125, 2503.125, 9000.0, 9001.0, 9002.0]

F64 = npt.NDArray[np.float64]


def every_16_bit_value() -> npt.NDArray[np.integer]:
    return np.arange(-(2**15), 2**15)


def some_24_bit_values(n: int = 65536) -> npt.NDArray[np.integer]:
    values = np.random.default_rng(7).integers(-(2**23), 2**23, n)
    values[:6] = -(2**23), 2**23 - 1, -1, 0, 1, 255
    return values


def mne_uv(path: Path, header: EdfHeader, index: int) -> F64:
    """Return the samples of signal ``index`` as MNE decodes them, in microvolts.

    MNE receives the file without its texts: signals named 0, 1, ..., in volts. It converts other
    units to volts, and one more multiplication would change the last bit. It reads one signal at a
    time: of several, it resamples the slower ones to the fastest rate.
    """
    content = path.read_bytes()[: header.header_bytes + header.n_records * header.record_bytes]
    plain, n_signals = bytearray(content), len(header.signals)
    for at, text in (
        (8, b" " * 160),  # patient and recording
        (256, b"".join(str(i).encode().ljust(16) for i in range(n_signals))),
        (256 + 96 * n_signals, b"V       " * n_signals),  # unit
        (256 + 136 * n_signals, b" " * 80 * n_signals),  # prefiltering
        (256 + 224 * n_signals, b" " * 32 * n_signals),  # reserved
    ):
        plain[at : at + len(text)] = text
    read = mne.io.read_raw_bdf if header.sample_bytes == 3 else mne.io.read_raw_edf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about missing dates and about the number of records
        raw = read(io.BytesIO(plain), include=[str(index)], preload=True, verbose="ERROR")
    scale = uv_per_unit(header.signals[index].unit)
    values: F64 = raw.get_data()[0] * (1.0 if scale is None else scale)
    return values


def bits(values: npt.NDArray[np.floating]) -> npt.NDArray[np.integer]:
    """Return the bits of each value, so that 0.0 and -0.0 differ."""
    return values.view(np.int64 if values.dtype == np.float64 else np.int32)


def check_every_channel(path: Path) -> None:
    header, recording = read_header(path), EdfRecording.open(path)
    names = [signal.name for signal in header.signals]
    assert recording.channels
    for channel in recording.channels:
        index = names.index(channel.name)
        expected = mne_uv(path, header, index)
        reader = ChannelReader(header, header.signals[index])
        np.testing.assert_array_equal(bits(reader.read_uv(0, channel.n_samples)), bits(expected))
        derivation = RecordedDerivation(channel.name, (channel.name,), channel.sfreq_hz, "")
        chunks = [chunk.data_uv[0] for chunk in recording.chunks(derivation, chunk_s=3.7)]
        np.testing.assert_array_equal(
            bits(np.concatenate(chunks)), bits(expected.astype(np.float32))
        )


def edf(path: Path) -> Path:
    return write_edf(path, [Signal("EEG", every_16_bit_value(), 256, step=0.1)])


def bdf(path: Path) -> Path:
    return write_edf(path, [Signal("EEG", some_24_bit_values(), 256, step=0.03125)], bdf=True)


def discontinuous(path: Path, *, bdf: bool) -> Path:
    values = some_24_bit_values(1500) if bdf else every_16_bit_value()[::43][:1500]
    signals = [Signal("EEG", values[:1000], 100), Signal("EOG", values[1000:], 50)]
    write_edf(path, signals, annotations=ROOM, bdf=bdf)
    return make_discontinuous(path, ONSETS_S)


def several_rates(path: Path) -> Path:
    values = every_16_bit_value()
    rates = {"EMG": 512, "EEG Fz": 100, "EEG Cz": 256, "SpO2": 1}
    return write_edf(
        path,
        [
            Signal(name, values[:: 65536 // (40 * rate)][: 40 * rate], rate, step=0.7)
            for name, rate in rates.items()
        ],
        annotations=ROOM,
    )


def several_units(path: Path) -> Path:
    units = ("uV", "mV", "nV", "V", "", "%")
    signals = [Signal(f"EEG{u}", every_16_bit_value(), 256, u, 0.3) for u in units]
    return write_edf(path, signals)


def several_blocks(path: Path, *, bdf: bool) -> Path:
    """Write 2.4 MB or more of records whose length does not divide a block."""
    values = some_24_bit_values(600_000) if bdf else np.resize(every_16_bit_value(), 600_000)
    signals = [Signal("A", values, 250), Signal("B", values[::-1], 250)]
    return write_edf(path, signals, record_s=0.8, bdf=bdf)


def never_closed(path: Path) -> Path:
    patch_header(edf(path), n_records="-1")
    path.write_bytes(path.read_bytes()[:-150])
    return path


KINDS: dict[str, Callable[[Path], object]] = {
    "EDF": edf,
    "BDF": bdf,
    "EDF+C": lambda path: write_edf(
        path, [Signal("EEG", every_16_bit_value(), 256, step=0.1)], annotations=ROOM
    ),
    "BDF+C": lambda path: write_edf(
        path, [Signal("EEG", some_24_bit_values(), 256, step=0.1)], annotations=ROOM, bdf=True
    ),
    "EDF+D": lambda path: discontinuous(path, bdf=False),
    "BDF+D": lambda path: discontinuous(path, bdf=True),
    "odd scale": lambda path: patch_signal(
        edf(path), 0, physical_min="-187.337", physical_max="3276.711"
    ),
    "decimal comma": lambda path: patch_signal(
        edf(path), 0, physical_min="-187,5", physical_max="187,3"
    ),
    "negative gain": lambda path: patch_signal(
        edf(path), 0, physical_min="3276.8", physical_max="-3276.7"
    ),
    "odd digital range": lambda path: patch_signal(
        edf(path), 0, digital_min="-2047", digital_max="2048"
    ),
    "digital range upside down": lambda path: patch_signal(
        edf(path), 0, digital_min="2047", digital_max="-2048"
    ),
    "odd scale, BDF": lambda path: patch_signal(
        bdf(path), 0, physical_min="-187501", physical_max="187499.7", digital_max="8388606"
    ),
    "several rates": several_rates,
    "several units": several_units,
    "several blocks, EDF": lambda path: several_blocks(path, bdf=False),
    "several blocks, BDF": lambda path: several_blocks(path, bdf=True),
    "the same label twice, and none": lambda path: write_edf(
        path, [Signal(label, every_16_bit_value(), 256) for label in ("EEG", "EEG", "")]
    ),
    "trigger channel": lambda path: write_edf(
        path, [Signal(name, some_24_bit_values(), 256) for name in ("Status", "A1")], bdf=True
    ),
    "never closed": never_closed,
    "bytes after the end": lambda path: path.write_bytes(edf(path).read_bytes() + bytes(205)),
    "the demo": lambda path: path.write_bytes(EXCERPT.read_bytes()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_bit_equals_mne(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "night.edf"
    KINDS[kind](path)
    check_every_channel(path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Path]:
    folder = tmp_path_factory.mktemp("scales")
    return lambda is_bdf: (bdf if is_bdf else edf)(folder / f"night-{is_bdf}.edf")


numbers = st.floats(-99999, 99999).map(lambda x: f"{x:.5f}"[:8])


@settings(deadline=None, max_examples=50)
@given(
    is_bdf=st.booleans(),
    physical=st.tuples(numbers, numbers),
    digital=st.tuples(numbers, numbers),
    unit=st.sampled_from(["uV", "mV", "nV", "V", "counts"]),
)
@example(is_bdf=False, physical=("1e-40", "2e-40"), digital=("0", "1"), unit="nV")
def test_any_scale_equals_mne(
    plain: Callable[[bool], Path],
    is_bdf: bool,
    physical: tuple[str, str],
    digital: tuple[str, str],
    unit: str,
) -> None:
    path = plain(is_bdf)
    patch_signal(
        path,
        0,
        unit=unit,
        physical_min=physical[0],
        physical_max=physical[1],
        digital_min=digital[0],
        digital_max=digital[1],
    )
    if float(physical[0]) == float(physical[1]) or float(digital[0]) == float(digital[1]):
        header = read_header(path)
        with pytest.raises(InputError, match="does not define the scale"):
            ChannelReader(header, header.signals[0])
    else:
        check_every_channel(path)
