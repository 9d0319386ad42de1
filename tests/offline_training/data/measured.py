"""Made-up files in the format of the Sleep-EDF band powers and amplitudes, easy to stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from offline_training.data.bandpowers import AMPLITUDE_FILE, BANDPOWER_FILE
from offline_training.data.surrogates import TIMEDOMAIN_FILE

STD_UV = {"N2": 16.0, "R": 10.0}
LOG_POWER = np.array(
    [[1, 2, 4, 0, 3], [2, 3, 1, 0, 2], [4, 2, 1, 3, 0], [7, 3, 1, 1, 0], [2, 4, 2, 0, 1]],
    dtype=np.float32,
)
"""ln power of each stage (row) in each band (column)."""


def write_data(directory: Path, subjects: int, z_score: tuple[float, float] = (0.0, 0.5)) -> None:
    """Write two nights of 60 epochs for each subject, in bouts of 6 epochs of one stage.

    Both nights of a subject are the same sleep; night i is shifted down by ``z_score[i]``. The last
    epoch of each night is not scored.
    """
    stages, powers, names = [], [], []
    for subject in range(subjects):
        random = np.random.default_rng(subject)
        stage = np.repeat(np.r_[0:5, random.integers(0, 5, 5)], 6).astype(np.int8)
        power = LOG_POWER[stage] + random.normal(0, 0.5, (60, 5)).astype(np.float32)
        for night, level in enumerate(z_score):
            stages.append(np.r_[stage[:-1], np.int8(-1)])
            powers.append(power - np.float32(level))
            names.append(f"SC4{subject:02}{night + 1}")
    log_power = np.concatenate(powers)
    relative = np.exp(log_power) / np.exp(log_power).sum(axis=1, keepdims=True)
    features = np.repeat(np.concatenate([log_power, relative], axis=1)[:, None], 3, axis=1)
    np.savez(
        directory / BANDPOWER_FILE,
        features=features,
        stage=np.concatenate(stages),
        n_epochs=np.full(len(names), 60, dtype=np.int32),
        recording=np.array(names),
    )
    rows = [f"{name},{stage},{std}" for name in names for stage, std in STD_UV.items()]
    (directory / AMPLITUDE_FILE).write_text("\n".join(["recording,stage,std_uv_p50", *rows]) + "\n")


def write_timedomain(directory: Path, epochs: int) -> None:
    """Write a kurtosis for every other epoch; the rest is NaN."""
    features = np.full((epochs, 2), np.nan, np.float32)
    features[::2] = 0.5
    np.savez(directory / TIMEDOMAIN_FILE, features=features, names=["std_uv", "kurtosis"])
