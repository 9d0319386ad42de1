"""The scores of one track: agreement with intervals, calibration, risk-coverage.

They are computed from arrays, so they serve a streamed recording and the folds of a
cross-validation alike.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.contract import STAGES, Stage
from monitor.night.agreement import Agreement
from offline_training.arrays import I64, Bool
from offline_training.evaluation.calibration import Reliability
from offline_training.evaluation.coverage import COVERAGES, Abstention, RiskCoverage, abstentions
from offline_training.evaluation.intervals import LEVEL, Interval, describe_method, resampled_sums
from offline_training.evaluation.scores import confusion

_N = len(STAGES)


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of epochs of each kind.

    ``compared + unscored_by_monitor + unscored_by_expert - unscored_by_both == epochs``.
    """

    epochs: int
    compared: int
    unscored_by_monitor: int
    unscored_by_expert: int
    unscored_by_both: int


@dataclass(frozen=True, slots=True, eq=False)
class TrackScores:
    """The scores of one track against the expert, over the epochs that both scored.

    - ``intervals``: 95 % bootstrap intervals of ``accuracy``, ``macro_f1``, ``kappa`` and of each
      stage's F1 (under the stage's name); None if undefined. Calibration has none: resampling noise
      increases every bin's distance, so its resamples lie above the figure itself.
    - ``interval_method``: the units that were drawn with replacement.
    """

    counts: Counts
    agreement: Agreement
    intervals: dict[str, Interval | None]
    interval_method: str
    reliability: Reliability
    risk_coverage: RiskCoverage
    abstentions: list[Abstention]

    @classmethod
    def of(
        cls,
        truth: I64,
        probabilities: npt.NDArray[np.floating],
        groups: npt.ArrayLike,
        seed: int = 0,
    ) -> TrackScores:
        """Score a track of n epochs. Raises ValueError if the shapes do not match.

        Parameters
        ----------
        truth : int64 (n,), index into `STAGES`, -1 if the expert scored none.
        probabilities : (n, 5), rows that sum to 1; a row is NaN if the monitor scored none.
        groups : (n,), the recording (or person) of each epoch; within one, in order of time.
        seed : seed of the bootstrap.
        """
        if probabilities.shape != (truth.size, _N) or np.shape(groups) != truth.shape:
            raise ValueError(
                f"truth and groups must be (n,) and probabilities (n, {_N}), got {truth.shape}, "
                f"{np.shape(groups)} and {probabilities.shape}"
            )
        by_expert, by_monitor = truth >= 0, ~np.isnan(probabilities).any(axis=1)
        compared = by_expert & by_monitor
        stage = np.where(by_monitor, np.nan_to_num(probabilities).argmax(axis=1), 0)
        confidence = probabilities[compared].max(axis=1)
        correct = (stage == truth)[compared]
        return cls(
            counts=Counts(
                epochs=truth.size,
                compared=int(compared.sum()),
                unscored_by_monitor=int((~by_monitor).sum()),
                unscored_by_expert=int((~by_expert).sum()),
                unscored_by_both=int((~by_monitor & ~by_expert).sum()),
            ),
            agreement=Agreement.of(
                confusion(truth[compared], stage[compared]), int(by_expert.sum())
            ),
            intervals=_intervals(truth, stage, compared, groups, seed),
            interval_method=describe_method(groups),
            reliability=Reliability.of(correct, confidence),
            risk_coverage=RiskCoverage.of(correct, confidence),
            abstentions=abstentions(truth[compared], probabilities[compared]),
        )

    @property
    def positives(self) -> dict[Stage, int]:
        """Number of compared epochs that the expert scored as each stage."""
        counts = self.agreement.confusion.sum(axis=1)
        return {stage: int(counts[i]) for i, stage in enumerate(STAGES)}

    def to_json(self) -> dict[str, Any]:
        found = self.agreement
        return {
            **asdict(self.counts),
            "positives": self.positives,
            "accuracy": found.accuracy,
            "macro_f1": found.macro_f1,
            "kappa": found.kappa,
            "f1": found.f1,
            "confusion": found.confusion.tolist(),
            "interval_level": LEVEL,
            "interval_method": self.interval_method,
            "intervals": {
                name: None if interval is None else [interval.low, interval.high]
                for name, interval in self.intervals.items()
            },
            "calibration_error": self.reliability.error,
            "reliability": {
                name: _json_list(getattr(self.reliability, name))
                for name in ("count", "confidence", "accuracy")
            },
            "risk_coverage": {
                "area": self.risk_coverage.area,
                "error_at_coverage": {f"{at:g}": self.risk_coverage.at(at) for at in COVERAGES},
            },
            "abstain_below": [asdict(row) for row in self.abstentions],
        }


def _intervals(
    truth: I64, stage: I64, compared: Bool, groups: npt.ArrayLike, seed: int
) -> dict[str, Interval | None]:
    # Each compared epoch has a single 1, at its cell of the confusion matrix.
    cells = np.zeros((truth.size, _N * _N), np.float32)
    at = np.flatnonzero(compared)
    cells[at, truth[at] * _N + stage[at]] = 1
    resampled = [
        Agreement.of(sums.reshape(_N, _N).astype(np.int64), 0)
        for sums in resampled_sums(cells, groups, seed)
    ]
    statistics = {
        "accuracy": [one.accuracy for one in resampled],
        "macro_f1": [one.macro_f1 for one in resampled],
        "kappa": [one.kappa for one in resampled],
        **{name.value: [one.f1[name] for one in resampled] for name in STAGES},
    }
    return {
        name: Interval.of(np.array(values, np.float64))  # None becomes NaN.
        for name, values in statistics.items()
    }


def _json_list(values: npt.NDArray[Any]) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]
