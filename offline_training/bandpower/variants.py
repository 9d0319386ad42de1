"""The band-power weights: fitted once for shipping, and cross-validated for honest figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.contract import Gain, ModelContract
from models.mc2sleepnet import MC2SleepNet
from offline_training.bandpower.fit import Recipe, fit
from offline_training.bandpower.nights import (
    CHANNEL,
    Night,
    in_microvolts,
    load_nights,
)
from offline_training.bandpower.staging import stream_nights
from offline_training.data.recordings import split_subjects
from offline_training.evaluation.scores import Scores
from offline_training.evaluation.streaming import probabilities
from offline_training.progress import Report

VARIANTS = {Gain.KNOWN: "absolute", Gain.UNKNOWN: "gain-free"}
RECIPES = {
    Gain.KNOWN: Recipe(steps=800),
    Gain.UNKNOWN: Recipe(steps=1000, gain=0.1),  # relative powers do not see the gain
}
"""Steps chosen by the loss on held-out subjects."""

HELD_OUT_SHARE = 10
"""One subject in this many is held out of training, for early stopping and calibration."""

HELD_OUT_STRIDE = 4
"""Score every so many of their epochs: neighbours say much the same."""

SPLIT_SEED = 2025


@dataclass(frozen=True, slots=True)
class Fitted:
    network: MC2SleepNet
    train: list[Night]
    held_out: list[Night]
    live: Scores
    revised: Scores


def nights_of(data: Path, gain: Gain) -> list[Night]:
    """Nights in ``data``, in uV^2 where the gain is to be used."""
    nights = load_nights(data)
    return in_microvolts(nights, data) if gain is Gain.KNOWN else nights


def hold_out(nights: list[Night]) -> tuple[list[Night], list[Night]]:
    """(train, held out) by subject, the same at every call."""
    subjects = len({night.subject for night in nights})
    return split_subjects(nights, min(HELD_OUT_SHARE, subjects), SPLIT_SEED)[0]


def fit_variant(
    nights: list[Night], gain: Gain, recipe: Recipe, seed: int, report: Report
) -> Fitted:
    """Weights trained on all subjects but those held out for early stopping and calibration."""
    train, held_out = hold_out(nights)
    network = fit(train, held_out, gain is Gain.UNKNOWN, recipe, seed, report)
    live, revised = score(network, held_out, recipe, HELD_OUT_STRIDE)
    return Fitted(network, train, held_out, live, revised)


def contract_of(network: MC2SleepNet, gain: Gain, recipe: Recipe, version: str) -> ModelContract:
    """The contract of band-power weights; `models.weights.save` fills in the sha256."""
    return ModelContract(
        name=f"mc2sleepnet-bandpower-{VARIANTS[gain]}",
        version=version,
        gain=gain,
        channel=CHANNEL,
        context_epochs=recipe.context_epochs,
        revision_epochs=recipe.revision_epochs,
        embedding_dim=network.config.embedding_dim,
        weights_sha256="",
    )


def score(
    network: MC2SleepNet, nights: list[Night], recipe: Recipe, stride: int
) -> tuple[Scores, Scores]:
    """Scores of the live and the final revised track, streamed."""
    streamed = stream_nights(network, nights, recipe.context_epochs, recipe.revision_epochs, stride)
    live, revised = probabilities(network, streamed)
    return Scores.of(streamed.truth, live), Scores.of(streamed.truth, revised)


def cross_validate(
    nights: list[Night],
    gain: Gain,
    recipe: Recipe,
    n_folds: int,
    run_folds: int,
    seed: int,
    stride: int,
    report: Report,
) -> dict[str, Any]:
    """Train without each fold's subjects and stage them; scores pooled over the folds that ran.

    Every ``stride``-th epoch is scored, each from its full context of consecutive epochs.

    Early stopping and calibration use other subjects, held out of each fold's training part.
    """
    truth, live, revised = [], [], []
    for k, (rest, fold) in enumerate(split_subjects(nights, n_folds, SPLIT_SEED + 1)[:run_folds]):

        def report_fold(step: int, steps: int, line: str, k: int = k) -> None:
            report(k * steps + step, run_folds * steps, f"fold {k + 1}: {line}")

        train, held_out = hold_out(rest)
        network = fit(train, held_out, gain is Gain.UNKNOWN, recipe, seed + k, report_fold)
        streamed = stream_nights(
            network, fold, recipe.context_epochs, recipe.revision_epochs, stride
        )
        fold_live, fold_revised = probabilities(network, streamed)
        truth.append(streamed.truth)
        live.append(fold_live)
        revised.append(fold_revised)
    pooled = np.concatenate(truth)
    return {
        "folds": n_folds,
        "folds_run": run_folds,
        "every_nth_epoch": stride,
        "trim": "30 min of wake around sleep",
        "live": Scores.of(pooled, np.concatenate(live)).to_json(),
        "revised": Scores.of(pooled, np.concatenate(revised)).to_json(),
    }
