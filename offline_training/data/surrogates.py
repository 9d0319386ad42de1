"""Surrogate EEG: noise with the measured band powers and kurtosis of real epochs, made on demand.

If no raw night is available, the raw and spectrogram branches learn from surrogates. Nothing in the
signal depends on its label. An epoch is Gaussian noise in overlapping 4-s windows, shaped to the
five band powers that were measured in that epoch of Sleep-EDF. A slow amplitude modulation gives it
the kurtosis that was measured there. The shapes of a real epoch (spindles, K-complexes, eye
movements) are missing, so surrogates can teach little more than band powers do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.interpolate import PchipInterpolator
from scipy.signal import lfilter

from models.bandpower import BANDS_HZ, log_band_power
from models.contract import EPOCH_SAMPLES, SFREQ_HZ, STAGES
from monitor.errors import InputError
from offline_training.arrays import F32, F64, I64, Bool
from offline_training.data.bandpowers import BandPowerNight
from offline_training.data.licences import ODC_BY
from offline_training.data.npz import read_npz

DATASET = "sleep-edf-cassette-surrogate"
TIMEDOMAIN_FILE = "sleep_edf_timedomain.npz"

# Samples: 4-s windows that overlap by half.
_WINDOW = 400
_HOP = 200
_FREQUENCIES_HZ = np.fft.rfftfreq(_WINDOW, 1 / SFREQ_HZ)
_EDGES_HZ = np.array([low for _, low, _ in BANDS_HZ] + [BANDS_HZ[-1][2]])
_CENTRES_LN = np.log(np.sqrt(_EDGES_HZ[:-1] * _EDGES_HZ[1:]))
_WIDTHS_LN = np.log(np.diff(_EDGES_HZ))
_PASSES = 2
"""Number of corrections of the spectrum. After two, band powers are off by a few hundredths of an
ln unit."""

_MODULATION_S = 1.5
"""Time constant of the amplitude modulation, between the length of a spindle and of an arousal."""

_MAX_KURTOSIS = 6.0
_TILT_LN = 0.5
"""Standard deviation, in ln units, of the spectrum's slope above 30 Hz and below 0.5 Hz: nothing
was measured there."""


@dataclass(frozen=True, slots=True, eq=False)
class SurrogateRecording:
    """A `LabelledNight` of surrogate EEG.

    - The same stretch of epochs always has the same samples. Every other stretch has other samples,
      even if the two share epochs. So training is reproducible and rarely sees a sample twice.
    - ``kurtosis``: float64 (n,), the excess kurtosis that each epoch should have.
    - An epoch without a stage is not usable; its samples are zeros.
    """

    night: BandPowerNight
    kurtosis: F64
    seed: tuple[int, int]

    @property
    def name(self) -> str:
        return f"{self.night.recording}-surrogate"

    @property
    def subject(self) -> str:
        return self.night.subject

    @property
    def dataset(self) -> str:
        return DATASET

    @property
    def licence(self) -> str:
        return ODC_BY

    @property
    def sha256(self) -> str:
        drawn_from = (self.night.log_power, self.kurtosis, np.array(self.seed))
        return hashlib.sha256(b"".join(each.tobytes() for each in drawn_from)).hexdigest()

    @property
    def stage(self) -> I64:
        return self.night.stage

    @property
    def usable(self) -> Bool:
        usable: Bool = self.night.stage >= 0
        return usable

    def epochs_uv(self, start: int, stop: int) -> F32:
        """Make epochs ``start`` to ``stop``: float32 (stop - start, 3000), microvolts at 100 Hz."""
        random = np.random.default_rng([*self.seed, start, stop])
        usable = self.usable[start:stop]
        wanted = np.where(usable[:, None], self.night.log_power[start:stop], 0.0)
        epochs = synthesise(wanted, self.kurtosis[start:stop], random)
        return np.where(usable[:, None], epochs, np.float32(0))


def surrogate_recordings(
    nights: Sequence[BandPowerNight], directory: Path, seed: int
) -> list[SurrogateRecording]:
    """Make surrogates of ``nights``, whose band powers are in uV^2.

    The kurtosis of each epoch is read from ``directory``/sleep_edf_timedomain.npz. A quarter of the
    epochs have none there; they get the median of their stage over all nights.

    Raises
    ------
    InputError
        The file is missing or has another number of epochs than the nights.
    """
    path = directory / TIMEDOMAIN_FILE
    if not path.is_file():
        raise InputError(f"--data must hold {TIMEDOMAIN_FILE}; there is none in {directory}")
    saved = read_npz(path, ("features", "names"))
    try:
        kurtosis = saved["features"][:, list(saved["names"]).index("kurtosis")]
    except (ValueError, IndexError) as exc:
        raise InputError(f"{path} has no feature called kurtosis") from exc
    lengths = [len(night.stage) for night in nights]
    if len(kurtosis) != sum(lengths):
        raise InputError(
            f"{path} has {len(kurtosis)} epochs, the band powers {sum(lengths)}: "
            "the two files do not belong together"
        )
    stage = np.concatenate([night.stage for night in nights])
    for s in range(-1, len(STAGES)):
        at = stage == s
        if at.any():
            known = kurtosis[at & np.isfinite(kurtosis)]
            kurtosis[at & ~np.isfinite(kurtosis)] = np.median(known) if len(known) else 0.0
    parts = np.split(kurtosis.astype(np.float64), np.cumsum(lengths)[:-1])
    return [
        SurrogateRecording(night, part, (seed, k))
        for k, (night, part) in enumerate(zip(nights, parts, strict=True))
    ]


def synthesise(
    log_power: npt.NDArray[np.floating], kurtosis: F64, random: np.random.Generator
) -> F32:
    """Make consecutive epochs of noise with these band powers and about this kurtosis.

    Parameters
    ----------
    log_power : (n, 5), ln(uV^2) in `models.bandpower.BANDS_HZ`.
    kurtosis : (n,), excess kurtosis.

    Returns
    -------
    float32 (n, 3000), microvolts at 100 Hz, with the band of conditioned signals: 0.3 to 40 Hz.
    """
    n = len(log_power)
    modulation = _modulation(kurtosis, random)  # (n * 3000,)
    n_frames = n * EPOCH_SAMPLES // _HOP + 1
    noise = np.fft.rfft(random.standard_normal((n_frames, _WINDOW)))  # (T, 201)
    tilt = random.normal(0, _TILT_LN, 2)
    epoch_of_frame = np.minimum(np.arange(n_frames) * _HOP // EPOCH_SAMPLES, n - 1)
    wanted = np.asarray(log_power, np.float64)
    # Each pass misses the band powers a little, so the next one aims higher or lower by the error.
    aim = wanted.copy()
    for attempt in range(_PASSES + 1):
        amplitude = np.sqrt(_density(aim, tilt))  # (n, 201)
        epochs = (_overlap_add(noise * amplitude[epoch_of_frame]) * modulation).reshape(n, -1)
        if attempt < _PASSES:
            got = log_band_power(torch.from_numpy(epochs.astype(np.float32))).numpy()
            aim += wanted - got
    return epochs.astype(np.float32)


def _density(log_power: F64, tilt: F64) -> F64:
    """Return the power in each bin of the spectrum, (n, 201), in an arbitrary unit.

    It is a smooth curve over log frequency through the band means (n, 5). Beyond the outer bands it
    continues their slope, and outside 0.3 to 40 Hz it is zero.
    """
    log_density = log_power - _WIDTHS_LN  # (n, 5) mean density of each band
    # One more point on either side continues the outer slopes, varied by `tilt`.
    low = log_density[:, :1] + tilt[0]
    high = 2 * log_density[:, -1:] - log_density[:, -2:-1] + tilt[1]
    points = np.concatenate([[np.log(0.3)], _CENTRES_LN, [np.log(45.0)]])
    curve = PchipInterpolator(points, np.concatenate([low, log_density, high], axis=1), axis=1)
    inside = (_FREQUENCIES_HZ >= 0.3) & (_FREQUENCIES_HZ <= 42.0)
    density = np.zeros((len(log_power), len(_FREQUENCIES_HZ)))
    density[:, inside] = np.exp(curve(np.log(_FREQUENCIES_HZ[inside])))
    rolloff = 1 / (1 + (np.maximum(_FREQUENCIES_HZ, 1e-9) / 40.0) ** 40)
    shaped: F64 = density * rolloff
    return shaped


def _overlap_add(spectra: npt.NDArray[np.complex128]) -> F64:
    """Add half-overlapping frames: spectra (T, 201) -> samples ((T - 1) * 200,).

    The squares of two overlapping sine windows add up to 1, so the power is unchanged.
    """
    window = np.sin(np.pi * (np.arange(_WINDOW) + 0.5) / _WINDOW)
    frames = np.fft.irfft(spectra, _WINDOW) * window  # (T, 400)
    signal: F64 = (frames[1:, :_HOP] + frames[:-1, _HOP:]).reshape(-1)
    return signal


def _modulation(kurtosis: F64, random: np.random.Generator) -> F64:
    """Return a slow log-normal gain, (n * 3000,), that gives Gaussian noise the ``kurtosis`` (n,).

    Its mean square is 1. Noise times exp(s m), with m Gaussian of unit variance, has excess
    kurtosis 3 (exp(4 s^2) - 1).
    """
    spread = 0.5 * np.sqrt(np.log1p(np.clip(kurtosis, 0, _MAX_KURTOSIS) / 3))  # (n,)
    keep = np.exp(-1 / (_MODULATION_S * SFREQ_HZ))
    drive = random.standard_normal(len(kurtosis) * EPOCH_SAMPLES) * np.sqrt(1 - keep**2)
    drive[0] = random.standard_normal()
    slow = lfilter([1.0], [1.0, -keep], drive)
    s = np.repeat(spread, EPOCH_SAMPLES)
    gain: F64 = np.exp(s * slow - s**2)
    return gain
