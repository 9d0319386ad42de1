"""Random distortions of raw epochs, as SleePyCo applies them (Lee et al. 2024).

Each function takes epochs, float32 (B, 3000) in microvolts at 100 Hz, and a generator on their
device. It returns new epochs and draws anew for each of them. `augment` applies each distortion to
each epoch with probability one half.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor

from models.contract import SFREQ_HZ

Augmentation = Callable[[Tensor, Generator], Tensor]

PROBABILITY = 0.5
MAX_SHIFT_S = 3.0
MAX_OFFSET_UV = 10.0
MAX_HIDDEN_S = 3.0
MAX_NOISE_UV = 0.2
STOP_WIDTH_HZ = 2.0
STOP_BAND_HZ = (0.5, 30.0)
GAIN = 2.0
"""Amplitude is multiplied by 1 / GAIN to GAIN (SleePyCo)."""
SMALL_GAIN = 1.1
"""The same for networks that read amplitude: about how much electrodes and recorders differ."""


def uniform(low: float, high: float, like: Tensor, random: Generator) -> Tensor:
    """Draw one number per epoch of ``like``. float32 (B, 1)."""
    drawn = torch.rand(len(like), 1, generator=random, device=like.device)
    return low + (high - low) * drawn


def amplitude(epochs_uv: Tensor, random: Generator, gain: float = GAIN) -> Tensor:
    """Multiply each epoch by a factor from 1 / ``gain`` to ``gain``, uniform."""
    return epochs_uv * uniform(1 / gain, gain, epochs_uv, random)


def shift(epochs_uv: Tensor, random: Generator) -> Tensor:
    """Move each epoch in time by up to 3 s, circularly."""
    most = round(MAX_SHIFT_S * SFREQ_HZ)
    by = uniform(-most, most, epochs_uv, random).round().long()  # (B, 1)
    n = epochs_uv.shape[1]
    return epochs_uv.gather(1, (torch.arange(n, device=epochs_uv.device) - by) % n)


def offset(epochs_uv: Tensor, random: Generator) -> Tensor:
    """Add a constant of up to 10 uV of either sign to each epoch."""
    return epochs_uv + uniform(-MAX_OFFSET_UV, MAX_OFFSET_UV, epochs_uv, random)


def zero_mask(epochs_uv: Tensor, random: Generator) -> Tensor:
    """Set a stretch of up to 3 s of each epoch to zero."""
    n = epochs_uv.shape[1]
    length = uniform(0, MAX_HIDDEN_S * SFREQ_HZ, epochs_uv, random)
    start = uniform(0, 1, epochs_uv, random) * (n - length)
    at = torch.arange(n, device=epochs_uv.device)
    return epochs_uv.masked_fill((at >= start) & (at < start + length), 0.0)


def noise(epochs_uv: Tensor, random: Generator) -> Tensor:
    """Add white Gaussian noise with a standard deviation of up to 0.2 uV to each epoch."""
    white = torch.randn(epochs_uv.shape, generator=random, device=epochs_uv.device)
    return epochs_uv + uniform(0, MAX_NOISE_UV, epochs_uv, random) * white


def band_stop(epochs_uv: Tensor, random: Generator) -> Tensor:
    """Remove a band of 2 Hz between 0.5 and 30 Hz from each epoch."""
    n = epochs_uv.shape[1]
    low_hz = uniform(STOP_BAND_HZ[0], STOP_BAND_HZ[1] - STOP_WIDTH_HZ, epochs_uv, random)
    frequency_hz = torch.fft.rfftfreq(n, 1 / SFREQ_HZ, device=epochs_uv.device)
    stopped = (frequency_hz >= low_hz) & (frequency_hz <= low_hz + STOP_WIDTH_HZ)  # (B, F)
    kept: Tensor = torch.fft.irfft(torch.fft.rfft(epochs_uv).masked_fill(stopped, 0.0), n)
    return kept


def augmentations(keep_amplitude: bool) -> list[Augmentation]:
    """Return all six distortions. Set ``keep_amplitude`` if the network reads microvolts."""
    gain = SMALL_GAIN if keep_amplitude else GAIN
    return [partial(amplitude, gain=gain), shift, offset, zero_mask, noise, band_stop]


@torch.no_grad()
def augment(epochs_uv: Tensor, chain: list[Augmentation], random: Generator) -> Tensor:
    """Pass each epoch of (B, 3000) through a random choice of ``chain``, in its order."""
    for change in chain:
        changed = change(epochs_uv, random)
        chosen = torch.rand(len(epochs_uv), 1, generator=random, device=epochs_uv.device)
        epochs_uv = torch.where(chosen < PROBABILITY, changed, epochs_uv)
    return epochs_uv
