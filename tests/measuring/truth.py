"""The lag of stored epochs behind what the headband measured, to a fraction of a sample.

This uses neither the monitor's filters nor its clocks. The true signal is known at every moment, so
its correlation with a stored epoch shows the lag between them.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, lfilter

from models.contract import EPOCH_SAMPLES
from models.contract import SFREQ_HZ as GRID_HZ
from monitor.conditioning.grid import delay_s
from monitor.types import F64, Epoch
from tests.live.headband_signals import HeadbandSignal

FILTER_DELAY_S = delay_s()
"""The constant delay of the conditioning, about 90 ms. It is known, so it is no error of the grid.
"""

WARM_UP_S = 20.0
"""Signal before the epoch, in which the high-pass filter settles."""

BAND_HZ = (1.0, 28.0)
FINER = 64
"""The correlation is computed in steps of 1/64 sample."""

SEARCH_S = 5.0


def true_signal(
    truth: HeadbandSignal,
    channels: tuple[str, ...],
    t0_utc_s: float,
    start_s: float,
    ppm: float = 0.0,
) -> F64 | None:
    """Return each of ``channels`` as an epoch that starts at ``start_s`` (unix seconds) should hold
    it, float64 (n_channels, 3000); None if the headband did not measure all of it.

    The device measured its first sample at ``t0_utc_s`` and is fast by ``ppm``.
    """
    rate_hz = truth.rate_hz * (1.0 + 1e-6 * ppm)
    since_s = start_s - t0_utc_s - FILTER_DELAY_S
    first = int(np.floor((since_s - WARM_UP_S) * rate_hz)) - 64
    stop = int(np.ceil((since_s + EPOCH_SAMPLES / GRID_HZ) * rate_hz)) + 64
    if first < 0 or stop > truth.n_samples:
        return None
    rows = [truth.channels.index(name) for name in channels]
    data = truth.read(first, stop)[rows].astype(np.float64)
    # Band-limited interpolation: to 8 times the rate by Fourier, then by straight lines.
    n = data.shape[1]
    taper = np.ones(n)
    taper[:64] = np.sin(np.linspace(0, np.pi / 2, 64)) ** 2
    taper[-64:] = taper[63::-1]
    padded = np.pad(np.fft.rfft(data * taper), ((0, 0), (0, n * 8 // 2 - n // 2)))
    fine = np.fft.irfft(padded, n * 8) * 8
    n_warm = round(WARM_UP_S * GRID_HZ)
    wanted = since_s + (np.arange(-n_warm, EPOCH_SAMPLES)) / GRID_HZ
    at = (wanted * rate_hz - first) * 8
    grid = np.array([np.interp(at, np.arange(fine.shape[1]), row) for row in fine])
    b, a = butter(2, 0.3, "highpass", fs=GRID_HZ)
    return np.asarray(lfilter(b, a, grid, axis=1)[:, n_warm:])


def lag_samples(stored: F64, true: F64) -> tuple[float, float]:
    """Return how much later (positive) ``stored`` is than ``true``, in 100 Hz samples, and the
    likeness of the two once they are aligned, up to 1. Both are float64 (3000,).

    Every frequency of the band counts the same. Otherwise slow waves would blur the peak.
    """
    n = stored.size
    window = np.hanning(n)
    cross = np.fft.rfft(stored * window) * np.conj(np.fft.rfft(true * window))
    freqs_hz = np.fft.rfftfreq(n, 1.0 / GRID_HZ)
    inside = (freqs_hz >= BAND_HZ[0]) & (freqs_hz <= BAND_HZ[1])
    phase = np.where(inside, cross / np.maximum(np.abs(cross), 1e-12), 0.0)
    fine = np.fft.irfft(np.pad(phase, (0, n * FINER // 2 - n // 2)), n * FINER)
    lags = np.fft.fftfreq(fine.size, 1.0 / fine.size).astype(int)
    near = np.abs(lags) <= SEARCH_S * GRID_HZ * FINER
    peak = int(np.flatnonzero(near)[np.argmax(fine[near])])
    # The vertex of a parabola through the peak and its neighbours.
    y = fine[[peak - 1, peak, (peak + 1) % fine.size]]
    bend = y[0] - 2 * y[1] + y[2]
    vertex = 0.5 * (y[0] - y[2]) / bend if bend else 0.0
    likeness = fine[peak] * n * FINER / 2 / max(1, inside.sum())
    return float((lags[peak] + vertex) / FINER), float(likeness)


def epoch_lag(
    epoch: Epoch,
    channels: tuple[str, ...],
    truth: HeadbandSignal,
    t0_utc_s: float,
    ppm: float = 0.0,
) -> tuple[float, float] | None:
    """Return `lag_samples` of an epoch's staged derivation; None if the epoch has holes or was not
    measured whole.

    ``channels`` are those of the session.
    """
    stored = epoch.staged_uv.astype(np.float64)
    if not np.isfinite(stored).all() or epoch.quality.reason is not None:
        return None
    true = true_signal(truth, channels, t0_utc_s, epoch.start_utc.timestamp(), ppm)
    if true is None:
        return None
    return lag_samples(stored, epoch.derivation.of(true))  # type: ignore[arg-type]
