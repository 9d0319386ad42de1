"""Card fields of trained weights: data, licences, recipe, limits and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from models.contract import Gain
from monitor.types import Track
from offline_training.data.licences import terms
from offline_training.data.recordings import LabelledNight
from offline_training.data.surrogates import DATASET as SURROGATE
from offline_training.evaluation.scores import Scores
from offline_training.training.job import Job, earlier_parts
from offline_training.training.provenance import Provenance
from offline_training.training.reading import truth

LIMITS = [
    "Not a medical device; not for diagnosis or treatment.",
    "Trained on the recordings named here; other people, electrodes and recorders may do worse.",
    "Probabilities are calibrated for nights like the held-out ones.",
]
SURROGATE_LIMIT = (
    "Trained on, and measured with, surrogate EEG; no real signal was seen in this training."
)
GAIN_LIMIT = {
    Gain.KNOWN: "Needs true microvolts: stages follow amplitude.",
    Gain.UNKNOWN: "Does not use amplitude; on calibrated microvolts other weights may do better.",
}
NO_SHIPPING = "Must not be shipped or shared: a licence of the training data forbids it."


def card_fields(
    train: Sequence[LabelledNight],
    held_out: Sequence[LabelledNight],
    job: Job,
    scores: Mapping[Track, Scores],
    speed: dict[str, Any],
) -> dict[str, Any]:
    """Return the card's fields for `models.weights.save`, all but contract and network.

    ``scores`` are those of the held-out recordings, ``speed`` the result of
    `throughput.throughput`.
    """
    provenance = Provenance.of(job.init)
    data = {**_data(train, held_out, provenance), "wake_kept": job.trim}
    surrogate = all(one.dataset == SURROGATE for one in [*train, *held_out])
    limits = [*LIMITS, GAIN_LIMIT[job.gain]]
    if surrogate:
        limits.append(SURROGATE_LIMIT)
    if not data["may_ship"]:
        limits.append(NO_SHIPPING)
    note = (
        f"one {data['held_out_by']} in several, used for early stopping and calibration: "
        "optimistic; streamed as the monitor would"
    )
    if surrogate:
        note += "; surrogate EEG, no real signal"
    if known_subjects(held_out, provenance):
        note += "; the weights it began with were trained on these subjects: nothing of others"
    return {
        "command": job.command,
        "data": data,
        "recipe": job.recipe.to_json(),
        "seed": job.seed,
        "stages_trained": list(job.parts),
        "stages_loaded": list(earlier_parts(job)),
        "init": provenance.to_json(),
        "throughput": speed,
        "software": {"torch": torch.__version__},
        "made": datetime.now(UTC).date().isoformat(),
        "limits": limits,
        "figures": {
            "held_out": {
                "note": note,
                **{track.value: found.to_json() for track, found in scores.items()},
            }
        },
    }


def known_subjects(held_out: Sequence[LabelledNight], provenance: Provenance) -> set[str]:
    """Return the held-out subjects that the run's first weights were trained on."""
    return {one.subject for one in held_out} & provenance.train_subjects


def _data(
    train: Sequence[LabelledNight], held_out: Sequence[LabelledNight], provenance: Provenance
) -> dict[str, Any]:
    """Return data sets, licences and subjects.

    Data sets and licences include those behind the run's first weights: their terms still hold.
    """
    everything = [*train, *held_out]
    shared = {one.subject for one in train} & {one.subject for one in held_out}
    return {
        **terms(
            provenance.datasets | {one.dataset for one in everything},
            provenance.licences | {one.licence for one in everything},
        ),
        "train_subjects": sorted({one.subject for one in train}),
        "held_out_subjects": sorted({one.subject for one in held_out}),
        "held_out_by": "night" if shared else "subject",
        "train_epochs": int(sum((truth(one) >= 0).sum() for one in train)),
    }
