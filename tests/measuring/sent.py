"""Samples that the headband sent: computed again with the same faults, and counted."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.conditioning.grid import MAX_FILL_S
from monitor.types import Bool
from tests.live.faults import UNIT, Block, Injector, parse
from tests.live.headband_signals import HeadbandSignal


@dataclass(frozen=True, slots=True)
class SentSamples:
    """Counts of the samples that the device measured in a stretch, and what became of them.

    - ``measured``, ``sent`` (copies included), ``not_sent``, ``twice``: samples.
    - ``overtaken``: samples sent after a later one. ``not_finite``: samples with a NaN.
    - ``short_gaps_s``: seconds not sent in gaps that the monitor bridges (`MAX_FILL_S`);
      ``long_gaps_s``: in longer gaps.
    """

    measured: int = 0
    sent: int = 0
    not_sent: int = 0
    twice: int = 0
    overtaken: int = 0
    not_finite: int = 0
    short_gaps_s: float = 0.0
    long_gaps_s: float = 0.0

    @classmethod
    def count(
        cls,
        measured: HeadbandSignal,
        faults: str,
        seed: int,
        first: int,
        stop: int,
        away: Sequence[tuple[int, int]] = (),
    ) -> SentSamples:
        """Pass samples ``first`` to ``stop`` through the same injector again.

        ``away``: stretches of samples in which the headband, or its listener, was away.
        """
        injector = Injector(parse(faults), measured.channels, measured.rate_hz, seed)
        arrived = np.zeros(stop - first, np.int64)
        overtaken = not_finite = 0
        for start in range(first // UNIT * UNIT, stop, 1000 * UNIT):
            index = np.arange(start, min(stop, start + 1000 * UNIT))
            silence = np.zeros((len(measured.channels), index.size), np.float32)
            block = injector.apply(Block(silence, index / measured.rate_hz, index))
            inside = block.index >= first
            for a, b in away:
                inside &= (block.index < a) | (block.index >= b)
            block = block.take(inside)
            newest = np.maximum.accumulate(block.index)
            overtaken += int(np.sum(block.index < newest))
            not_finite += int(np.sum(~np.isfinite(block.data_uv).all(axis=0)))
            np.add.at(arrived, block.index - first, 1)
        short_s, long_s = _gaps_s(arrived > 0, measured.rate_hz)
        return cls(
            measured=stop - first,
            sent=int(arrived.sum()),
            not_sent=int(np.sum(arrived == 0)),
            twice=int(np.sum(arrived > 1)),
            overtaken=overtaken,
            not_finite=not_finite,
            short_gaps_s=short_s,
            long_gaps_s=long_s,
        )


def _gaps_s(arrived: Bool, rate_hz: float) -> tuple[float, float]:
    """Return the seconds missing in gaps short enough to be bridged, and in longer ones."""
    padded = np.concatenate([[True], arrived, [True]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(padded))
    lengths = edges[1::2] - edges[::2]
    short = (lengths + 1) / rate_hz <= MAX_FILL_S + 1e-9
    return float(lengths[short].sum() / rate_hz), float(lengths[~short].sum() / rate_hz)


def absences(
    starts: Sequence[dict[str, Any]], progress: Sequence[dict[str, Any]]
) -> list[tuple[int, int]]:
    """Return the stretches of samples in which a headband that was killed repeatedly was away.

    Each runs from the last sample that it reported to the first after its return. ``starts`` and
    ``progress`` are the headband's JSON lines.
    """
    reached = {start["first"]: start["first"] for start in starts}
    for each in progress:
        reached[each["first"]] = max(reached[each["first"]], each["reached"])
    firsts = [start["first"] for start in starts]
    return [(reached[a], b) for a, b in itertools.pairwise(firsts)]
