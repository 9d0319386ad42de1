"""Spectrogram of an epoch as SleepTransformer and XSleepNet use it: 29 frames x 128 bins in dB.

Hamming window of 2 s, hop 1 s, 256-point transform, 20 log10 |X|, the constant bin dropped
(Phan et al. 2022, doi:10.1109/TBME.2022.3147187). An epsilon before the log keeps silence finite.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from models.contract import EPOCH_SAMPLES, SFREQ_HZ, SpectrogramSpec

N_FRAMES = 29
N_BINS = 128


@lru_cache(maxsize=8)
def _window(samples: int, device: torch.device) -> Tensor:
    return torch.tensor(np.hamming(samples), dtype=torch.float32, device=device)


def log_spectrogram(epochs_uv: Tensor, spec: SpectrogramSpec) -> Tensor:
    """Short-time spectrum in dB: 20 log10(|X| + epsilon).

    Parameters
    ----------
    epochs_uv : float32 (B, 3000), microvolts at 100 Hz. Not written to.

    Returns
    -------
    float32 (B, 29, 128) with the default ``spec``. Polarity leaves it unchanged.
    """
    if epochs_uv.ndim != 2 or epochs_uv.shape[1] != EPOCH_SAMPLES:
        raise ValueError(
            f"epochs_uv must be (B, {EPOCH_SAMPLES}), 30 s at 100 Hz, got {tuple(epochs_uv.shape)}"
        )
    samples, hop = round(spec.window_s * SFREQ_HZ), round(spec.hop_s * SFREQ_HZ)
    frames = epochs_uv.unfold(1, samples, hop) * _window(samples, epochs_uv.device)  # (B, T, 200)
    spectra = torch.view_as_real(torch.fft.rfft(frames, n=spec.n_fft))  # (B, T, 129, 2)
    magnitude = spectra.square().sum(dim=3).sqrt()[:, :, 1:]  # (B, T, 128)
    return 20 * (magnitude + spec.epsilon_uv).log10()
