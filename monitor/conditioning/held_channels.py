"""Replace the missing values of single channels."""

from __future__ import annotations

import numpy as np

from monitor.types import F32


class HeldChannels:
    """Repeats the last value of a channel that sends NaN while other channels send values.

    Such a channel is then flat and is judged as flat, and the other channels can be staged. A
    sample that is NaN or infinite in all channels stays as it is: it is invalid.
    """

    def __init__(self, n_channels: int) -> None:
        self._last_uv: F32 = np.zeros((n_channels, 1), np.float32)

    def fill(self, data_uv: F32) -> F32:
        """Return ``data_uv`` (n_channels, n) without the missing values of single channels."""
        finite = np.isfinite(data_uv)
        if not finite.all():
            partial = finite.any(axis=0) & ~finite
            # The place of the newest finite value of each channel at each sample; -1 before it.
            place = np.where(finite, np.arange(data_uv.shape[1]), -1)
            place = np.maximum.accumulate(place, axis=1)  # (n_channels, n)
            repeated = np.take_along_axis(data_uv, np.maximum(place, 0), axis=1)
            repeated = np.where(place >= 0, repeated, self._last_uv)
            data_uv = np.where(partial, repeated, data_uv)
            self._last_uv = repeated[:, -1:]
        elif data_uv.shape[1]:
            self._last_uv = data_uv[:, -1:]
        return data_uv
