"""Spectrogram of an epoch as SleepTransformer and XSleepNet use it: 29 frames x 128 bins in dB.

Hamming window of 2 s, hop 1 s, 256-point transform, 20 log10 |X|, without the bin at 0 Hz
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
"""Shape of an epoch's spectrogram with the default `SpectrogramSpec`."""


@lru_cache(maxsize=8)
def _transform(samples: int, n_fft: int, device: torch.device) -> Tensor:
    """Return the windowed Fourier transform as a matrix, (samples, 2 K).

    Its columns are the cosines, then the sines, of the K frequencies above zero. `models.bandpower`
    explains why the transform is a matrix.
    """
    bins = np.arange(1, n_fft // 2 + 1)
    angle = 2.0 * np.pi * np.outer(np.arange(samples), bins) / n_fft  # (samples, K)
    transform = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    transform *= np.hamming(samples)[:, None]
    return torch.tensor(transform, dtype=torch.float32, device=device)


def log_spectrogram(epochs_uv: Tensor, spec: SpectrogramSpec) -> Tensor:
    """Compute the short-time spectrum in dB: 20 log10(|X| + epsilon).

    Parameters
    ----------
    epochs_uv : float32 (B, 3000), microvolts at 100 Hz. Not written to.
    spec : window, hop and transform.

    Returns
    -------
    float32 (B, 29, 128) with the default ``spec``. Inverting the signal does not change it.

    Raises
    ------
    ValueError
        ``epochs_uv`` has another shape.
    """
    if epochs_uv.ndim != 2 or epochs_uv.shape[1] != EPOCH_SAMPLES:
        raise ValueError(
            f"epochs_uv must be (B, {EPOCH_SAMPLES}), 30 s at 100 Hz, got {tuple(epochs_uv.shape)}"
        )
    samples, hop = round(spec.window_s * SFREQ_HZ), round(spec.hop_s * SFREQ_HZ)
    frames = epochs_uv.unfold(1, samples, hop)  # (B, T, 200)
    real, imaginary = (frames @ _transform(samples, spec.n_fft, epochs_uv.device)).chunk(2, dim=2)
    magnitude = (real.square() + imaginary.square()).sqrt()  # (B, T, 128)
    return 20 * (magnitude + spec.epsilon_uv).log10()
