"""Filter the grid samples with a causal high-pass that starts anew after every loss."""

from __future__ import annotations

import math

import numpy as np

from models.contract import SFREQ_HZ
from monitor.conditioning.blas import load_dtbsv
from monitor.conditioning.grid import GridBlock, SampleProvenance
from monitor.types import F64

_dtbsv = load_dtbsv()


class HighPass:
    """A Butterworth filter of second order.

    The AASM Manual recommends 0.3 Hz as the low-frequency setting for EEG. After a loss, the filter
    starts as if the first sample had lasted for ever before, so that a new electrode offset makes
    no step.

    The output equals that of `scipy.signal.butter` and `sosfilt`. `scipy.signal` is not used, since
    its import took longer than anything else at the start of the monitor, except PyTorch.
    """

    def __init__(self, cutoff_hz: float) -> None:
        # Bilinear transform of the analogue filter (Oppenheim & Schafer, 7.1).
        w = math.tan(math.pi * cutoff_hz / SFREQ_HZ)
        self._gain = 1.0 / (1.0 + math.sqrt(2.0) * w + w * w)
        self._feedback = (2.0 * (w * w - 1.0), 1.0 - math.sqrt(2.0) * w + w * w)
        # The last two samples in and out, (n_channels, 2) each; None after a loss.
        self._last: tuple[F64, F64] | None = None

    def push(self, block: GridBlock) -> GridBlock:
        """Return ``block`` with filtered samples; they stay 0 uV where lost."""
        out = np.zeros_like(block.data_uv)
        present = block.provenance != SampleProvenance.LOST
        edges = np.flatnonzero(np.diff(present)) + 1
        for start, stop in zip([0, *edges], [*edges, present.size], strict=True):
            if start == stop:
                continue
            if present[start]:
                out[:, start:stop] = self._filter(block.data_uv[:, start:stop])
            else:
                self._last = None
        return GridBlock(block.first, out, block.provenance)

    def _filter(self, data_uv: F64) -> F64:
        """Filter consecutive samples (n_channels, n).

        y[n] + a1 y[n-1] + a2 y[n-2] = g (x[n] - 2 x[n-1] + x[n-2]) for all n is a triangular system
        of equations with three diagonals. BLAS solves it sample by sample. Its first two unknowns
        are the last two outputs.
        """
        if self._last is None:
            self._last = (np.repeat(data_uv[:, :1], 2, axis=1), np.zeros((data_uv.shape[0], 2)))
        x = np.concatenate([self._last[0], data_uv], axis=1)  # (n_channels, 2 + n)
        driven = self._gain * (x[:, 2:] - 2.0 * x[:, 1:-1] + x[:, :-2])
        right = np.concatenate([self._last[1], driven], axis=1)
        diagonals = np.ones((3, right.shape[1]), order="F")
        diagonals[1:] = self._gain * np.array(self._feedback)[:, np.newaxis]
        diagonals[1, 0] = 0.0  # the second unknown does not depend on the first: both are known
        y = np.stack([_dtbsv(2, diagonals, channel, lower=1, diag=1) for channel in right])
        self._last = (x[:, -2:], y[:, -2:])
        return y[:, 2:]
