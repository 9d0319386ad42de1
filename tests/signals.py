"""Made-up signals for tests, and the epochs that the conditioning makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from models.contract import Gain
from monitor.conditioning.conditioner import Conditioner
from monitor.types import F32, F64, EegChunk, Epoch, Montage

START = datetime(2026, 1, 1, 22, 0, tzinfo=UTC)


def pink_noise_uv(n_samples: int, seed: int = 1, rms_uv: float = 20.0) -> F32:
    """Return one channel of EEG-like noise, float32 (1, n_samples): power falls with 1 / f."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n_samples))
    spectrum[1:] /= np.sqrt(np.arange(1, spectrum.size))
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, n_samples)
    scaled: F32 = (noise / noise.std() * rms_uv).astype(np.float32)[None]
    return scaled


def chunk(data_uv: F32, times_s: F64, sfreq_hz: float) -> EegChunk:
    """Return samples of one channel, called EEG, as a chunk."""
    return EegChunk(data_uv, times_s, ("EEG",), sfreq_hz)


def cut(data_uv: F32, times_s: F64, sfreq_hz: float, at: Iterable[int]) -> list[EegChunk]:
    """Return the samples as chunks, cut at the given sample numbers."""
    edges = [0, *sorted(set(at)), times_s.size]
    return [chunk(data_uv[:, a:b], times_s[a:b], sfreq_hz) for a, b in itertools.pairwise(edges)]


def condition(
    chunks: Sequence[EegChunk], origin_s: float = 0.0, gain: Gain = Gain.KNOWN
) -> list[Epoch]:
    """Pass all chunks through a new conditioner; return its epochs."""
    first = chunks[0]
    montage = Montage.of_one(first.channels[0])
    conditioner = Conditioner(montage, first.sfreq_hz, origin_s, START, gain)
    epochs = [epoch for each in chunks for epoch in conditioner.push(each)]
    return epochs + conditioner.finish()


def same(a: Sequence[Epoch], b: Sequence[Epoch]) -> bool:
    """Return True if two runs gave the same epochs, bit for bit."""
    return len(a) == len(b) and all(
        np.array_equal(x.data_uv, y.data_uv, equal_nan=True)
        and x.quality == y.quality
        and x.ledger == y.ledger
        for x, y in zip(a, b, strict=True)
    )
