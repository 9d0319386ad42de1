"""Cut samples with even times into the chunks of a `Recording`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from monitor.sources.derivation import RecordedDerivation
from monitor.types import F64, EegChunk

GAP_PERIODS = 1.5
"""A longer step is a gap: a chunk ends before it."""


def even_chunks(
    blocks: Iterator[tuple[F64, F64]],
    derivation: RecordedDerivation,
    period_s: float,
    chunk_s: float,
    start_s: float,
) -> Iterator[EegChunk]:
    """Yield chunks as `Recording.chunks` does, of ``blocks`` of microvolts (n,) and times (n,).

    Times rise. A sample that has no value (NaN) is a gap. ``period_s`` is the true period.
    """
    chunk_n = max(1, round(min(chunk_s, 1e6) * derivation.sfreq_hz))
    held_uv, held_s = np.zeros(0), np.zeros(0)
    for uv, times_s in blocks:
        kept = np.isfinite(uv) & (times_s >= start_s - 1e-9)
        held_uv = np.concatenate([held_uv, uv[kept]])
        held_s = np.concatenate([held_s, times_s[kept]])
        runs = _runs(held_s, period_s)
        # The last run may go on in the next block: its last part waits for it.
        rest = runs[-1][0] + (runs[-1][1] - runs[-1][0]) // chunk_n * chunk_n if runs else 0
        yield from _cut(derivation, held_uv[:rest], held_s[:rest], period_s, chunk_n)
        held_uv, held_s = held_uv[rest:], held_s[rest:]
    yield from _cut(derivation, held_uv, held_s, period_s, chunk_n)


def _runs(times_s: F64, period_s: float) -> list[tuple[int, int]]:
    """Return first sample and end of each run of samples without a gap."""
    cuts = np.flatnonzero(np.diff(times_s) > GAP_PERIODS * period_s) + 1
    return list(pairwise([0, *cuts.tolist(), times_s.size])) if times_s.size else []


def _cut(
    derivation: RecordedDerivation, uv: F64, times_s: F64, period_s: float, chunk_n: int
) -> Iterator[EegChunk]:
    for first, end in _runs(times_s, period_s):
        for start in range(first, end, chunk_n):
            piece = slice(start, min(start + chunk_n, end))
            data_uv = uv[piece][np.newaxis].astype(np.float32)
            yield EegChunk(data_uv, times_s[piece], (derivation.name,), derivation.sfreq_hz)
