"""Speed of the parts, and the time the paper's protocol would take at that speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offline_training.training.checkpoint import Counters
from offline_training.training.published import FOLDS
from offline_training.training.recipe import TrainingRecipe


def epochs_of(recipe: TrainingRecipe) -> dict[str, int]:
    """Return the epochs that each part goes through if it does not stop early."""
    length = recipe.sequence_length
    return {
        "epoch": recipe.epoch.steps * recipe.epoch.batch,
        "sequence": recipe.sequence.steps * recipe.sequence.batch * length,
        "finetune": recipe.finetune.steps * recipe.finetune.batch * length,
    }


def throughput(parts: Sequence[Counters], recipe: TrainingRecipe) -> dict[str, Any]:
    """Return epochs per second of each part, and projected hours of one run and of ten folds.

    The projection is of training alone, all steps. Early stopping makes a run shorter; validation,
    which is not counted, makes it longer.
    """
    rates = {counters.part: counters.epochs_per_s for counters in parts if counters.training_s}
    epochs = epochs_of(recipe)
    hours = sum(epochs[part] / rate / 3600 for part, rate in rates.items())
    return {
        "epochs_per_s": {part: round(rate, 1) for part, rate in rates.items()},
        "training_s": {counters.part: round(counters.training_s, 1) for counters in parts},
        "projected_h": {
            "parts": list(rates),
            "one_run": round(hours, 2),
            "ten_folds": round(FOLDS * hours, 1),
        },
    }


def throughput_line(found: dict[str, Any]) -> str:
    """Return the result of `throughput` as one line of text."""
    rates = "  ".join(f"{part} {rate:,}" for part, rate in found["epochs_per_s"].items())
    hours = found["projected_h"]
    return (
        f"epochs/s: {rates}; at this rate all steps take {hours['one_run']} h, "
        f"the paper's {FOLDS} folds {hours['ten_folds']} h"
    )
