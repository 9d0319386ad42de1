"""Published figures of other networks, and the table that compares them with a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.types import Track
from offline_training.evaluation.track import TrackScores

FOLDS = 10
"""Folds of subjects in the protocol of the published figures of Sleep-EDF."""


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """Published agreement of a network with the expert.

    ``accuracy`` and ``macro_f1`` are in per cent. ``macro_f1`` and ``kappa`` are None where the
    source gives none.
    """

    network: str
    source: str
    accuracy: float
    macro_f1: float | None = None
    kappa: float | None = None


SLEEP_EDF = (
    PublishedFigure("MC2SleepNet", "Na et al. 2025, arXiv:2502.17470, abstract", 84.6),
    PublishedFigure("SleePyCo", "Lee et al. 2024", 84.6, 79.0, 0.787),
    PublishedFigure("XSleepNet2", "Phan et al. 2021", 84.0, 78.7, 0.778),
    PublishedFigure("TinySleepNet", "Supratak & Guo 2020", 83.1, 78.1, 0.77),
    PublishedFigure("AttnSleep", "Eldele et al. 2021", 82.9, 78.1, 0.77),
    PublishedFigure("SeqSleepNet", "Phan et al. 2019", 82.6, None, 0.760),
    PublishedFigure("SleepTransformer", "Phan et al. 2022", 81.4, 74.3, 0.743),
    PublishedFigure("U-Time", "Perslev et al. 2019", 81.3, None, 0.745),
    PublishedFigure("SleepEEGNet", "Mousavi et al. 2019", 80.0, 73.6, 0.73),
)
"""Single-channel EEG of Sleep-EDF cassette: 78 subjects, 30 min of wake around sleep."""

SHHS = (
    PublishedFigure("MC2SleepNet", "Na et al. 2025, arXiv:2502.17470, abstract", 88.6),
    PublishedFigure("L-SeqSleepNet", "Phan et al. 2023", 88.4),
    PublishedFigure("SleePyCo", "Lee et al. 2024", 87.9, 80.7, 0.830),
    PublishedFigure("SleepTransformer", "Phan et al. 2022", 87.7, 80.1, 0.828),
    PublishedFigure("XSleepNet", "Phan et al. 2021", 87.6, 80.7, 0.826),
)
"""Single-channel EEG of SHHS, visit 1: all wake is kept."""


def table(
    scores: dict[Track, TrackScores],
    published: Sequence[PublishedFigure],
    folds_run: int,
    folds: int,
) -> str:
    """Return a text table: this run's figures above the published ones.

    Accuracy and macro-F1 are in per cent, kappa is not. '-' stands for a figure that is not given.
    """
    rows = [("network", "accuracy", "macro-F1", "kappa", "source")]
    for track, found in scores.items():
        agreement = found.agreement
        accuracy, macro_f1 = (
            None if share is None else 100 * share
            for share in (agreement.accuracy, agreement.macro_f1)
        )
        source = f"this run, streamed, {folds_run} of {folds} folds"
        rows.append((f"ours, {track}", *_cells(accuracy, macro_f1, agreement.kappa), source))
    rows += [
        (one.network, *_cells(one.accuracy, one.macro_f1, one.kappa), one.source)
        for one in published
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cells(
    accuracy: float | None, macro_f1: float | None, kappa: float | None
) -> tuple[str, str, str]:
    return (
        "-" if accuracy is None else f"{accuracy:.1f}",
        "-" if macro_f1 is None else f"{macro_f1:.1f}",
        "-" if kappa is None else f"{kappa:.3f}",
    )
