"""What a network is fed where samples of a scored epoch were lost."""

from __future__ import annotations

import numpy as np

from monitor.types import F32


def bridged(data_uv: F32) -> F32:
    """What was seen of an epoch, (3000,) with NaN where lost, repeated to the full 30 s.

    Zeros in the gaps would look like a quieter brain; more of the same keeps the spectrum.
    """
    seen = data_uv[~np.isnan(data_uv)]
    return np.resize(seen, data_uv.size)
