"""The paper's protocol: train and test on splits by subject, and compare with published figures.

- Sleep-EDF: 10 folds of subjects; the figures are pooled over the folds.
- SHHS visit 1: one split by subject. The paper trains, validates and tests on 3,955, 100 and 1,738
  recordings. It does not publish which, so the split here only comes near these numbers.

Every fold is a run of its own in a folder of its own. A fold whose predictions are there is not run
again.
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
from offline_training.arrays import F32, I64
from offline_training.data.files import write_whole
from offline_training.data.npz import read_npz
from offline_training.data.recordings import FOLD_SEED, LabelledNight, split_subjects
from offline_training.evaluation.streaming import probabilities, stream_all
from offline_training.evaluation.track import TrackScores
from offline_training.progress import Report, progress
from offline_training.training.distributed import Ranks
from offline_training.training.fit import StartReport, fit
from offline_training.training.folder import RunFolder
from offline_training.training.job import Job, content_hashes, hold_out
from offline_training.training.published import FOLDS, SHHS, SLEEP_EDF, PublishedFigure, table
from offline_training.training.reading import encode_nights

SHHS_TEST_FOLDS = 3
SHHS_VALIDATION_SHARE = 40
"""SHHS tests on 3 of 10 folds of subjects and validates on one subject in 40 of the rest. That is
near 3,955 / 100 / 1,738 recordings."""


@dataclass(frozen=True, slots=True)
class PaperProtocol:
    """Split of one data set, and the figures to compare with.

    - ``trim``: the wake around sleep that the published recordings keep, in the words of
      `data.sources`.
    - ``folds``: number of test folds; 1 means one split.
    """

    published: Sequence[PublishedFigure]
    trim: str
    folds: int


PROTOCOLS = {
    "sleep-edf-cassette": PaperProtocol(SLEEP_EDF, "30 min around sleep", FOLDS),
    "shhs1": PaperProtocol(SHHS, "all", 1),
}
"""Protocols by data set."""

PREDICTIONS = "predictions.npz"

Split = tuple[list[LabelledNight], list[LabelledNight], list[LabelledNight]]
"""Recordings to train, validate and test on."""


def protocol_of(recordings: Sequence[LabelledNight]) -> PaperProtocol:
    """Return the protocol of the data set of ``recordings``.

    Raises
    ------
    InputError
        They are of several data sets, or of one without published figures.
    """
    datasets = sorted({one.dataset for one in recordings})
    if len(datasets) != 1 or datasets[0] not in PROTOCOLS:
        raise InputError(
            f"--protocol paper needs recordings of one data set, {' or '.join(PROTOCOLS)}, "
            f"got {', '.join(datasets)}"
        )
    return PROTOCOLS[datasets[0]]


def splits(recordings: Sequence[LabelledNight], validation_share: int) -> list[Split]:
    """Return the split of every fold. No subject is in two of a fold's three groups."""
    protocol = protocol_of(recordings)
    folds = split_subjects(recordings, FOLDS, FOLD_SEED)
    if protocol.folds == 1:
        test = [one for _, fold in folds[:SHHS_TEST_FOLDS] for one in fold]
        rest = [one for _, fold in folds[SHHS_TEST_FOLDS:] for one in fold]
        return [(*hold_out(rest, SHHS_VALIDATION_SHARE), test)]
    return [(*hold_out(rest, validation_share), fold) for rest, fold in folds]


def run_paper(
    recordings: Sequence[LabelledNight],
    job: Job,
    folds_run: int | None,
    ranks: Ranks,
    start_report: StartReport = progress,
) -> str:
    """Train and test the folds that have not run yet, and pool all of them.

    ``folds_run`` limits the number of folds. The pooled figures go into ``paper.json`` in the
    job's folder. Returns the table of figures, or "" on all processes but the first.

    Raises
    ------
    InputError
        The recordings fit no protocol, or a fold's folder holds another run or damaged
        predictions.
    """
    protocol = protocol_of(recordings)
    if ranks.first and job.trim != protocol.trim:
        typer.echo(
            f"warning: published figures keep this much wake: {protocol.trim}; these recordings "
            f"keep: {job.trim}. That moves accuracy by points, so the figures are not to be "
            "compared",
            err=True,
        )
    chosen = splits(recordings, job.recipe.validation_share)[:folds_run]
    folders = [job.out / f"fold-{number:02}" for number in range(1, len(chosen) + 1)]
    for number, (folder, split) in enumerate(zip(folders, chosen, strict=True), start=1):

        def start_fold_report(part: str, done: int, number: int = number) -> Report:
            return start_report(f"fold {number}/{len(chosen)} {part}", done)

        _run_fold(split, replace(job, out=folder), ranks, start_fold_report)
    if not ranks.first:
        return ""
    predictions = [
        _read_predictions(folder, test)
        for folder, (_, _, test) in zip(folders, chosen, strict=True)
    ]
    return _pooled(job.out, predictions, protocol)


def _run_fold(split: Split, job: Job, ranks: Ranks, start_report: StartReport) -> None:
    """Train and test one fold, unless its folder holds the predictions already."""
    train, validation, test = split
    if (job.out / PREDICTIONS).is_file():
        # Every process checks that they are of this very job. If only the first one raised an
        # error, the others would wait for it in their next collective call.
        RunFolder(job.out).check(job.config(train, validation))
        _read_predictions(job.out, test)
        return
    fitted = fit(train, validation, job, ranks, start_report)
    nights = encode_nights(fitted.network, test, ranks)
    if ranks.first:
        recipe = job.recipe
        streamed = stream_all(
            fitted.network, nights, recipe.sequence_length, recipe.revision_epochs
        )
        answers = probabilities(fitted.network, streamed)
        _write_predictions(job.out, streamed.truth, answers, test)


def _write_predictions(
    folder: Path, truth: I64, answers: tuple[F32, F32], test: Sequence[LabelledNight]
) -> None:
    """Write stages and probabilities of the test recordings. ``answers`` are (live, revised)."""
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
            tested=json.dumps(content_hashes(test)),
        ),
    )


def _read_predictions(folder: Path, test: Sequence[LabelledNight]) -> dict[str, npt.NDArray[Any]]:
    """Read a fold's predictions for the recordings ``test``.

    Raises InputError if the file is damaged or of other recordings.
    """
    path = folder / PREDICTIONS
    found = read_npz(path, ("truth", "live", "revised", "subject", "tested"))
    if str(found.pop("tested")) != json.dumps(content_hashes(test)):
        raise InputError(
            f"{path} is of other recordings than those of --data: choose another --out"
        )
    return found


def _pooled(out: Path, folds: list[dict[str, npt.NDArray[Any]]], protocol: PaperProtocol) -> str:
    """Score all folds together, write ``paper.json``, and return the table."""
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


def _by_subject(truth: I64, answer: F32, subject: npt.NDArray[np.str_]) -> TrackScores:
    """Score with intervals over subjects: the bootstrap draws all nights of a subject together."""
    found, subjects = TrackScores.of(truth, answer, subject), np.unique(subject).size
    if subjects == 1:
        return found
    return replace(found, interval_method=f"{subjects} subjects drawn with replacement")
