"""Agreement with the expert's stages: accuracy, macro-F1, Cohen's kappa, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.contract import STAGES
from monitor.night.agreement import Agreement
from offline_training.arrays import F32, I64
from offline_training.evaluation.calibration import Reliability

_N = len(STAGES)


def confusion(truth: I64, stage: I64) -> I64:
    """Count pairs of stages, (n,) each: int64 (5, 5), rows the expert.

    Epochs with a negative ``truth`` do not count.
    """
    counted = truth >= 0
    pairs = truth[counted] * _N + stage[counted]
    return np.bincount(pairs, minlength=_N * _N).reshape(_N, _N)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Agreement with the expert, and the expected calibration error (`Reliability.error`)."""

    agreement: Agreement
    calibration_error: float | None

    @classmethod
    def of(cls, truth: I64, probabilities: F32) -> Scores:
        """Score probabilities (n, 5) against stages (n,), -1 if the expert scored none."""
        probabilities, truth = probabilities[truth >= 0], truth[truth >= 0]
        stage = probabilities.argmax(axis=1)
        return cls(
            Agreement.of(confusion(truth, stage), truth.size),
            Reliability.of(truth == stage, probabilities.max(axis=1)).error,
        )

    def to_json(self) -> dict[str, Any]:
        found = self.agreement
        return {
            "epochs": found.n_scored,
            "accuracy": _rounded(found.accuracy, 4),
            "macro_f1": _rounded(found.macro_f1, 4),
            "kappa": _rounded(found.kappa, 4),
            "f1": {stage.value: _rounded(score, 3) for stage, score in found.f1.items()},
            "calibration_error": _rounded(self.calibration_error, 4),
        }

    def __str__(self) -> str:
        found = self.agreement
        return (
            f"accuracy {found.accuracy:.3f}  macro-F1 {found.macro_f1:.3f}  "
            f"kappa {_rounded(found.kappa, 3)}  calibration error "
            f"{_rounded(self.calibration_error, 3)}"
            f"  ({found.n_scored} epochs)"
        )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
