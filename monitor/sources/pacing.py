"""Release a recording at the pace at which it was recorded, or faster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from monitor.clock import Clock
from monitor.types import EegChunk

_SLICE_S = 0.2
"""Longest single sleep: Ctrl-C and the screen never wait longer than this."""


def replay(
    chunks: Iterable[EegChunk], speed: float | None, clock: Clock, from_s: float = 0.0
) -> Iterator[EegChunk]:
    """Yield each chunk at the moment at which its last sample would have been recorded.

    ``speed`` is recorded seconds per second; None never waits. The schedule begins when the first
    chunk is requested, at ``from_s`` or at the first sample, whichever is later. Chunks before
    ``from_s`` come at once.

    The schedule is absolute: a sleep that is too long, or a slow consumer, delays one chunk and
    never those after it. In a gap of the recording it yields chunks without samples, whose
    ``reached_s`` is the time on the recording's clock.
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
                    yield chunk.without_samples(reached_s)
        yield chunk
