"""Small real EDF+ recordings with an expert's stages in their annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.edf_files import Signal, write_edf
from tests.signals import pink_noise_uv

SFREQ_HZ = 100.0
EPOCH_SAMPLES = 3000


def write_night(path: Path, texts: list[str], flat: tuple[int, ...] = (), seed: int = 1) -> Path:
    """Write one epoch of EEG-like noise for each of ``texts`` (W, N2, ?, ...).

    The epochs whose indices are in ``flat`` are zeros.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    uv = pink_noise_uv(len(texts) * EPOCH_SAMPLES, seed)[0]
    for epoch in flat:
        uv[epoch * EPOCH_SAMPLES : (epoch + 1) * EPOCH_SAMPLES] = 0.0
    signal = Signal("EEG Fpz-Cz", np.round(uv * 10).astype(int), SFREQ_HZ, step=0.1)
    stages = [(30.0 * i, 30.0, f"Sleep stage {text}") for i, text in enumerate(texts)]
    return write_edf(path, [signal], annotations=stages, start=None)
