"""Reads the signals of a night once: their range, and where they are lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.contract import EPOCH_SAMPLES
from monitor.exports.edf_plus import distinct_labels, limit_uv
from monitor.night.record import NightRecord
from monitor.types import F32, Bool


@dataclass(frozen=True, slots=True)
class Loss:
    """A stretch of 100 Hz samples that are lost, of every channel or, with a label, of one."""

    first: int
    n_samples: int
    channel: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Facts about the signals of a night.

    - ``limits_uv``: for each channel the largest value of an EDF file; see `limit_uv`.
    - ``clipped``: names the channels with larger values; "" if there is none.
    - ``losses``: those of all channels last.
    """

    limits_uv: tuple[float, ...]
    clipped: str
    losses: tuple[Loss, ...]


def whole_signals(record: NightRecord) -> Iterator[F32]:
    """Yield every epoch, float32 (n_channels, 3000); those that cannot be read are NaN."""
    n_channels = len(record.session.channels)
    lost = np.full((n_channels, EPOCH_SAMPLES), np.nan, np.float32)
    damaged = frozenset(record.damaged)
    reached = 0
    for index, data_uv in record.signals():
        for _ in range(reached, index):
            yield lost
        yield lost if index in damaged or len(data_uv) != n_channels else data_uv
        reached = index + 1
    for _ in range(reached, record.n_epochs):
        yield lost


def survey(record: NightRecord) -> Survey:
    """Read all signals once, and return what the formats need to know of them."""
    names = record.session.channels
    largest = np.zeros(len(names))
    typical: list[list[float]] = [[] for _ in names]
    # Losses name a channel by its label in EDF; the last ones are of all channels.
    runs = [_Runs(label) for label in (*distinct_labels(names), "")]
    for data_uv in whole_signals(record):
        missing = np.isnan(data_uv)
        everywhere: Bool = np.all(missing, axis=0, keepdims=False)
        runs[-1].add(everywhere)
        for channel, uv in enumerate(data_uv):
            runs[channel].add(missing[channel] & ~everywhere)
            known = np.abs(uv[~missing[channel]])
            if known.size:
                largest[channel] = max(largest[channel], float(known.max()))
                typical[channel].append(float(np.median(known)))
    limits = tuple(
        limit_uv(most, float(np.median(each)) if each else 0.0)
        for most, each in zip(largest.tolist(), typical, strict=True)
    )
    return Survey(
        limits,
        ", ".join(
            f"{name} at {limit:g} uV"
            for name, limit, most in zip(names, limits, largest, strict=True)
            if most > limit
        )[:80],
        tuple(loss for each in runs for loss in each.losses()),
    )


class _Runs:
    """Collects the stretches in which a mask of 100 Hz samples is True, across epochs."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._edges: list[int] = []
        self._n = 0
        self._last = False

    def add(self, mask: Bool) -> None:
        """Add the samples of the next epoch."""
        if mask.any() or self._last:
            steps = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=np.int8(self._last)))
            self._edges += (self._n + steps).tolist()
            self._last = bool(mask[-1])
        self._n += mask.size

    def losses(self) -> Iterator[Loss]:
        """Yield the stretches."""
        edges = [*self._edges, self._n] if self._last else self._edges
        for first, stop in zip(edges[::2], edges[1::2], strict=True):
            yield Loss(first, stop - first, self._channel)
