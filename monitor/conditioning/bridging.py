"""Make an epoch with lost samples whole for the network."""

from __future__ import annotations

import numpy as np

from monitor.types import F32


def bridged(data_uv: F32) -> F32:
    """Return an epoch (3000,) without its lost samples (NaN), repeated until it fills 30 s.

    Zeros in the gaps would look like EEG of a smaller amplitude; a repetition keeps the spectrum.
    """
    seen = data_uv[~np.isnan(data_uv)]
    return np.resize(seen, data_uv.size)
