"""Signals that a headband measures: made-up nights of any length, and recordings.

They are the ground truth as well: tests read them again and compare.
"""

from __future__ import annotations

import gzip
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.types import F32, F64

BLOCK_S = 30.0
FADE_S = 1.0

STAGE_UV = {
    # Microvolts rms in each of `BANDS_HZ`; roughly as in a polysomnogram.
    "W": (6.0, 4.0, 5.0, 12.0, 3.0, 6.0),
    "N1": (9.0, 6.0, 9.0, 5.0, 3.0, 4.0),
    "N2": (16.0, 10.0, 9.0, 4.0, 8.0, 3.0),
    "N3": (45.0, 18.0, 9.0, 3.0, 4.0, 1.5),
    "R": (8.0, 6.0, 10.0, 5.0, 2.0, 4.0),
}
BANDS_HZ = ((0.5, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 12.0), (12.0, 15.0), (15.0, 30.0))

CYCLE = ("N1",) * 4 + ("N2",) * 40 + ("N3",) * 50 + ("N2",) * 40 + ("R",) * 40 + ("W",) * 4
"""Stages of 30-s blocks: a cycle of 89 minutes."""

EVENING = ("W",) * 20


class HeadbandSignal(Protocol):
    """Samples by their number. Every read of a sample returns the same value."""

    channels: tuple[str, ...]
    rate_hz: float
    n_samples: int

    def read(self, start: int, stop: int) -> F32:
        """Return samples ``start`` to ``stop``, float32 (n_channels, n), microvolts."""
        ...

    def times_s(self, start: int, stop: int) -> F64:
        """Return when these samples are measured, float64 (n,), seconds after the first sample."""
        ...

    def due(self, elapsed_s: float) -> int:
        """Return the number of samples measured until ``elapsed_s`` after the first."""
        ...


class _Even:
    """A device whose samples are evenly spaced."""

    rate_hz: float
    n_samples: int

    def times_s(self, start: int, stop: int) -> F64:
        return np.arange(start, stop) / self.rate_hz

    def due(self, elapsed_s: float) -> int:
        return min(self.n_samples, int(elapsed_s * self.rate_hz) + 1)


class MadeUpNight(_Even):
    """Noise shaped like EEG, block by block; the stages follow each other as in a night.

    Frontal channels hold most of the common signal and the channels behind the ears less, so every
    difference of two channels holds a signal of its own. Memory does not grow with the length.
    """

    def __init__(
        self, duration_s: float, channels: Sequence[str], rate_hz: float, seed: int = 0
    ) -> None:
        self.channels = tuple(channels)
        self.rate_hz = rate_hz
        self.n_samples = round(duration_s * rate_hz)
        self._seed = seed
        self._block = round(BLOCK_S * rate_hz)
        self._fade = round(FADE_S * rate_hz)
        self._made: OrderedDict[int, F32] = OrderedDict()

    def read(self, start: int, stop: int) -> F32:
        data_uv = np.zeros((len(self.channels), stop - start), np.float32)
        for number in range((start - self._fade) // self._block, stop // self._block + 1):
            if number < 0:
                continue
            at = number * self._block  # the block ends _fade samples after the next one begins
            first, last = max(start, at), min(stop, at + self._block + self._fade)
            if first < last:
                data_uv[:, first - start : last - start] += self._make(number)[
                    :, first - at : last - at
                ]
        return data_uv

    def _make(self, number: int) -> F32:
        """Return one block and its fade into the next, (n_channels, block + fade)."""
        if number not in self._made:
            rng = np.random.default_rng((self._seed, number))
            n = self._block + self._fade
            made = self._unfaded(rng, n, stage_of(number))
            # The squares of the two ramps add up to 1, so the power stays even in the fade.
            ramp = np.sin(np.linspace(0.0, np.pi / 2, self._fade, endpoint=False))
            made[:, : self._fade] *= ramp
            made[:, -self._fade :] *= np.sqrt(1.0 - ramp**2)
            self._made[number] = made.astype(np.float32)
            if len(self._made) > 4:
                self._made.popitem(last=False)
        return self._made[number]

    def _unfaded(self, rng: np.random.Generator, n: int, stage: str) -> F64:
        freqs_hz = np.fft.rfftfreq(n, 1.0 / self.rate_hz)
        shape = 0.05 / np.maximum(freqs_hz, 0.5)  # a floor of 1/f noise
        for (low, high), rms_uv in zip(BANDS_HZ, STAGE_UV[stage], strict=True):
            inside = (freqs_hz >= low) & (freqs_hz < high)
            shape[inside] += rms_uv / np.sqrt(2.0 * max(1, inside.sum()))
        common = _noise(rng, shape, n)
        rows = [
            (0.3 if name.upper().startswith(("TP", "A1", "A2", "M")) else 1.0) * common
            + 0.4 * _noise(rng, shape, n)
            for name in self.channels
        ]
        return np.array(rows)


def stage_of(number: int) -> str:
    """Return the stage that block ``number`` is shaped like."""
    if number < len(EVENING):
        return EVENING[number]
    return CYCLE[(number - len(EVENING)) % len(CYCLE)]


def _noise(rng: np.random.Generator, shape: F64, n: int) -> F64:
    spectrum = rng.standard_normal(shape.size) + 1j * rng.standard_normal(shape.size)
    return np.asarray(np.fft.irfft(spectrum * shape, n) * n / np.sqrt(2.0))


class Recorded(_Even):
    """A channel of an EDF file, at its own rate."""

    def __init__(self, path: Path, channel: str | None = None) -> None:
        recording = EdfRecording.open(path)
        derivation = choose_derivation(recording.channels, channel)
        pieces = [chunk.data_uv for chunk in recording.chunks(derivation, chunk_s=60.0)]
        self._data_uv = np.concatenate(pieces, axis=1)
        self.channels: tuple[str, ...] = (derivation.name,)
        self.rate_hz = derivation.sfreq_hz
        self.n_samples = self._data_uv.shape[1]

    def read(self, start: int, stop: int) -> F32:
        return self._data_uv[:, start:stop]


class RecordedMuse:
    """A gzipped CSV of muselsl: four channels, with the stamps of the computer that recorded it."""

    channels: tuple[str, ...] = ("TP9", "AF7", "AF8", "TP10")
    rate_hz = 256.0

    def __init__(self, path: Path) -> None:
        with gzip.open(path, "rt", encoding="utf-8") as text:
            table = np.loadtxt(text, delimiter=",", skiprows=1, usecols=range(5))
        self._times_s: F64 = table[:, 0] - table[0, 0]
        self._data_uv = table[:, 1:].T.astype(np.float32)
        self.n_samples = self._times_s.size

    def read(self, start: int, stop: int) -> F32:
        return self._data_uv[:, start:stop]

    def times_s(self, start: int, stop: int) -> F64:
        return self._times_s[start:stop]

    def due(self, elapsed_s: float) -> int:
        return int(np.searchsorted(self._times_s, elapsed_s, side="right"))
