"""The recording of real sleep that ships with the monitor, as epochs that a network reads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import numpy as np

from models.contract import EPOCH_S, Gain
from monitor.conditioning.bridging import bridged
from monitor.conditioning.conditioner import Conditioner
from monitor.sources.demo_recording import demo_recording
from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.sources.expert import expert_hypnogram
from monitor.sources.hypnogram import grid_origin_s
from monitor.types import F32, Bool, Epoch, Montage


def excerpt_epochs(gain: Gain) -> tuple[F32, Bool]:
    """Condition the recording on its expert's grid, as a replay does.

    Returns
    -------
    epochs_uv : float32 (n, 3000), microvolts, the network's input; zeros where unscored.
    scored : bool (n,).

    Raises
    ------
    InputError
        The recording is missing or damaged.
    """
    epochs = list(_epochs(gain))
    scored = np.array([epoch.quality.reason is None for epoch in epochs])
    nothing = np.zeros_like(epochs[0].staged_uv)
    return np.stack(
        [bridged(e.staged_uv) if s else nothing for e, s in zip(epochs, scored, strict=True)]
    ), scored


def _epochs(gain: Gain) -> Iterator[Epoch]:
    """Yield the whole epochs of the recording."""
    recording = EdfRecording.open(demo_recording())
    derivation = choose_derivation(recording.channels)
    origin_s = grid_origin_s("auto", expert_hypnogram(recording), recording.first_sample_s)
    conditioner = Conditioner(
        Montage.of_one(derivation.name),
        derivation.sfreq_hz,
        origin_s,
        recording.start_utc + timedelta(seconds=origin_s),
        gain,
    )

    def conditioned() -> Iterator[Epoch]:
        for chunk in recording.chunks(derivation, EPOCH_S):
            yield from conditioner.push(chunk)
        yield from conditioner.finish()

    n_epochs = math.floor((recording.duration_s - origin_s) / EPOCH_S + 1e-6)
    return islice(conditioned(), n_epochs)
