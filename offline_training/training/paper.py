"""The paper's protocol: folds of subjects (Sleep-EDF) or one split (SHHS), pooled, side by side.

Sleep-EDF: 10 subject-wise folds, metrics pooled over them. SHHS visit 1: one split by subject;
published are 3,955 / 100 / 1,738 recordings to train, validate and test, which subjects is not.
Every fold is a run of its own, in a folder of its own, and is not run again once it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.errors import InputError
from monitor.types import Track
from offline_training.data.files import write_whole
from offline_training.data.recordings import Recording, split_subjects
from offline_training.evaluation.streaming import probabilities, stream_all
from offline_training.evaluation.track import TrackScores
from offline_training.progress import progress
from offline_training.training.distributed import Ranks
from offline_training.training.fit import Tell, fit
from offline_training.training.folder import RunFolder
from offline_training.training.job import SPLIT_SEED, Job, hold_out
from offline_training.training.reading import encode_nights

FOLDS = 10
SHHS_TEST_FOLDS = 3
SHHS_VALIDATION_SHARE = 40
"""Of ten folds of subjects and of one subject in so many: near 3,955 / 100 / 1,738."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published figure: ``accuracy`` and ``macro_f1`` in per cent, None where not quoted."""

    network: str
    source: str
    accuracy: float
    macro_f1: float | None = None
    kappa: float | None = None


SLEEP_EDF = (
    Published("MC2SleepNet", "Na et al. 2025, arXiv:2502.17470, abstract", 84.6),
    Published("SleePyCo", "Lee et al. 2024", 84.6, 79.0, 0.787),
    Published("XSleepNet2", "Phan et al. 2021", 84.0, 78.7, 0.778),
    Published("TinySleepNet", "Supratak & Guo 2020", 83.1, 78.1, 0.77),
    Published("AttnSleep", "Eldele et al. 2021", 82.9, 78.1, 0.77),
    Published("SeqSleepNet", "Phan et al. 2019", 82.6, None, 0.760),
    Published("SleepTransformer", "Phan et al. 2022", 81.4, 74.3, 0.743),
    Published("U-Time", "Perslev et al. 2019", 81.3, None, 0.745),
    Published("SleepEEGNet", "Mousavi et al. 2019", 80.0, 73.6, 0.73),
)
SHHS = (
    Published("MC2SleepNet", "Na et al. 2025, arXiv:2502.17470, abstract", 88.6),
    Published("L-SeqSleepNet", "Phan et al. 2023", 88.4),
    Published("SleePyCo", "Lee et al. 2024", 87.9, 80.7, 0.830),
    Published("SleepTransformer", "Phan et al. 2022", 87.7, 80.1, 0.828),
    Published("XSleepNet", "Phan et al. 2021", 87.6, 80.7, 0.826),
)
"""Single-channel EEG. Sleep-EDF: 78 subjects, 30 min of wake around sleep; SHHS: no trim."""

Split = tuple[list[Recording], list[Recording], list[Recording]]
"""Train, validation, test."""


def is_shhs(recordings: Sequence[Recording]) -> bool:
    """Which of the two protocols ``recordings`` are for.

    Raises
    ------
    InputError
        They are of several data sets.
    """
    datasets = sorted({one.dataset for one in recordings})
    if len(datasets) != 1:
        raise InputError(f"the paper's protocol takes one data set, got {', '.join(datasets)}")
    return datasets[0].startswith("shhs")


def splits(recordings: Sequence[Recording], validation_share: int) -> list[Split]:
    """Every fold's recordings. No subject is in two of a fold's three groups."""
    folds = split_subjects(recordings, FOLDS, SPLIT_SEED + 1)
    if is_shhs(recordings):
        test = [one for _, fold in folds[:SHHS_TEST_FOLDS] for one in fold]
        rest = [one for _, fold in folds[SHHS_TEST_FOLDS:] for one in fold]
        return [(*hold_out(rest, SHHS_VALIDATION_SHARE), test)]
    return [(*hold_out(rest, validation_share), fold) for rest, fold in folds]


def run_paper(
    recordings: Sequence[Recording],
    job: Job,
    folds_run: int | None,
    ranks: Ranks,
    tell: Tell = progress,
) -> str:
    """Train and test the folds that are not there yet; returns the table, and writes it with the
    pooled figures into the job's folder."""
    found = splits(recordings, job.recipe.validation_share)[:folds_run]
    for number, (train, validation, test) in enumerate(found, start=1):
        folder = job.out / f"fold-{number:02}"

        def tell_fold(what: str, done: int, number: int = number) -> Any:
            return tell(f"fold {number}/{len(found)} {what}", done)

        one = replace(job, out=folder)
        if (folder / "predictions.npz").is_file():
            RunFolder(folder).claim(one.config(train, validation), ranks.first)  # this very job?
            continue
        fitted = fit(train, validation, one, ranks, tell_fold)
        nights = encode_nights(fitted.network, test, ranks)
        if ranks.first:
            recipe = job.recipe
            streamed = stream_all(
                fitted.network, nights, recipe.sequence_length, recipe.revision_epochs
            )
            _write_predictions(
                folder, streamed.truth, probabilities(fitted.network, streamed), test
            )
    if not ranks.first:
        return ""
    return _pooled(job.out, len(found), recordings)


def _write_predictions(
    folder: Path,
    truth: npt.NDArray[np.int64],
    answers: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    test: Sequence[Recording],
) -> None:
    names = np.repeat([one.name for one in test], [len(one.stage) for one in test])
    write_whole(
        folder / "predictions.npz",
        lambda file: np.savez(
            file, truth=truth, live=answers[0], revised=answers[1], recording=names
        ),
    )


def _pooled(out: Path, n_folds: int, recordings: Sequence[Recording]) -> str:
    folds = []
    for number in range(1, n_folds + 1):
        with np.load(out / f"fold-{number:02}" / "predictions.npz", allow_pickle=False) as file:
            folds.append({name: file[name] for name in file})
    pooled = {name: np.concatenate([fold[name] for fold in folds]) for name in folds[0]}
    scores = {
        track: TrackScores.of(pooled["truth"], pooled[track.value], pooled["recording"])
        for track in Track
    }
    shhs = is_shhs(recordings)
    text = table(scores, SHHS if shhs else SLEEP_EDF, n_folds, 1 if shhs else FOLDS)
    content = {
        "folds_run": n_folds,
        **{track.value: found.to_json() for track, found in scores.items()},
    }
    RunFolder(out).write_json("paper.json", content)
    return text


def table(
    scores: dict[Track, TrackScores],
    published: Sequence[Published],
    folds_run: int,
    folds: int,
) -> str:
    """Ours above what others published, percent but kappa; '-' where nothing is quoted."""
    rows = [("network", "accuracy", "macro-F1", "kappa", "source")]
    for track, found in scores.items():
        agreement = found.agreement
        accuracy, macro_f1 = (
            None if share is None else 100 * share
            for share in (agreement.accuracy, agreement.macro_f1)
        )
        source = f"this run, streamed, {folds_run} of {folds} folds"
        rows.append((f"ours, {track}", *_numbers(accuracy, macro_f1, agreement.kappa), source))
    rows += [
        (one.network, *_numbers(one.accuracy, one.macro_f1, one.kappa), one.source)
        for one in published
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _numbers(
    accuracy: float | None, macro_f1: float | None, kappa: float | None
) -> tuple[str, str, str]:
    return (
        "-" if accuracy is None else f"{accuracy:.1f}",
        "-" if macro_f1 is None else f"{macro_f1:.1f}",
        "-" if kappa is None else f"{kappa:.3f}",
    )
