"""Sleep-EDF nights as band powers with expert stages, and the subjects held out of training."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.bandpower import N_BANDS
from models.contract import STAGES
from monitor.errors import InputError
from offline_training.arrays import F32, I64
from offline_training.data.npz import read_npz
from offline_training.data.recordings import hold_out_subjects

BANDPOWER_FILE = "sleep_edf_bandpower.npz"
AMPLITUDE_FILE = "sleep_edf_amplitude.csv"
CHANNEL = "EEG Fpz-Cz"
_FPZ_CZ, _PZ_OZ = 0, 1  # Position of each derivation on the file's channel axis.
NON_STATIONARITY_LN = 0.26
"""Excess of an epoch's variance over the power of its Welch median spectrum, in ln units.

K-complexes, movements and eye movements raise the variance, but hardly move a median over
segments. The value comes from 4,511 N2 and N3 epochs of 132 Sleep-EDF recordings. Their signal is
nearly Gaussian (|kurtosis| < 0.1), so variance and band power should agree; without this
correction the level that `in_microvolts` computes is 0.26 too high there.
"""
TRIM = "30 min around sleep"
HELD_OUT_ONE_IN = 10
_LEVEL_STAGES = (STAGES.index("N2"), STAGES.index("R"))
"""Stages that set a recording's level: the amplitude file covers them."""


@dataclass(frozen=True, slots=True, eq=False)
class BandPowerNight:
    """A recording as the band powers of n contiguous 30-s epochs.

    - ``log_power``: float32 (n, 5), ln of the power of Fpz-Cz in `models.bandpower.BANDS_HZ`. The
      unit is uV^2 after `in_microvolts`. Before, the signal is z-scored by the recording's unknown
      standard deviation.
    - ``parietal``: the same for Pz-Oz. Its own level is unknown, so it is shifted: the median total
      power over N2 and R equals that of ``log_power``.
    - ``stage``: int64 (n,), index into `STAGES`; -1 if the expert scored none or the signal is bad.
    """

    recording: str
    log_power: F32
    parietal: F32
    stage: I64

    @property
    def subject(self) -> str:
        return subject_of(self.recording)


def subject_of(recording: str) -> str:
    """Return the subject of recording SC4ssN (ss the subject, N the night).

    Prepared recordings of the same person have the same subject.
    """
    return f"sleep-edf-cassette-{recording[3:5]}"


def load_nights(directory: Path) -> list[BandPowerNight]:
    """Read every recording of ``directory``/sleep_edf_bandpower.npz.

    Raises
    ------
    InputError
        The file is missing, is damaged, or has arrays of other shapes.
    """
    path = directory / BANDPOWER_FILE
    if not path.is_file():
        raise InputError(f"--data must hold {BANDPOWER_FILE}; there is none in {directory}")
    saved = read_npz(path, ("features", "stage", "n_epochs", "recording"))
    features, stage = saved["features"], saved["stage"]
    lengths, recordings = saved["n_epochs"], saved["recording"]
    shape = features.shape
    if len(shape) != 3 or shape[1] < 2 or shape[2] < N_BANDS or lengths.sum() != shape[0]:
        raise InputError(
            f"{path}: features must be (epochs, channels, 10) with epochs the sum of n_epochs "
            f"({lengths.sum()}) and at least 2 channels, got {shape}"
        )
    ends = np.cumsum(lengths)
    return [
        _night(str(name), features[end - n : end], stage[end - n : end].astype(np.int64))
        for name, n, end in zip(recordings, lengths, ends, strict=True)
    ]


def _night(recording: str, features: F32, stage: I64) -> BandPowerNight:
    log_power = features[:, _FPZ_CZ, :N_BANDS].astype(np.float32)
    parietal = features[:, _PZ_OZ, :N_BANDS].astype(np.float32)
    sets_level = np.isin(stage, _LEVEL_STAGES)
    if sets_level.any():
        parietal += np.median(_total(log_power[sets_level])) - np.median(
            _total(parietal[sets_level])
        )
    return BandPowerNight(recording, log_power, parietal, stage)


def _total(log_power: F32) -> F32:
    """Sum the power over all bands: ln powers (n, 5) -> ln power (n,)."""
    total: F32 = np.log(np.exp(log_power).sum(axis=1))
    return total


def in_microvolts(nights: Sequence[BandPowerNight], directory: Path) -> list[BandPowerNight]:
    """Undo each recording's z-score: shift its log powers to the measured amplitude in uV.

    ``directory``/sleep_edf_amplitude.csv gives the median standard deviation, in uV, of the
    recording's N2 and R epochs. The band powers give the same two levels up to one constant. That
    constant is the mean difference of both in ln, minus `NON_STATIONARITY_LN`.

    Raises
    ------
    InputError
        The amplitude file is missing, is malformed or lacks a recording.
    """
    path = directory / AMPLITUDE_FILE
    if not path.is_file():
        raise InputError(f"--data must hold {AMPLITUDE_FILE}; there is none in {directory}")
    std_uv: dict[str, dict[str, float]] = defaultdict(dict)
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                std_uv[row["recording"]][row["stage"]] = float(row["std_uv_p50"])
    except (KeyError, ValueError) as exc:
        raise InputError(f"{path} is not an amplitude file: {exc!r:.300}") from exc
    return [_with_level(night, std_uv[night.recording], path) for night in nights]


def _with_level(night: BandPowerNight, std_uv: dict[str, float], path: Path) -> BandPowerNight:
    total = _total(night.log_power)
    levels = [
        2 * math.log(std_uv[STAGES[stage]]) - float(np.median(total[night.stage == stage]))
        for stage in _LEVEL_STAGES
        if STAGES[stage] in std_uv and (night.stage == stage).any()
    ]
    if not levels:
        raise InputError(f"{path} has no N2 and no R amplitude of recording {night.recording}")
    level = np.float32(np.mean(levels) - NON_STATIONARITY_LN)
    return replace(night, log_power=night.log_power + level, parietal=night.parietal + level)


def hold_out(nights: Sequence[BandPowerNight]) -> tuple[list[BandPowerNight], list[BandPowerNight]]:
    """Split ``nights`` by subject into (train, held out); the same split at every call.

    One subject in ten is held out, for early stopping and calibration.
    """
    return hold_out_subjects(nights, HELD_OUT_ONE_IN)
