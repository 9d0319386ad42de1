"""Recordings to score: short ones of noise, and broken ones."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path

import numpy as np

from tests.edf_files import Signal, make_discontinuous, write_edf
from tests.signals import pink_noise_uv


def noise(path: Path, seed: int = 1, minutes: float = 2.0, hz: int = 100) -> Path:
    """Write a recording of noise that looks like EEG, without expert stages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    uv = pink_noise_uv(round(minutes * 60) * hz, seed)[0]
    digital = np.round(uv * 10).astype(np.int64)
    return write_edf(path, [Signal("EEG Fpz-Cz", digital, hz, step=0.1)], record_s=1.0)


def with_gap_and_lights(path: Path) -> Path:
    """Write ten minutes at 256 Hz from 23:59 on, with lights marks and a gap of 100 s."""
    n_s, hz = 600, 256
    digital = np.round(pink_noise_uv(n_s * hz)[0] * 10).astype(np.int64)
    signals = [Signal("EEG AF7-TP9", digital, hz, step=0.1)]
    lights = [(31.0, None, "Lights off"), (601.0, None, "Lights on")]
    start = (date(2024, 3, 9), time(23, 59))
    write_edf(path, signals, annotations=lights, start=start, record_s=1.0)
    gap_s = 100.0
    return make_discontinuous(path, [float(n) + (gap_s if n >= 200 else 0.0) for n in range(n_s)])


def hypnogram(path: Path, words: list[str]) -> Path:
    """Write an expert's hypnogram, a word for each epoch."""
    stages = [(30.0 * n, 30.0, f"Sleep stage {word}") for n, word in enumerate(words)]
    return write_edf(path, [], annotations=stages)
