"""Where stored epochs lie against what the headband really measured, to a fraction of a sample.

Independent of the monitor's own filters and clocks: the signal is known at every moment, so the
lag between it and a stored epoch is found by correlating the two.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, lfilter

from monitor.conditioning.grid import delay_s
from monitor.types import Epoch
from tests.live.faults import F64
from tests.live.signals import Signal

GRID_HZ = 100.0
EPOCH_SAMPLES = 3000
FILTER_DELAY_S = delay_s()
"""The conditioning's constant delay, about 90 ms: known, and no error of the grid."""

WARM_UP_S = 20.0
BAND_HZ = (1.0, 28.0)
FINER = 64
SEARCH_S = 5.0


def true_signal(
    what: Signal, channels: tuple[str, ...], t0_utc_s: float, start_s: float, ppm: float = 0.0
) -> F64 | None:
    """Each of ``channels``, (n_channels, 3000), as an epoch that starts at ``start_s`` (unix
    seconds) should hold them; None if the headband did not measure all of it.

    ``t0_utc_s`` is when the first sample was measured; ``ppm`` how fast the device really is.
    """
    rate_hz = what.rate_hz * (1.0 + 1e-6 * ppm)
    since_s = start_s - t0_utc_s - FILTER_DELAY_S
    first = int(np.floor((since_s - WARM_UP_S) * rate_hz)) - 64
    stop = int(np.ceil((since_s + EPOCH_SAMPLES / GRID_HZ) * rate_hz)) + 64
    if first < 0 or stop > what.n_samples:
        return None
    rows = [what.channels.index(name) for name in channels]
    data = what.read(first, stop)[rows].astype(np.float64)
    # Band-limited interpolation: far finer by Fourier, then a straight line.
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
    """How much later (positive) ``stored`` is than ``true``, both (3000,), in 100 Hz samples; and
    how alike the two are once in place, up to 1.

    Every frequency of the band counts the same, or slow waves would blur the peak.
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
    y = fine[[peak - 1, peak, (peak + 1) % fine.size]]
    bend = y[0] - 2 * y[1] + y[2]
    vertex = 0.5 * (y[0] - y[2]) / bend if bend else 0.0
    likeness = fine[peak] * n * FINER / 2 / max(1, inside.sum())
    return float((lags[peak] + vertex) / FINER), float(likeness)


def epoch_lag(
    epoch: Epoch, channels: tuple[str, ...], what: Signal, t0_utc_s: float, ppm: float = 0.0
) -> tuple[float, float] | None:
    """`lag_samples` of an epoch's staged derivation; None if it has holes or no known truth.

    ``channels`` are the session's.
    """
    stored = epoch.staged_uv.astype(np.float64)
    if not np.isfinite(stored).all() or epoch.quality.reason is not None:
        return None
    true = true_signal(what, channels, t0_utc_s, epoch.start_utc.timestamp(), ppm)
    if true is None:
        return None
    return lag_samples(stored, epoch.derivation.of(true))  # type: ignore[arg-type]
