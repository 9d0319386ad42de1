"""How well stages agree with the expert's: accuracy, macro-F1, Cohen's kappa, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.contract import STAGES

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

_N = len(STAGES)


def confusion(truth: I64, stage: I64) -> I64:
    """(5, 5) counts, expert by row. Epochs with a negative ``truth`` do not count."""
    counted = truth >= 0
    pairs = truth[counted] * _N + stage[counted]
    return np.bincount(pairs, minlength=_N * _N).reshape(_N, _N)


@dataclass(frozen=True, slots=True)
class Scores:
    """``calibration_error`` is the expected calibration error in 15 equal-width bins."""

    epochs: int
    accuracy: float
    macro_f1: float
    kappa: float
    f1: dict[str, float]
    calibration_error: float

    @classmethod
    def of(cls, truth: I64, probabilities: F32) -> Scores:
        """Score probabilities (n, 5) against stages (n,), -1 where the expert gave none."""
        probabilities, truth = probabilities[truth >= 0], truth[truth >= 0]
        stage = probabilities.argmax(axis=1)
        table = confusion(truth, stage).astype(np.float64)
        total, agreed = table.sum(), np.diag(table)
        rows, columns = table.sum(axis=1), table.sum(axis=0)
        f1 = 2 * agreed / np.maximum(rows + columns, 1)
        accuracy = agreed.sum() / total
        chance = (rows * columns).sum() / total**2
        return cls(
            epochs=int(total),
            accuracy=float(accuracy),
            macro_f1=float(f1.mean()),
            kappa=float((accuracy - chance) / (1 - chance)) if chance < 1 else 0.0,
            f1={str(name): float(value) for name, value in zip(STAGES, f1, strict=True)},
            calibration_error=_calibration_error(truth == stage, probabilities.max(axis=1)),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "epochs": self.epochs,
            "accuracy": round(self.accuracy, 4),
            "macro_f1": round(self.macro_f1, 4),
            "kappa": round(self.kappa, 4),
            "f1": {name: round(value, 3) for name, value in self.f1.items()},
            "calibration_error": round(self.calibration_error, 4),
        }

    def __str__(self) -> str:
        return (
            f"accuracy {self.accuracy:.3f}  macro-F1 {self.macro_f1:.3f}  kappa {self.kappa:.3f}"
            f"  calibration error {self.calibration_error:.3f}  ({self.epochs} epochs)"
        )


def _calibration_error(correct: npt.NDArray[np.bool_], confidence: F32, bins: int = 15) -> float:
    at = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(at, confidence - correct, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
