"""What the stager says of a night: both tracks, as in the monitor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.contract import STAGES
from monitor.clock import Clock
from monitor.staging.backend import Backend
from monitor.staging.stager import Stager
from monitor.types import Epoch, Reason, StagePrediction, Track
from offline_training.arrays import F64, I64


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """What left the stager. ``live`` and ``revised``: probabilities float64 (n, 5) of both tracks,
    rows of NaN where unscored; ``reasons`` (n) why. The revised ones are final."""

    live: F64
    revised: F64
    reasons: list[Reason | None]

    def track(self, track: Track) -> F64:
        return self.live if track is Track.LIVE else self.revised

    def part(self, epochs: slice) -> Staged:
        return Staged(self.live[epochs], self.revised[epochs], self.reasons[epochs])


def stage_epochs(epochs: Sequence[Epoch], backend: Backend, clock: Clock) -> Staged:
    """Stage a whole night as a live night comes: the live track sees the past alone."""
    stager = Stager(backend, clock)
    predictions = [each for step in stager.push(epochs) for each in step] + stager.finish()
    staged = Staged(
        live=np.full((len(epochs), len(STAGES)), np.nan),
        revised=np.full((len(epochs), len(STAGES)), np.nan),
        reasons=[epoch.quality.reason for epoch in epochs],
    )
    for prediction in predictions:
        if prediction.final:
            staged.track(prediction.track)[prediction.epoch_index] = _row(prediction)
    return staged


def stages_of(probabilities: F64) -> I64:
    """The most probable stage of each row, (n,), index into `STAGES`; -1 where unscored."""
    unscored = np.isnan(probabilities).any(axis=1)
    return np.where(unscored, -1, np.nan_to_num(probabilities).argmax(axis=1))


def _row(prediction: StagePrediction) -> tuple[float, ...] | float:
    return np.nan if prediction.probabilities is None else prediction.probabilities
