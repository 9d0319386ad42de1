"""The paper's protocol: folds of subjects (Sleep-EDF) or one split (SHHS), pooled, side by side.

Sleep-EDF: 10 subject-wise folds, metrics pooled over them. SHHS visit 1: one split by subject;
published are 3,955 / 100 / 1,738 recordings to train, validate and test, which subjects is not.
Every fold is a run of its own, in a folder of its own, and is not run again once it is there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import typer

from monitor.errors import InputError
from monitor.types import Track
from offline_training.data.files import write_whole
from offline_training.data.npz import read_npz
from offline_training.data.recordings import Recording, split_subjects
from offline_training.evaluation.streaming import probabilities, stream_all
from offline_training.evaluation.track import TrackScores
from offline_training.progress import progress
from offline_training.training.distributed import Ranks
from offline_training.training.fit import Tell, fit
from offline_training.training.folder import RunFolder
from offline_training.training.job import Job, contents, hold_out
from offline_training.training.published import SHHS, SLEEP_EDF, Published, table
from offline_training.training.reading import encode_nights

FOLDS = 10
FOLD_SEED = 2026
SHHS_TEST_FOLDS = 3
SHHS_VALIDATION_SHARE = 40
"""Of ten folds of subjects and of one subject in so many: near 3,955 / 100 / 1,738."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a data set is split, and what with; ``trim`` as `data.sources.Source` says it."""

    published: Sequence[Published]
    trim: str
    folds: int


PROTOCOLS = {
    "sleep-edf-cassette": Protocol(SLEEP_EDF, "30 min around sleep", FOLDS),
    "shhs1": Protocol(SHHS, "all", 1),
}
"""By data set."""

PREDICTIONS = "predictions.npz"

Split = tuple[list[Recording], list[Recording], list[Recording]]
"""Train, validation, test."""


def protocol_of(recordings: Sequence[Recording]) -> Protocol:
    """The one that ``recordings`` are for.

    Raises
    ------
    InputError
        They are of several data sets, or of one without figures to compare with.
    """
    datasets = sorted({one.dataset for one in recordings})
    if len(datasets) != 1 or datasets[0] not in PROTOCOLS:
        raise InputError(
            f"the paper's protocol takes one data set, {' or '.join(PROTOCOLS)}, "
            f"got {', '.join(datasets)}"
        )
    return PROTOCOLS[datasets[0]]


def splits(recordings: Sequence[Recording], validation_share: int) -> list[Split]:
    """Every fold's recordings. No subject is in two of a fold's three groups."""
    protocol = protocol_of(recordings)
    folds = split_subjects(recordings, FOLDS, FOLD_SEED)
    if protocol.folds == 1:
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
    protocol = protocol_of(recordings)
    if ranks.first and job.trim != protocol.trim:
        typer.echo(
            f"warning: published figures are of nights with wake kept: {protocol.trim}; these "
            f"have: {job.trim}. That moves accuracy by points: not to be compared",
            err=True,
        )
    found = splits(recordings, job.recipe.validation_share)[:folds_run]
    folders = [job.out / f"fold-{number:02}" for number in range(1, len(found) + 1)]
    for folder, (train, validation, test) in zip(folders, found, strict=True):

        def tell_fold(what: str, done: int, number: int = folders.index(folder) + 1) -> Any:
            return tell(f"fold {number}/{len(found)} {what}", done)

        one = replace(job, out=folder)
        if (folder / PREDICTIONS).is_file():
            RunFolder(folder).check(one.config(train, validation))  # this very job?
            _read_predictions(folder, test)
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
    said = [
        _read_predictions(folder, test) for folder, (_, _, test) in zip(folders, found, strict=True)
    ]
    return _pooled(job.out, said, protocol)


def _write_predictions(
    folder: Path,
    truth: npt.NDArray[np.int64],
    answers: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    test: Sequence[Recording],
) -> None:
    lengths = [len(one.stage) for one in test]
    write_whole(
        folder / PREDICTIONS,
        lambda file: np.savez(
            file,
            truth=truth,
            live=answers[0],
            revised=answers[1],
            recording=np.repeat([one.name for one in test], lengths),
            subject=np.repeat([one.subject for one in test], lengths),
            tested=json.dumps(contents(test)),
        ),
    )


def _read_predictions(folder: Path, test: Sequence[Recording]) -> dict[str, npt.NDArray[Any]]:
    """What a fold answered on ``test``. Raises InputError if it is damaged or of other nights."""
    path = folder / PREDICTIONS
    found = read_npz(path, ("truth", "live", "revised", "subject", "tested"))
    if str(found.pop("tested")) != json.dumps(contents(test)):
        raise InputError(
            f"{path} is of other recordings than those of --data: choose another --out"
        )
    return found


def _pooled(out: Path, folds: list[dict[str, npt.NDArray[Any]]], protocol: Protocol) -> str:
    pooled = {name: np.concatenate([fold[name] for fold in folds]) for name in folds[0]}
    scores = {
        track: _by_subject(pooled["truth"], pooled[track.value], pooled["subject"])
        for track in Track
    }
    content = {
        "folds_run": len(folds),
        **{track.value: found.to_json() for track, found in scores.items()},
    }
    RunFolder(out).write_json("paper.json", content)
    return table(scores, protocol.published, len(folds), protocol.folds)


def _by_subject(
    truth: npt.NDArray[np.int64],
    answer: npt.NDArray[np.float32],
    subject: npt.NDArray[np.str_],
) -> TrackScores:
    """Intervals are of people: a subject's nights are drawn together."""
    found, subjects = TrackScores.of(truth, answer, subject), np.unique(subject).size
    if subjects == 1:
        return found
    return replace(found, interval_method=f"{subjects} subjects drawn with replacement")
