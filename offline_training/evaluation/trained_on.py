"""Find recordings of people that a network was trained on: its scores there are too high."""

from __future__ import annotations

from collections.abc import Sequence

from offline_training.data import shhs, sleep_edf
from offline_training.data.scored import ScoredNight
from offline_training.evaluation.networks import Network


def trained_on(network: Network, nights: Sequence[ScoredNight]) -> list[str]:
    """Return the names of the ``nights`` whose subjects are listed in the card of ``network``.

    The subject is read from the file name, so only files of Sleep-EDF and SHHS can be found.
    """
    return [
        night.name
        for night in nights
        if (sleep_edf.subject_of(night.recording.path) or shhs.subject_of(night.recording.path))
        in network.subjects
    ]


def trained_on_warning(network: Network, nights: Sequence[ScoredNight]) -> str | None:
    """Return a warning that names those recordings; None if there are none."""
    names = trained_on(network, nights)
    if not names:
        return None
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        f"warning: {network.label} was trained on people of {len(names)} of these {len(nights)} "
        f"recordings ({shown}): its scores there are too high, and do not apply to other people"
    )
