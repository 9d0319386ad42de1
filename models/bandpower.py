"""Band powers of an epoch: a fixed input of the network, which can be trained without raw nights.

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
"""Added to every band's power before the log, so that the log power of a flat epoch is finite. The
power of real EEG is 1e5 times as high."""

_WINDOW = int(WINDOW_S * SFREQ_HZ)
_HOP = _WINDOW // 2


@lru_cache(maxsize=8)
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return two matrices on ``device``: the windowed Fourier transform, and power to band powers.

    The transform is (400, 2 K): cosines, then sines, of the K frequencies that lie in a band. It is
    a matrix because a matrix product runs everywhere, also in TensorRT, which has no Fourier
    transform. The second matrix is (K, 5). It integrates each band by the trapezoidal rule and
    includes the scale of a one-sided density, so that the result is in uV^2.
    """
    window = np.hamming(_WINDOW + 1)[:-1]  # periodic: one period of an endless window
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
        bands[edge, column] *= 0.5  # trapezoidal rule
    return (
        torch.tensor(transform, dtype=torch.float32, device=device),
        torch.tensor(bands, dtype=torch.float32, device=device),
    )


def _median_bias(n: int) -> float:
    """Return the expected median of ``n`` unit exponentials (Allen et al. 2012, as in scipy).

    The median of noise power is below its mean; dividing by this number corrects that.
    """
    pairs = 2 * np.arange(1, (n - 1) // 2 + 1)
    return float(1 + np.sum(1 / (pairs + 1) - 1 / pairs))


def log_band_power(epochs_uv: Tensor) -> Tensor:
    """Compute the natural log of the power in each of `BANDS_HZ`, in ln(uV^2).

    Parameters
    ----------
    epochs_uv : float32 (B, n_samples), microvolts at 100 Hz; at least 4 s. Not written to.

    Returns
    -------
    float32 (B, 5). Inverting the signal or adding an offset does not change it; multiplying the
    signal by g adds 2 ln(g).

    Raises
    ------
    ValueError
        ``epochs_uv`` has another shape.
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
    """Compute the network's ten features: five log powers, then five relative powers.

    Parameters
    ----------
    log_power : float32 (..., 5), ln(uV^2); if ``gain_free``, ln of any unit.
    gain_free : True subtracts the log of the total power from the log powers, so that a gain
        cancels.

    Returns
    -------
    float32 (..., 10).
    """
    log_relative = log_power - log_power.logsumexp(dim=-1, keepdim=True)
    logs = log_relative if gain_free else log_power
    return torch.cat([logs, log_relative.exp()], dim=-1)
