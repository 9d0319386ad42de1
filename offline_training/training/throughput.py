"""How fast the parts went, and how long the paper's protocol would take at that rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offline_training.training.checkpoint import Counters
from offline_training.training.recipe import Recipe

PAPER_FOLDS = 10


def epochs_of(recipe: Recipe) -> dict[str, int]:
    """Epochs that each part goes through if it is not stopped early."""
    length = recipe.sequence_length
    return {
        "epoch": recipe.epoch.steps * recipe.epoch.batch,
        "sequence": recipe.sequence.steps * recipe.sequence.batch * length,
        "finetune": recipe.finetune.steps * recipe.finetune.batch * length,
    }


def throughput(parts: Sequence[Counters], recipe: Recipe) -> dict[str, Any]:
    """Epochs a second of each part; hours of one full run of those parts and of ten folds.

    Of training alone, as if no part stopped early: early stopping makes it shorter, the looks at
    the validation subjects, which are not in it, longer.
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
            "ten_folds": round(PAPER_FOLDS * hours, 1),
        },
    }


def said(found: dict[str, Any]) -> str:
    """One line on it."""
    rates = "  ".join(f"{part} {rate:,}" for part, rate in found["epochs_per_s"].items())
    hours = found["projected_h"]
    return (
        f"epochs/s: {rates}; at this rate all steps take {hours['one_run']} h, "
        f"the paper's {PAPER_FOLDS} folds {hours['ten_folds']} h"
    )
