"""Inputs for the backends: epochs of the excerpt, and random contexts."""

from __future__ import annotations

import numpy as np

from monitor.types import F32, Bool
from tests.nights import excerpt_uv


def epochs(n: int) -> F32:
    """Return the first ``n`` epochs of the excerpt, (n, 3000)."""
    return excerpt_uv()[0, : 3000 * n].reshape(n, 3000)


def history(n: int, length: int) -> tuple[F32, Bool]:
    """Return ``n`` contexts: embeddings (n, length, 64), and 70 % of the epochs scored."""
    rng = np.random.default_rng(length)
    embeddings = rng.normal(size=(n, length, 64)).astype(np.float32)
    return embeddings, rng.random((n, length)) < 0.7
