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
    """Hamming window (400,) and the matrix (201, 5) from periodogram bins to band powers in uV^2.

    The matrix integrates each band by the trapezoidal rule, and carries the one-sided density
    scaling and the median's bias (Allen et al. 2012, as in `scipy.signal.welch`).
    """
    window = np.hamming(_WINDOW + 1)[:-1]  # periodic
    frequencies_hz = np.fft.rfftfreq(_WINDOW, 1 / SFREQ_HZ)
    density = 2.0 / (SFREQ_HZ * np.sum(window**2))
    step_hz = SFREQ_HZ / _WINDOW
    matrix = np.zeros((frequencies_hz.size, N_BANDS))
    for column, (_, low_hz, high_hz) in enumerate(BANDS_HZ):
        inside = (frequencies_hz >= low_hz) & (frequencies_hz <= high_hz)
        edge = (frequencies_hz == low_hz) | (frequencies_hz == high_hz)
        matrix[inside, column] = step_hz * density
        matrix[edge, column] *= 0.5
    return (
        torch.tensor(window, dtype=torch.float32, device=device),
        torch.tensor(matrix, dtype=torch.float32, device=device),
    )


def _median_bias(n: int) -> float:
    """Expected median of ``n`` unit exponentials."""
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
    window, bins_to_bands = _constants(epochs_uv.device)
    segments = epochs_uv.unfold(1, _WINDOW, _HOP)  # (B, S, 400)
    segments = (segments - segments.mean(dim=2, keepdim=True)) * window
    spectra = torch.view_as_real(torch.fft.rfft(segments))  # (B, S, 201, 2)
    power = spectra.square().sum(dim=3).sort(dim=1).values  # (B, S, 201)
    n = power.shape[1]
    median = (power[:, (n - 1) // 2] + power[:, n // 2]) * (0.5 / _median_bias(n))  # (B, 201)
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
