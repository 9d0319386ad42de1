"""Card fields of the band-power weights: data, recipe and limits."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from models.contract import Gain
from offline_training.bandpower.recipe import BandPowerRecipe
from offline_training.data.bandpowers import BandPowerNight
from offline_training.data.licences import ODC_BY, terms

DATA = {
    **terms(["sleep-edf-cassette"], [ODC_BY]),
    "form": (
        "per-epoch band powers of Fpz-Cz and Pz-Oz with expert stages (Rechtschaffen & Kales, "
        "S3 and S4 merged to N3), trimmed to 30 min of wake around sleep; no raw signal was used"
    ),
}

# The cards in models/default hold these sentences: change both together.
LIMITS = [
    "Not a medical device; not for diagnosis or treatment.",
    "Trained on healthy adults (Sleep-EDF has 78, aged 25 to 101), two derivations (Fpz-Cz and "
    "Pz-Oz, and mixtures of both), one recorder. Other derivations, a headband's among them, were "
    "never trained on and do worse.",
    "Only band powers are seen: K-complexes, spindles and eye movements are not, so N1 and R are "
    "confused with each other and N3 with N2 more often than by a network that sees the signal.",
    "N1 is found less than half of the time. R was tried on one other recording of one person.",
    "Probabilities are calibrated on Sleep-EDF with 30 min of wake around sleep: on other "
    "recordings, other derivations above all, they are further off.",
]

GAIN_LIMIT = {
    Gain.KNOWN: "Made for true microvolts; at half or twice the true gain a little worse.",
    Gain.UNKNOWN: "Does not use amplitude; on calibrated microvolts the absolute weights do "
    "better.",
}


def card_fields(
    train: list[BandPowerNight],
    held_out: list[BandPowerNight],
    gain: Gain,
    recipe: BandPowerRecipe,
    seed: int,
) -> dict[str, Any]:
    """Return the card's fields, all but contract, network, command and figures."""
    return {
        "data": {
            **DATA,
            "train_subjects": sorted({night.subject for night in train}),
            "held_out_subjects": sorted({night.subject for night in held_out}),
            "train_epochs": int(sum((night.stage >= 0).sum() for night in train)),
        },
        "recipe": asdict(recipe),
        "seed": seed,
        "software": {"torch": torch.__version__},
        "made": datetime.now(UTC).date().isoformat(),
        "limits": [*LIMITS, GAIN_LIMIT[gain]],
    }
