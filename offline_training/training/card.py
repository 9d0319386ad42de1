"""What the card of trained weights says besides contract and network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from models.contract import Gain
from models.weights import read_card
from monitor.types import Track
from offline_training.data.licences import may_ship
from offline_training.data.recordings import Recording
from offline_training.evaluation.scores import Scores
from offline_training.training.job import Job
from offline_training.training.reading import truth

LIMITS = [
    "Not a medical device; not for diagnosis or treatment.",
    "Trained on the recordings named here; other people, electrodes and recorders may do worse.",
    "Probabilities are calibrated under the class weights of the recipe, for nights like the "
    "held-out ones.",
]
GAIN_LIMIT = {
    Gain.KNOWN: "Needs true microvolts: stages follow amplitude.",
    Gain.UNKNOWN: "Does not use amplitude; on calibrated microvolts other weights may do better.",
}
NO_SHIPPING = "Must not be shipped or shared: a licence of the training data forbids it."


def described(
    train: Sequence[Recording],
    held_out: Sequence[Recording],
    job: Job,
    scores: Mapping[Track, Scores],
    speed: dict[str, Any],
) -> dict[str, Any]:
    """All of it, ready for `models.weights.save`."""
    data = {**_data(train, held_out, job.init), "wake_kept": job.trim}
    limits = [*LIMITS, GAIN_LIMIT[job.gain]]
    return {
        "command": job.command,
        "data": data,
        "recipe": job.recipe.to_json(),
        "seed": job.seed,
        "stages_trained": list(job.parts),
        "init": _origin(job.init),
        "throughput": speed,
        "software": {"torch": torch.__version__},
        "made": datetime.now(UTC).date().isoformat(),
        "limits": limits if data["may_ship"] else [*limits, NO_SHIPPING],
        "figures": {
            "held_out": {
                "note": f"one {data['held_out_by']} in several, used for early stopping and "
                "calibration: optimistic; streamed as the monitor would",
                **{track.value: found.to_json() for track, found in scores.items()},
            }
        },
    }


def _data(
    train: Sequence[Recording], held_out: Sequence[Recording], init: Path | None
) -> dict[str, Any]:
    """Shipping is forbidden where one recording forbids it, of these or of those that the weights
    ``init`` were trained on."""
    everything = [*train, *held_out]
    allowed = all(may_ship(one.licence) for one in everything)
    if init is not None:
        allowed = allowed and bool(read_card(init).get("data", {}).get("may_ship", True))
    shared = {one.subject for one in train} & {one.subject for one in held_out}
    return {
        "datasets": sorted({one.dataset for one in everything}),
        "licences": sorted({one.licence for one in everything}),
        "may_ship": allowed,
        "train_subjects": sorted({one.subject for one in train}),
        "held_out_subjects": sorted({one.subject for one in held_out}),
        "held_out_by": "night" if shared else "subject",
        "train_epochs": int(sum((truth(one) >= 0).sum() for one in train)),
    }


def _origin(init: Path | None) -> dict[str, Any] | None:
    """Which weights the training began with."""
    if init is None:
        return None
    contract = read_card(init)["contract"]
    return {name: contract[name] for name in ("name", "version", "weights_sha256")}
