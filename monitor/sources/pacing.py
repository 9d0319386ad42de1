"""Hands over a recording at the pace it was recorded, or faster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from monitor.clock import Clock
from monitor.types import EegChunk

_SLICE_S = 0.2  # longest single sleep: what waits behind it, such as Ctrl-C, waits no longer


def replay(
    chunks: Iterable[EegChunk], speed: float | None, clock: Clock, from_s: float = 0.0
) -> Iterator[EegChunk]:
    """Releases each chunk when its last sample would have been recorded.

    The schedule counts from the moment the first chunk is asked for, which is ``from_s`` or the
    first sample, whichever is later; what lies before ``from_s`` comes at once. ``speed`` is
    recorded seconds per second, None for no waiting. The schedule is absolute: sleeping too long
    or a slow consumer delays a chunk, never the ones after it. Gaps are waited out, with chunks
    that hold no samples and tell how far the recording's clock has come.
    """
    began_s = clock.monotonic_s()
    origin_s: float | None = None
    for chunk in chunks:
        if speed is not None:
            if origin_s is None:
                origin_s = max(from_s, float(chunk.times_s[0]))
            recorded_s = float(chunk.times_s[-1]) + 1.0 / chunk.sfreq_hz
            due_s = began_s + (recorded_s - origin_s) / speed
            while (wait_s := due_s - clock.monotonic_s()) > 0:
                clock.sleep(min(wait_s, _SLICE_S))
                reached_s = origin_s + (clock.monotonic_s() - began_s) * speed
                if reached_s < chunk.times_s[0]:
                    yield _silence(chunk, reached_s)
        yield chunk


def _silence(chunk: EegChunk, reached_s: float) -> EegChunk:
    return replace(
        chunk, data_uv=chunk.data_uv[:, :0], times_s=chunk.times_s[:0], reached_s=reached_s
    )
