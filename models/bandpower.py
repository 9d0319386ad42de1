"""Band powers of an epoch: the fixed path of the network that needs no raw night to be trained.

Welch's method (Welch 1967): Hamming windows of 4 s, half overlapping, median average over the
14 segments (robust against a movement inside the epoch), natural log of the power in five bands.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from models.contract import SFREQ_HZ

BANDS_HZ: tuple[tuple[str, float, float], ...] = (
    ("delta", 0.5, 4.0),
    ("theta", 4.0, 8.0),
    ("alpha", 8.0, 12.0),
    ("sigma", 12.0, 16.0),
    ("beta", 16.0, 30.0),
)
"""Name, lower and upper edge of each band."""

N_BANDS = len(BANDS_HZ)
WINDOW_S = 4.0
POWER_FLOOR_UV2 = 1e-6
"""Added to every band's power before the log. A flat epoch stays finite; real EEG is 1e5 above."""

_WINDOW = int(WINDOW_S * SFREQ_HZ)
_HOP = _WINDOW // 2


@lru_cache(maxsize=8)
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """The windowed Fourier transform as a matrix, and what takes its power to band powers.

    (400, 2 K), cosines then sines, of the K frequencies that lie in a band: as a matrix product
    it runs wherever the network does, also where there is no Fourier transform (TensorRT).
    (K, 5), in uV^2: integrates each band by the trapezoidal rule, and carries the one-sided density
    scaling.
    """
    window = np.hamming(_WINDOW + 1)[:-1]  # periodic
    every_hz = np.fft.rfftfreq(_WINDOW, 1 / SFREQ_HZ)
    bins = np.flatnonzero((every_hz >= BANDS_HZ[0][1]) & (every_hz <= BANDS_HZ[-1][2]))
    angle = 2.0 * np.pi * np.outer(np.arange(_WINDOW), bins) / _WINDOW  # (400, K)
    transform = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) * window[:, None]
    frequencies_hz = every_hz[bins]
    density = 2.0 / (SFREQ_HZ * np.sum(window**2))
    step_hz = SFREQ_HZ / _WINDOW
    bands = np.zeros((bins.size, N_BANDS))
    for column, (_, low_hz, high_hz) in enumerate(BANDS_HZ):
        inside = (frequencies_hz >= low_hz) & (frequencies_hz <= high_hz)
        edge = (frequencies_hz == low_hz) | (frequencies_hz == high_hz)
        bands[inside, column] = step_hz * density
        bands[edge, column] *= 0.5
    return (
        torch.tensor(transform, dtype=torch.float32, device=device),
        torch.tensor(bands, dtype=torch.float32, device=device),
    )


def _median_bias(n: int) -> float:
    """Expected median of ``n`` unit exponentials (Allen et al. 2012; so does scipy)."""
    pairs = 2 * np.arange(1, (n - 1) // 2 + 1)
    return float(1 + np.sum(1 / (pairs + 1) - 1 / pairs))


def log_band_power(epochs_uv: Tensor) -> Tensor:
    """Natural log of the power in `BANDS_HZ`, in ln(uV^2).

    Parameters
    ----------
    epochs_uv : float32 (B, n_samples), microvolts at 100 Hz; at least 4 s. Not written to.

    Returns
    -------
    float32 (B, 5). Polarity and offset leave it unchanged; a gain g adds 2 ln(g).
    """
    if epochs_uv.ndim != 2 or epochs_uv.shape[1] < _WINDOW:
        raise ValueError(
            f"epochs_uv must be (B, n_samples) with n_samples >= {_WINDOW}, "
            f"got {tuple(epochs_uv.shape)}"
        )
    transform, bins_to_bands = _constants(epochs_uv.device)
    segments = epochs_uv.unfold(1, _WINDOW, _HOP)  # (B, S, 400)
    spectra = (segments - segments.mean(dim=2, keepdim=True)) @ transform  # (B, S, 2 K)
    real, imaginary = spectra.chunk(2, dim=2)
    power = (real.square() + imaginary.square()).sort(dim=1).values  # (B, S, K)
    n = power.shape[1]
    median = (power[:, (n - 1) // 2] + power[:, n // 2]) * (0.5 / _median_bias(n))  # (B, K)
    return (median @ bins_to_bands + POWER_FLOOR_UV2).log()


def band_features(log_power: Tensor, gain_free: bool) -> Tensor:
    """What the network reads from log powers: the logs, then the five relative powers.

    Parameters
    ----------
    log_power : float32 (..., 5), ln(uV^2), or ln of any other unit if ``gain_free``.
    gain_free : log powers are taken relative to their sum, so that a gain cancels.

    Returns
    -------
    float32 (..., 10).
    """
    log_relative = log_power - log_power.logsumexp(dim=-1, keepdim=True)
    logs = log_relative if gain_free else log_power
    return torch.cat([logs, log_relative.exp()], dim=-1)
