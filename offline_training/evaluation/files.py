"""Results for programs: JSON and CSV files in the folder of ``--out``."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from models.contract import EPOCH_S, STAGES
from monitor.night.agreement import Agreement
from monitor.sinks.epochs_csv import UNSCORED
from monitor.types import Track
from offline_training.arrays import F64, I64
from offline_training.evaluation.networks import Network
from offline_training.evaluation.nights import stages_of
from offline_training.evaluation.robustness import Outcomes
from offline_training.evaluation.run import NightResult, Results, Tracks
from offline_training.evaluation.trained_on import trained_on

OUTCOME_COLUMNS = (
    "kind",
    "value",
    "network",
    "track",
    "expert_epochs",
    "compared",
    "accuracy",
    "macro_f1",
    "kappa",
)


def results_json(
    results: Results, networks: Sequence[Network], peak_memory_mb: float | None
) -> dict[str, Any]:
    """Return all results about recordings and networks, in the form that `write_json` writes."""
    labels = [network.label for network in networks]
    return {
        "networks": {network.label: _network(network, results) for network in networks},
        "peak_memory_mb": peak_memory_mb,
        "pooled": {label: _tracks(results.pooled[label]) for label in labels},
        "recordings": [
            {
                "name": result.night.name,
                "file": str(result.night.recording.path),
                "sha256": result.night.recording.fingerprint,
                "expert": str(result.night.expert.path),
                "channel": result.night.derivation.name,
                "sfreq_hz": result.night.derivation.sfreq_hz,
                "grid_origin_s": result.night.origin_s,
                "first_epoch": result.night.kept.start,
                "networks": {
                    label: {
                        **_tracks(results.by_night[label][result.night.name]),
                        "unscored_reasons": _reasons(result, label),
                    }
                    for label in labels
                },
            }
            for result in results.nights
        ],
    }


def outcomes_json(outcomes: Outcomes) -> list[dict[str, Any]]:
    """Return one entry for each setting, network and track; the value of `CLEAN` is None."""
    return [
        {
            "kind": setting.kind,
            "value": setting.value if np.isfinite(setting.value) else None,
            "network": label,
            "track": track,
            "expert_epochs": outcome.n_expert,
            **agreement_json(outcome.agreement),
        }
        for (setting, label, track), outcome in outcomes.items()
    ]


def agreement_json(found: Agreement) -> dict[str, Any]:
    return {
        "compared": found.n_scored,
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "kappa": found.kappa,
        "f1": found.f1,
        "confusion": found.confusion.tolist(),
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_outcomes(path: Path, outcomes: Iterable[Mapping[str, Any]]) -> None:
    """Write the entries of `outcomes_json` as a table; undefined scores are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, OUTCOME_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(outcomes)


def write_epochs(path: Path, result: NightResult) -> None:
    """Write one row for each epoch that counts.

    Columns: the expert's stage, then stage and probabilities of each network and track.
    """
    columns = ["epoch", "start_s", "expert"]
    parts: list[Sequence[Sequence[object]]] = [_stage_cells(result.truth)]
    for label, staged in result.staged.items():
        columns += [f"{label} reason"]
        parts.append([[reason or ""] for reason in staged.reasons])
        for track in Track:
            names = ("stage", *(f"p_{stage.lower()}" for stage in STAGES))
            columns += [f"{label} {track} {name}" for name in names]
            parts += [
                _stage_cells(stages_of(staged.track(track))),
                _probability_cells(staged.track(track)),
            ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        rows = zip(*parts, strict=True)
        for epoch, cells in enumerate(rows, result.night.kept.start):
            start_s = round(result.night.origin_s + EPOCH_S * epoch, 6)
            writer.writerow([epoch, start_s, *(cell for part in cells for cell in part)])


def _network(network: Network, results: Results) -> dict[str, Any]:
    contract = network.backend.contract
    return {
        "weights": str(network.weights),
        "weights_sha256": contract.weights_sha256,
        "gain": contract.gain,
        "trained_on": trained_on(network, [result.night for result in results.nights]),
        **asdict(network.cost),
        **asdict(results.timings[network.label]),
    }


def _tracks(scores: Tracks) -> dict[str, Any]:
    return {track: scores[track].to_json() for track in Track}


def _reasons(result: NightResult, label: str) -> dict[str, int]:
    """Count the epochs that are unscored for each reason."""
    reasons = [reason for reason in result.staged[label].reasons if reason is not None]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def _stage_cells(stages: I64) -> list[list[str]]:
    return [[UNSCORED if at < 0 else STAGES[at].value] for at in stages]


def _probability_cells(probabilities: F64) -> list[list[float | str]]:
    return [["" if np.isnan(p) else round(float(p), 6) for p in row] for row in probabilities]
