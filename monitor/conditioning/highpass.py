"""Causal high-pass on the grid, started afresh after every loss."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, sosfilt, sosfilt_zi

from models.contract import SFREQ_HZ
from monitor.conditioning.grid import GridBlock, Origin
from monitor.types import F64


class HighPass:
    """Second-order Butterworth (0.3 Hz is the AASM Manual's low-frequency setting for EEG).

    After a loss it starts from the first sample as if it had always been there, so that a new
    electrode offset makes no step.
    """

    def __init__(self, cutoff_hz: float) -> None:
        self._sos = butter(2, cutoff_hz, "highpass", fs=SFREQ_HZ, output="sos")
        self._rest = sosfilt_zi(self._sos)  # (n_sections, 2)
        self._state: F64 | None = None  # (n_sections, n_channels, 2)

    def push(self, block: GridBlock) -> GridBlock:
        out = np.zeros_like(block.data_uv)
        present = block.origin != Origin.LOST
        edges = np.flatnonzero(np.diff(present)) + 1
        for start, stop in zip([0, *edges], [*edges, present.size], strict=True):
            if start == stop:
                continue
            if not present[start]:
                self._state = None
                continue
            data = block.data_uv[:, start:stop]
            if self._state is None:
                self._state = self._rest[:, None, :] * data[None, :, :1]
            out[:, start:stop], self._state = sosfilt(self._sos, data, axis=1, zi=self._state)
        return GridBlock(block.first, out, block.origin)
