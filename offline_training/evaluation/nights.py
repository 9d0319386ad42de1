"""Stage a night with the monitor's own stager, on both tracks."""

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
    """The stager's predictions of n epochs.

    - ``live`` and ``revised``: probabilities of each track, float64 (n, 5); a row is NaN if the
      epoch is unscored. The revised ones are final.
    - ``reasons``: n reasons why an epoch is unscored, None if it is scored.
    """

    live: F64
    revised: F64
    reasons: list[Reason | None]

    def track(self, track: Track) -> F64:
        return self.live if track is Track.LIVE else self.revised

    def part(self, epochs: slice) -> Staged:
        return Staged(self.live[epochs], self.revised[epochs], self.reasons[epochs])


def stage_epochs(epochs: Sequence[Epoch], backend: Backend, clock: Clock) -> Staged:
    """Stage a whole night as if it came live: the live track uses past epochs only."""
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
    """Return the most probable stage of each row (n, 5): index into `STAGES`, -1 if unscored."""
    unscored = np.isnan(probabilities).any(axis=1)
    return np.where(unscored, -1, np.nan_to_num(probabilities).argmax(axis=1))


def _row(prediction: StagePrediction) -> tuple[float, ...] | float:
    return np.nan if prediction.probabilities is None else prediction.probabilities
