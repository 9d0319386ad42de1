"""The sources of training data: a prepared folder, or surrogates of measured band powers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.contract import Gain
from offline_training.data.bandpowers import CHANNEL, TRIM, in_microvolts, load_nights
from offline_training.data.prepared import load_prepared
from offline_training.data.recordings import LabelledNight
from offline_training.data.surrogates import surrogate_recordings


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Recordings to train on, and what the weights' card states about them.

    - ``channel``: the channel of most of the recordings.
    - ``trim``: the wake around sleep that they keep. It moves accuracy by points.
    - ``gain``: KNOWN if all recordings are in true microvolts.
    """

    recordings: Sequence[LabelledNight]
    channel: str
    trim: str
    gain: Gain


def prepared_source(folder: Path) -> TrainingData:
    """Load what `sleep-train prepare` wrote into ``folder``. Raises InputError."""
    recordings = load_prepared(folder)
    kept = sorted({one.card.wake_min for one in recordings}, key=lambda minutes: minutes or 0)
    return TrainingData(
        recordings,
        channel=Counter(one.card.channel for one in recordings).most_common(1)[0][0],
        trim=", ".join("all" if one is None else f"{one:g} min around sleep" for one in kept),
        gain=Gain.KNOWN if all(one.card.gain is Gain.KNOWN for one in recordings) else Gain.UNKNOWN,
    )


def surrogate_source(folder: Path, seed: int) -> TrainingData:
    """Make surrogate EEG of the nights measured in ``folder``. Raises InputError."""
    nights = in_microvolts(load_nights(folder), folder)
    return TrainingData(surrogate_recordings(nights, folder, seed), CHANNEL, TRIM, Gain.KNOWN)


def some_subjects(recordings: Sequence[LabelledNight], n: int | None) -> list[LabelledNight]:
    """Return the recordings of at most ``n`` subjects, evenly spaced over all; None means all."""
    subjects = sorted({one.subject for one in recordings})
    if n is not None and n < len(subjects):
        at = np.linspace(0, len(subjects) - 1, n).round().astype(int)
        subjects = [subjects[i] for i in at]
    return [one for one in recordings if one.subject in subjects]
