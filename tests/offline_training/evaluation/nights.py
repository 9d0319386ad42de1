"""Small real EDF+ recordings with an expert's stages in their annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.edf_files import Signal, write_edf
from tests.signals import pink_noise_uv

SFREQ_HZ = 100.0
PER_EPOCH = 3000


def write_night(path: Path, texts: list[str], flat: tuple[int, ...] = (), seed: int = 1) -> Path:
    """One epoch of EEG-like noise for each of ``texts`` (W, N2, ?, ...), those in ``flat`` still"""
    path.parent.mkdir(parents=True, exist_ok=True)
    uv = pink_noise_uv(len(texts) * PER_EPOCH, seed)[0]
    for epoch in flat:
        uv[epoch * PER_EPOCH : (epoch + 1) * PER_EPOCH] = 0.0
    signal = Signal("EEG Fpz-Cz", np.round(uv * 10).astype(int), SFREQ_HZ, step=0.1)
    stages = [(30.0 * i, 30.0, f"Sleep stage {text}") for i, text in enumerate(texts)]
    return write_edf(path, [signal], annotations=stages, start=None)
