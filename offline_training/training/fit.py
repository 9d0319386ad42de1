"""A run: train the parts in order, calibrate, and write weights, card and pictures.

A fold of the paper's protocol (`paper.py`) is a run too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.card import VARIANTS
from models.contract import Gain, ModelContract
from models.mc2sleepnet import MC2SleepNet
from models.weights import save
from monitor.errors import InputError
from monitor.types import Track
from offline_training.arrays import F32, I64
from offline_training.data.recordings import LabelledNight
from offline_training.evaluation.scores import Scores
from offline_training.evaluation.streaming import probabilities
from offline_training.evaluation.track import TrackScores
from offline_training.progress import Report, progress
from offline_training.training import checkpoint
from offline_training.training.augment import augmentations
from offline_training.training.card import card_fields
from offline_training.training.checkpoint import Counters
from offline_training.training.distributed import Ranks
from offline_training.training.finetuning import FinetunePart
from offline_training.training.folder import RunFolder
from offline_training.training.job import Job, earlier_parts, initial_network
from offline_training.training.parts import TRAINED, Part, ValidationResult
from offline_training.training.pretraining import EpochPart, SequencePart
from offline_training.training.throughput import throughput
from offline_training.training.tracks import calibrate
from offline_training.training.trainer import Trainer

StartReport = Callable[[str, int], Report]
"""Function that returns the `Report` of a part. It gets the part's name and the steps done."""


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """The network of a run and its figures.

    - ``scores``: of the validation subjects, by track.
    - ``weights``: the file with the weights.

    Without fine-tuning there are no weights yet: ``scores`` is empty and ``weights`` is None.
    """

    network: MC2SleepNet
    throughput: dict[str, Any]
    scores: dict[Track, Scores]
    weights: Path | None


def fit(
    train: Sequence[LabelledNight],
    validation: Sequence[LabelledNight],
    job: Job,
    ranks: Ranks,
    start_report: StartReport = progress,
) -> FitResult:
    """Train the parts of ``job``, resuming from its folder.

    After fine-tuning, calibrate on ``validation`` and write weights and card.

    Raises
    ------
    InputError
        The folder holds another run, a part that the job builds on is missing or unfinished
        there, a later part was trained without one of the job's, or the network lacks a stream
        that a part needs.
    """
    folder, config = RunFolder(job.out), job.config(train, validation)
    folder.check(config)
    network = initial_network(job, train)
    earlier = earlier_parts(job)
    for buffer in network.buffers():
        ranks.broadcast(buffer, 0)  # another machine may round the means of features differently
    network = network.to(ranks.device)
    finished: list[Counters] = []
    part: Part[Any] | None = None
    for name in TRAINED:
        if name in earlier:
            finished.append(_load_finished(folder.checkpoint(name), name, network))
        elif name in job.parts:
            part = _part(name, network, train, validation, job, ranks)
            finished.append(_run(part, network, job, config, folder, ranks, start_report))
    speed = throughput(finished, job.recipe)
    if ranks.first:
        folder.write_json("throughput.json", speed)
        _draw_curves(folder)
    if not isinstance(part, FinetunePart):
        return FitResult(network, speed, {}, None)
    return _finish(part, network, train, validation, job, ranks, speed)


def _finish(
    part: FinetunePart,
    network: MC2SleepNet,
    train: Sequence[LabelledNight],
    validation: Sequence[LabelledNight],
    job: Job,
    ranks: Ranks,
    speed: dict[str, Any],
) -> FitResult:
    """Calibrate and score a fine-tuned network; write weights, card and confusion matrices."""
    streamed = part.stream_validation(network, stride=1)
    calibrate(network, streamed)
    answers = dict(zip(Track, probabilities(network, streamed), strict=True))
    scores = {track: Scores.of(streamed.truth, answer) for track, answer in answers.items()}
    weights = job.out / f"mc2sleepnet-{VARIANTS[job.gain]}.safetensors"
    if ranks.first:
        _save(weights, network, job, card_fields(train, validation, job, scores, speed))
        nights = np.repeat(np.arange(len(validation)), [len(one.stage) for one in validation])
        _draw_confusion(RunFolder(job.out), streamed.truth, answers, nights)
    return FitResult(network, speed, scores, weights)


def _part(
    name: str,
    network: MC2SleepNet,
    train: Sequence[LabelledNight],
    validation: Sequence[LabelledNight],
    job: Job,
    ranks: Ranks,
) -> Part[Any]:
    if name == "finetune":
        return FinetunePart(network, train, validation, job.recipe, ranks)
    chain = augmentations(keep_amplitude=job.gain is Gain.KNOWN)
    kind = EpochPart if name == "epoch" else SequencePart
    return kind(train, validation, job.recipe, chain, ranks.device)


def _run(
    part: Part[Any],
    network: MC2SleepNet,
    job: Job,
    config: dict[str, Any],
    folder: RunFolder,
    ranks: Ranks,
    start_report: StartReport,
) -> Counters:
    """Train one part; report and record every validation."""
    report: Report | None = None

    def on_validation(counters: Counters, training_loss: float, result: ValidationResult) -> None:
        # Claim the folder only now: a run that fails before its first result leaves it free.
        folder.claim(config)
        folder.append(counters, training_loss, result)
        assert report is not None
        if counters.step:
            report(
                counters.step,
                part.schedule.steps,
                f"loss {training_loss:.4f}  validation {result}"
                f"  {counters.epochs_per_s:,.0f} epochs/s",
            )

    checkpoint_path = folder.checkpoint(part.name)
    trainer = Trainer(part, network, job.seed, ranks, checkpoint_path, on_validation)
    if ranks.first:
        folder.drop_rows_after(trainer.counters)
    report = start_report(part.name, trainer.counters.step)
    return trainer.run()


def _load_finished(path: Path, name: str, network: MC2SleepNet) -> Counters:
    """Load the best weights of a part that an earlier run trained into ``network``."""
    if not path.is_file():
        raise InputError(f"{path} is missing: run --stage {name} (or all) first, or give --init")
    counters, groups = checkpoint.read(path)
    if not counters.finished:
        raise InputError(f"stage {name} in {path.parent.parent} is unfinished: run it to its end")
    network.load_state_dict(groups["best"])
    return counters


def _save(path: Path, network: MC2SleepNet, job: Job, fields: dict[str, Any]) -> None:
    """Write weights and card, without the modules that only pre-training needs."""
    staging = MC2SleepNet(replace(network.config, pretraining=False), network.spectrogram)
    state = network.state_dict()
    staging.load_state_dict({name: state[name] for name in staging.state_dict()})
    contract = ModelContract(
        name=path.stem,
        version=job.version,
        gain=job.gain,
        channel=job.channel,
        context_epochs=job.recipe.sequence_length,
        revision_epochs=job.recipe.revision_epochs,
        embedding_dim=staging.config.embedding_dim,
        weights_sha256="",  # `save` fills it in
        spectrogram=staging.spectrogram,
    )
    save(path, staging, contract, fields)


def _draw_curves(folder: RunFolder) -> None:
    from offline_training.training.pictures import curves_png  # matplotlib takes a second

    curves_png(folder.path / "curves.png", folder.rows())


def _draw_confusion(folder: RunFolder, truth: I64, answers: dict[Track, F32], nights: I64) -> None:
    """Draw both tracks. ``nights`` int64 (n,) numbers the night of each epoch."""
    from offline_training.evaluation.figures import confusion_png  # matplotlib takes a second

    pooled = {track: TrackScores.of(truth, answer, nights) for track, answer in answers.items()}
    confusion_png(folder.path / "confusion.png", {"validation subjects": pooled})
