"""The spectrogram of a night: power at its true frequency, level and time."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import pytest

from monitor.report.png import png_url
from monitor.report.spectrogram import LOW_HZ, ROW_HZ, spectrogram
from monitor.types import F32

TIME_S = np.arange(3000) / 100.0


def sine(hz: float, amplitude_uv: float = 20.0) -> F32:
    return (amplitude_uv * np.sin(2 * np.pi * hz * TIME_S)).astype(np.float32)


@pytest.mark.parametrize("hz", [2.25, 10.25, 13.25, 28.25])
def test_a_sine_is_in_its_row(hz: float) -> None:
    found = spectrogram([(1, sine(hz))], 3, scored=[1])
    assert found.db.shape == (59, 3)
    assert np.isnan(found.db[:, [0, 2]]).all()  # epochs without a signal
    assert int(found.db[:, 1].argmax()) == int((hz - LOW_HZ) / ROW_HZ)


def test_the_level_is_that_of_a_spectral_density() -> None:
    """White noise of 10 uV at 100 Hz has 100 uV^2 in 50 Hz: 2 uV^2/Hz, 3 dB."""
    noise = np.random.default_rng(1).normal(0.0, 10.0, (4, 3000)).astype(np.float32)
    found = spectrogram(enumerate(noise), 4, scored=range(4))
    assert float(found.db.mean()) == pytest.approx(3.0, abs=0.3)
    assert found.band_db(12, 15, 0, 4) == pytest.approx(3.0, abs=0.5)


def test_what_is_lost_changes_the_level_little() -> None:
    noise = np.random.default_rng(2).normal(0.0, 10.0, 3000).astype(np.float32)
    holed = noise.copy()
    holed[900:1900] = np.nan
    mostly_lost = np.where(np.arange(3000) < 1600, np.nan, noise).astype(np.float32)
    found = spectrogram([(0, noise), (1, holed), (2, mostly_lost)], 3, scored=[0])
    assert float(found.db[:, 1].mean()) == pytest.approx(float(found.db[:, 0].mean()), abs=0.5)
    assert np.isnan(found.db[:, 2]).all()
    assert found.band_db(0.5, 4, 2, 3) is None


def test_the_colours_are_those_of_scored_epochs() -> None:
    noise = np.random.default_rng(3).normal(0.0, 10.0, (3, 3000)).astype(np.float32)
    noise[2] *= 100.0  # a movement
    found = spectrogram(enumerate(noise), 3, scored=[0, 1])
    assert found.high_db < 10.0 < float(found.db[:, 2].min())
    assert spectrogram([], 2, scored=[]).low_db == 0.0


def test_a_picture_holds_its_levels() -> None:
    levels = np.array([[0, 1], [2, 1]], np.uint8)
    data = base64.b64decode(png_url(levels, [(255, 0, 0), (0, 255, 0)]).partition(",")[2])
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (2, 2)
    start = data.index(b"IDAT")
    length = int.from_bytes(data[start - 4 : start], "big")
    assert zlib.decompress(data[start + 4 : start + 4 + length]) == bytes([0, 0, 1, 0, 2, 1])
