"""Sleep-EDF nights as band powers with expert stages, and how subjects are kept apart."""

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
_FPZ_CZ, _PZ_OZ = 0, 1  # of the file's three channels
NON_STATIONARITY_LN = 0.26
"""What an epoch's variance holds above its Welch median power, in ln: K-complexes, movements, eyes.

Where an epoch is Gaussian (|kurtosis| < 0.1) the two should agree; in such epochs of N2 and of N3
(4,511 of them, 132 Sleep-EDF recordings) the level of `in_microvolts` without it is 0.26 too high.
"""
TRIM = "30 min around sleep"
HELD_OUT_SHARE = 10
_LEVEL_STAGES = (STAGES.index("N2"), STAGES.index("R"))


@dataclass(frozen=True, slots=True, eq=False)
class Night:
    """One recording, contiguous 30 s epochs.

    - ``log_power``: float32 (n, 5), ln of the power in `models.bandpower.BANDS_HZ`; in uV^2 after
      `in_microvolts`, before it in the square of the recording's unknown standard deviation.
    - ``parietal``: the same of Pz-Oz, at the level of ``log_power`` (its own is not known): the
      median total power of N2 and R agrees.
    - ``stage``: int64 (n,), index into `STAGES`; -1 where no stage was scored or the signal is bad.
    """

    recording: str
    log_power: F32
    parietal: F32
    stage: I64

    @property
    def subject(self) -> str:
        return subject_of(self.recording)


def subject_of(recording: str) -> str:
    """As prepared recordings name the subject of SC4ssN: ss, N is the night."""
    return f"sleep-edf-cassette-{recording[3:5]}"


def load_nights(directory: Path) -> list[Night]:
    """Every recording of ``directory``/sleep_edf_bandpower.npz.

    Raises
    ------
    InputError
        The file is missing or does not hold what it should.
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


def _night(recording: str, features: F32, stage: I64) -> Night:
    log_power = features[:, _FPZ_CZ, :N_BANDS].astype(np.float32)
    parietal = features[:, _PZ_OZ, :N_BANDS].astype(np.float32)
    level = np.isin(stage, _LEVEL_STAGES)
    if level.any():
        parietal += np.median(_total(log_power[level])) - np.median(_total(parietal[level]))
    return Night(recording, log_power, parietal, stage)


def _total(log_power: F32) -> F32:
    """ln of the power in all bands, (n,)."""
    total: F32 = np.log(np.exp(log_power).sum(axis=1))
    return total


def in_microvolts(nights: Sequence[Night], directory: Path) -> list[Night]:
    """Undo each recording's z-score: its log powers, raised to the amplitude that was measured.

    The file gives the median standard deviation in uV of the recording's N2 and R epochs; the
    band powers give the same up to one constant. The constant is the mean of both in log, less
    `NON_STATIONARITY_LN`.

    Raises
    ------
    InputError
        The amplitude file is missing, malformed or lacks a recording.
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
        raise InputError(f"{path} is not an amplitude file: {exc!r}") from exc
    return [_raised(night, std_uv[night.recording], path) for night in nights]


def _raised(night: Night, std_uv: dict[str, float], path: Path) -> Night:
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


def hold_out(nights: Sequence[Night]) -> tuple[list[Night], list[Night]]:
    """(train, held out) by subject: one in ten, for early stopping and calibration; the same
    subjects at every call."""
    return hold_out_subjects(nights, HELD_OUT_SHARE)
