"""Count for each epoch what became of every sample."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from models.contract import EPOCH_S, EPOCH_SAMPLES, SFREQ_HZ
from monitor.conditioning.grid import TIME_TOLERANCE_S, SampleProvenance
from monitor.conditioning.ordering import Arrival, OrderedSamples
from monitor.types import SampleLedger


class ArrivalCounter:
    """Counts, for each epoch, the samples that arrived while it was open, by `Arrival`.

    ``origin_s`` is the start of epoch 0.
    """

    def __init__(self, origin_s: float) -> None:
        self._origin_s = origin_s
        self._counts: defaultdict[int, npt.NDArray[np.int64]] = defaultdict(
            lambda: np.zeros(len(Arrival), np.int64)
        )

    def count(self, ordered: OrderedSamples) -> None:
        """Count the arrivals in ``ordered``.

        A sample counts for the first epoch whose last grid point lies at or after the newest time
        seen so far. If it is dropped at exactly this point, the epoch has just been closed, and the
        sample counts for the next one.
        """
        last_point_s = EPOCH_S - 1.0 / SFREQ_HZ
        # Arrivals before any valid sample count for the first epoch.
        newest_s = np.where(np.isfinite(ordered.newest_s), ordered.newest_s, self._origin_s)
        past = (newest_s - self._origin_s - last_point_s) / EPOCH_S
        placed = ordered.arrivals <= Arrival.REORDERED
        tolerance = TIME_TOLERANCE_S / EPOCH_S
        open_epoch = np.ceil(past - tolerance)
        if not placed.all():
            open_epoch = np.where(placed, open_epoch, np.floor(past + tolerance) + 1)
        open_epoch = open_epoch.astype(np.int64)
        if not open_epoch.size:
            return
        first, n_epochs, n = int(open_epoch.min()), int(np.ptp(open_epoch)) + 1, len(Arrival)
        counts = np.bincount((open_epoch - first) * n + ordered.arrivals, minlength=n_epochs * n)
        counts = counts.reshape(n_epochs, n)
        for index in np.flatnonzero(counts.any(axis=1)).tolist():
            self._counts[first + index] += counts[index]

    def close(self, index: int, provenance: npt.NDArray[np.int8]) -> SampleLedger:
        """Return the ledger of epoch ``index`` with grid samples of ``provenance`` (3000,)."""
        arrivals = self._counts.pop(index, np.zeros(len(Arrival), np.int64))
        made_from = np.bincount(provenance, minlength=len(SampleProvenance))
        return SampleLedger(
            expected=EPOCH_SAMPLES,
            received=int(made_from[SampleProvenance.RECEIVED]),
            filled=int(made_from[SampleProvenance.FILLED]),
            lost=int(made_from[SampleProvenance.LOST]),
            arrived=int(arrivals.sum()),
            reordered=int(arrivals[Arrival.REORDERED]),
            duplicate=int(arrivals[Arrival.DUPLICATE]),
            late=int(arrivals[Arrival.LATE]),
            invalid=int(arrivals[Arrival.INVALID]),
        )
