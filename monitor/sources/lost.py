"""Stretches of a recording that are lost, although the file has values for them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from monitor.sources.recording import LOST, Annotation


def lost_stretches(
    annotations: Sequence[Annotation], recorded: Sequence[str]
) -> list[tuple[float, float]]:
    """Return start and end of the stretches that the channels ``recorded`` lost, in seconds.

    They lie under annotations `LOST`, and are in order and apart. '@@' and a channel's name after
    the text limit it to that channel (EDF+ section 2.2.4). ``annotations`` are sorted by onset.
    """
    lost: list[tuple[float, float]] = []
    for each in annotations:
        text, _, channel = each.text.partition("@@")
        if text != LOST or (channel and channel not in recorded):
            continue
        start_s, end_s = each.onset_s, each.onset_s + each.duration_s
        if lost and start_s <= lost[-1][1]:
            start_s, end_s = lost[-1][0], max(lost.pop()[1], end_s)
        lost.append((start_s, end_s))
    return lost


def kept_runs(
    begin_s: float, n: int, sfreq_hz: float, start_s: float, lost: Sequence[tuple[float, float]]
) -> Iterator[tuple[int, int]]:
    """Yield the runs of samples from ``start_s`` on that are not lost, of ``n`` from ``begin_s``.

    A run is a first sample and the one after its last. ``lost`` is as `lost_stretches` returns it.
    """

    def sample(time_s: float) -> int:
        """Return the first sample that is not before ``time_s``."""
        after_s = max(0.0, time_s - begin_s)  # the start may be minus infinity
        return min(max(math.ceil(min(after_s * sfreq_hz, float(n)) - 1e-6), 0), n)

    first = sample(start_s)
    # A file can have as many segments as losses: look only at those of this segment.
    for from_s, to_s in lost[bisect_left(lost, begin_s, key=lambda each: each[1]) :]:
        if first == n or (stop := sample(from_s)) == n:
            break
        if stop > first:
            yield first, stop
        first = max(first, sample(to_s))
    if first < n:
        yield first, n
