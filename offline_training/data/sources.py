"""Where training may get its recordings from, and what their weights' card must say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.contract import Gain
from offline_training.data.bandpowers import CHANNEL, TRIM, in_microvolts, load_nights
from offline_training.data.prepared import load_prepared
from offline_training.data.recordings import Recording
from offline_training.data.surrogates import surrogate_recordings


@dataclass(frozen=True, slots=True)
class Source:
    """``channel``: what most of the recordings have. ``trim``: how much wake around sleep they
    keep: it moves accuracy by points. ``gain``: KNOWN where all are in true microvolts."""

    recordings: Sequence[Recording]
    channel: str
    trim: str
    gain: Gain


def prepared_source(folder: Path) -> Source:
    """What `sleep-train prepare` made. Raises InputError if it cannot be used."""
    recordings = load_prepared(folder)
    kept = sorted({one.card.wake_min for one in recordings}, key=lambda minutes: minutes or 0)
    return Source(
        recordings,
        channel=Counter(one.card.channel for one in recordings).most_common(1)[0][0],
        trim=", ".join("all" if one is None else f"{one:g} min around sleep" for one in kept),
        gain=Gain.KNOWN if all(one.card.gain is Gain.KNOWN for one in recordings) else Gain.UNKNOWN,
    )


def surrogate_source(folder: Path, seed: int) -> Source:
    """Surrogate EEG of the nights measured in ``folder``. Raises InputError without them."""
    nights = in_microvolts(load_nights(folder), folder)
    return Source(surrogate_recordings(nights, folder, seed), CHANNEL, TRIM, Gain.KNOWN)


def some_subjects(recordings: Sequence[Recording], n: int | None) -> list[Recording]:
    """The recordings of at most ``n`` subjects, evenly over all of them."""
    subjects = sorted({one.subject for one in recordings})
    if n is not None and n < len(subjects):
        at = np.linspace(0, len(subjects) - 1, n).round().astype(int)
        subjects = [subjects[i] for i in at]
    return [one for one in recordings if one.subject in subjects]
