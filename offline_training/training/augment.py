"""Random distortions of raw epochs, as SleePyCo applies them (Lee et al. 2024).

Each function takes epochs float32 (B, 3000) in microvolts at 100 Hz and a generator on their
device, and returns new ones; every epoch has its own draw. `augment` applies each of them to
every epoch with probability one half.
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
"""Amplitude between 1 / GAIN and GAIN times the true one (SleePyCo)."""
SMALL_GAIN = 1.1
"""The same where amplitude carries information: about what electrodes and recorders differ by."""


def uniform(low: float, high: float, like: Tensor, random: Generator) -> Tensor:
    """One number for each epoch of ``like``, (B, 1)."""
    drawn = torch.rand(len(like), 1, generator=random, device=like.device)
    return low + (high - low) * drawn


def amplitude(epochs_uv: Tensor, random: Generator, gain: float = GAIN) -> Tensor:
    """Scaled by a factor from 1 / ``gain`` to ``gain``, uniform."""
    return epochs_uv * uniform(1 / gain, gain, epochs_uv, random)


def shift(epochs_uv: Tensor, random: Generator) -> Tensor:
    """Moved in time by up to 3 s; what leaves at one end comes in at the other."""
    most = round(MAX_SHIFT_S * SFREQ_HZ)
    by = uniform(-most, most, epochs_uv, random).round().long()  # (B, 1)
    n = epochs_uv.shape[1]
    return epochs_uv.gather(1, (torch.arange(n, device=epochs_uv.device) - by) % n)


def offset(epochs_uv: Tensor, random: Generator) -> Tensor:
    """A constant of up to 10 uV added."""
    return epochs_uv + uniform(-MAX_OFFSET_UV, MAX_OFFSET_UV, epochs_uv, random)


def zero_mask(epochs_uv: Tensor, random: Generator) -> Tensor:
    """A stretch of up to 3 s set to zero."""
    n = epochs_uv.shape[1]
    length = uniform(0, MAX_HIDDEN_S * SFREQ_HZ, epochs_uv, random)
    start = uniform(0, 1, epochs_uv, random) * (n - length)
    at = torch.arange(n, device=epochs_uv.device)
    return epochs_uv.masked_fill((at >= start) & (at < start + length), 0.0)


def noise(epochs_uv: Tensor, random: Generator) -> Tensor:
    """White Gaussian noise with a standard deviation of up to 0.2 uV."""
    white = torch.randn(epochs_uv.shape, generator=random, device=epochs_uv.device)
    return epochs_uv + uniform(0, MAX_NOISE_UV, epochs_uv, random) * white


def band_stop(epochs_uv: Tensor, random: Generator) -> Tensor:
    """A band of 2 Hz between 0.5 and 30 Hz taken out."""
    n = epochs_uv.shape[1]
    low_hz = uniform(STOP_BAND_HZ[0], STOP_BAND_HZ[1] - STOP_WIDTH_HZ, epochs_uv, random)
    frequency_hz = torch.fft.rfftfreq(n, 1 / SFREQ_HZ, device=epochs_uv.device)
    stopped = (frequency_hz >= low_hz) & (frequency_hz <= low_hz + STOP_WIDTH_HZ)  # (B, F)
    kept: Tensor = torch.fft.irfft(torch.fft.rfft(epochs_uv).masked_fill(stopped, 0.0), n)
    return kept


def augmentations(keep_amplitude: bool) -> list[Augmentation]:
    """All six; ``keep_amplitude`` where the network is to read microvolts."""
    gain = SMALL_GAIN if keep_amplitude else GAIN
    return [partial(amplitude, gain=gain), shift, offset, zero_mask, noise, band_stop]


@torch.no_grad()
def augment(epochs_uv: Tensor, chain: list[Augmentation], random: Generator) -> Tensor:
    """Every epoch (B, 3000) through a random choice of ``chain``, in its order."""
    for change in chain:
        changed = change(epochs_uv, random)
        chosen = torch.rand(len(epochs_uv), 1, generator=random, device=epochs_uv.device)
        epochs_uv = torch.where(chosen < PROBABILITY, changed, epochs_uv)
    return epochs_uv
