"""The multitaper spectrogram of a whole night: one column for each epoch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np

from models.contract import EPOCH_S, EPOCH_SAMPLES, SFREQ_HZ
from monitor.types import F32

LOW_HZ, HIGH_HZ = 0.5, 30.0
ROW_HZ = 0.5
"""Height of a row of the picture."""

N_TAPERS = 29
"""With a window of 30 s they resolve 1 Hz: the values for whole nights of Prerau et al. (2017),
https://doi.org/10.1152/physiol.00062.2015."""

MOST_LOST = 0.5
"""An epoch of which more is lost has no column."""

QUANTILES = (0.05, 0.98)
"""Ends of the colour scale: shares of the power of all scored epochs. Movements lie beyond."""

_BATCH = 16  # epochs: 16 x 29 tapers fit into the processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class Spectrogram:
    """The power of each epoch.

    ``db`` float32 (n_rows, n_epochs): dB of 1 uV^2/Hz, NaN without a signal. Row r covers
    `ROW_HZ` from ``LOW_HZ + r * ROW_HZ`` on. ``low_db`` and ``high_db``: ends of a colour scale.
    """

    db: F32
    low_db: float
    high_db: float

    def band_db(self, low_hz: float, high_hz: float, first: int, stop: int) -> float | None:
        """Return the mean power of a band in some epochs; None if they have no signal."""
        rows = slice(round((low_hz - LOW_HZ) / ROW_HZ), round((high_hz - LOW_HZ) / ROW_HZ))
        power = 10.0 ** (self.db[rows, first:stop].astype(np.float64) / 10.0)
        known = power[np.isfinite(power)]
        return float(10.0 * np.log10(known.mean())) if known.size else None


def spectrogram(
    signals: Iterable[tuple[int, F32]], n_epochs: int, scored: Iterable[int]
) -> Spectrogram:
    """Compute the spectrogram of ``signals``: the index and the staged signal of epochs.

    A signal is float32 (3000,) in microvolts, NaN where lost. ``scored``: the epochs that decide
    the colour scale.
    """
    n_rows = round((HIGH_HZ - LOW_HZ) / ROW_HZ)
    db = np.full((n_rows, n_epochs), np.nan, np.float32)
    rest = iter(signals)
    while batch := list(islice(rest, _BATCH)):
        indices = [index for index, _ in batch]
        db[:, indices] = _multitaper_db(np.stack([signal for _, signal in batch])).T
    chosen = db[:, list(scored)]
    known = chosen[np.isfinite(chosen)]
    if not known.size:
        known = np.zeros(1, np.float32)
    low_db, high_db = np.quantile(known, QUANTILES)
    return Spectrogram(db, float(low_db), float(max(high_db, low_db + 1.0)))


def _multitaper_db(signals_uv: F32) -> F32:
    """Return the power of epochs (n, 3000) in dB, (n, n_rows)."""
    lost = np.isnan(signals_uv)
    share = lost.mean(axis=1)
    with np.errstate(invalid="ignore"):
        means = np.where(lost, 0.0, signals_uv).sum(axis=1) / np.maximum(1, (~lost).sum(axis=1))
    whole = np.where(lost, 0.0, signals_uv - means[:, None]).astype(np.float32)
    spectra = np.fft.rfft(whole[:, None, :] * _tapers(), axis=-1)  # (n, n_tapers, n_bins)
    power = (spectra.real**2 + spectra.imag**2).mean(axis=1) * (2.0 / SFREQ_HZ)
    power /= np.maximum(1.0 - share, 1e-3)[:, None]  # what is lost has no power
    per_row = round(ROW_HZ * EPOCH_S)
    first = round(LOW_HZ * EPOCH_S)
    n_rows = round((HIGH_HZ - LOW_HZ) / ROW_HZ)
    rows = power[:, first : first + n_rows * per_row].reshape(len(power), n_rows, per_row)
    db = 10.0 * np.log10(rows.mean(axis=2) + 1e-9)
    db[share > MOST_LOST] = np.nan
    result: F32 = db.astype(np.float32)
    return result


@cache
def _tapers() -> F32:
    """Return the sine tapers, float32 (n_tapers, 3000), each of unit energy.

    Riedel & Sidorenko (1995), https://doi.org/10.1109/78.365298. They come from a formula, so that
    `scipy.signal`, which takes long to import, is not needed for those of Slepian.
    """
    orders, times = np.arange(1, N_TAPERS + 1)[:, None], np.arange(1, EPOCH_SAMPLES + 1)
    length = EPOCH_SAMPLES + 1
    tapers: F32 = (np.sqrt(2 / length) * np.sin(np.pi * orders * times / length)).astype(np.float32)
    return tapers
