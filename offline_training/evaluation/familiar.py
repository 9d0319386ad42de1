"""Which recordings are of people that a network was trained on: figures of these flatter."""

from __future__ import annotations

from collections.abc import Sequence

from offline_training.data import shhs, sleep_edf
from offline_training.data.scored import ScoredNight
from offline_training.evaluation.networks import Network


def familiar(network: Network, nights: Sequence[ScoredNight]) -> list[str]:
    """Names of the ``nights`` whose file names are of a subject that the card of ``network`` names.

    Only files of Sleep-EDF and SHHS can be told so.
    """
    return [
        night.name
        for night in nights
        if (sleep_edf.subject_of(night.recording.path) or shhs.subject_of(night.recording.path))
        in network.subjects
    ]


def warning(network: Network, nights: Sequence[ScoredNight]) -> str | None:
    """What to say of them, None where there are none."""
    names = familiar(network, nights)
    if not names:
        return None
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        f"warning: {network.label} was trained on people of {len(names)} of these {len(nights)} "
        f"recordings ({shown}): its figures there flatter, and tell nothing about other people"
    )
