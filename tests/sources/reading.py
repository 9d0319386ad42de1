"""Read a recording in a test, and check the contract on the way."""

from __future__ import annotations

import numpy as np

from monitor.sources.derivation import choose_derivation
from monitor.sources.recording import Recording
from monitor.types import F64


def read(recording: Recording, name: str | None = None, chunk_s: float = 1.0) -> tuple[F64, F64]:
    """Return the times (n,) and microvolts (n,) of a derivation; check the contract on the way."""
    derivation = choose_derivation(recording.channels, name)
    times, values, end_s = [], [], -np.inf
    for chunk in recording.chunks(derivation, chunk_s):
        assert chunk.data_uv.dtype == np.float32
        assert chunk.data_uv.shape == (1, chunk.times_s.size)
        assert chunk.times_s.size >= 1
        assert chunk.times_s[0] > end_s
        steps_s = np.diff(chunk.times_s) * derivation.sfreq_hz
        assert ((steps_s > 0.5) & (steps_s < 1.5)).all()
        end_s = chunk.times_s[-1]
        times.append(chunk.times_s)
        values.append(chunk.data_uv[0])
    return np.concatenate(times), np.concatenate(values).astype(np.float64)


def notes(recording: Recording) -> str:
    return " ".join(recording.notes(choose_derivation(recording.channels)))
