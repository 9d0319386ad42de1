"""A run: the parts one after the other, calibration, weights. The paper's folds run it too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.card import VARIANTS
from models.contract import Gain, ModelContract
from models.mc2sleepnet import MC2SleepNet
from models.weights import save
from monitor.errors import InputError
from monitor.types import Track
from offline_training.data.recordings import Recording
from offline_training.evaluation.scores import Scores
from offline_training.evaluation.streaming import probabilities
from offline_training.evaluation.track import TrackScores
from offline_training.progress import Report, progress
from offline_training.training import card, checkpoint
from offline_training.training.augment import augmentations
from offline_training.training.checkpoint import Counters
from offline_training.training.distributed import Ranks
from offline_training.training.finetuning import FinetunePart
from offline_training.training.folder import RunFolder
from offline_training.training.job import Job, before, begin
from offline_training.training.parts import TRAINED, Looked, Part
from offline_training.training.pretraining import EpochPart, SequencePart
from offline_training.training.throughput import throughput
from offline_training.training.tracks import calibrate
from offline_training.training.trainer import Trainer

Tell = Callable[[str, int], Report]
"""Begins to report on a part, from a step on: `progress`."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """``scores``: of the validation subjects, by track; empty, and ``weights`` None, unless
    fine-tuning was among the parts."""

    network: MC2SleepNet
    throughput: dict[str, Any]
    scores: dict[Track, Scores]
    weights: Path | None


def fit(
    train: Sequence[Recording],
    validation: Sequence[Recording],
    job: Job,
    ranks: Ranks,
    tell: Tell = progress,
) -> Fitted:
    """Train the parts of ``job``, going on where its folder left off; after fine-tuning, calibrate
    on ``validation`` and write weights and card.

    Raises
    ------
    InputError
        The folder holds another run, a part that the job builds on is missing there or was
        trained too late, or the network lacks a stream that a part needs.
    """
    folder, config = RunFolder(job.out), job.config(train, validation)
    folder.check(config)
    network = begin(job, train)
    earlier = before(job)
    for buffer in network.buffers():
        ranks.share(buffer, 0)  # other machines may round otherwise
    network = network.to(ranks.device)
    done: list[Counters] = []
    part: Part[Any] | None = None
    for name in TRAINED:
        if name in earlier:
            done.append(_load_finished(folder.checkpoint(name), name, network))
        elif name in job.parts:
            part = _part(name, network, train, validation, job, ranks)
            done.append(_run(part, network, job, config, folder, ranks, tell))
    speed = throughput(done, job.recipe)
    if ranks.first:
        folder.write_json("throughput.json", speed)
        _draw_curves(folder)
    if not isinstance(part, FinetunePart):
        return Fitted(network, speed, {}, None)
    streamed = part.streamed(network, stride=1)
    calibrate(network, streamed)
    answers = dict(zip(Track, probabilities(network, streamed), strict=True))
    scores = {track: Scores.of(streamed.truth, answer) for track, answer in answers.items()}
    weights = job.out / f"mc2sleepnet-{VARIANTS[job.gain]}.safetensors"
    if ranks.first:
        _save(weights, network, job, card.described(train, validation, job, scores, speed))
        groups = np.repeat(np.arange(len(validation)), [len(one.stage) for one in validation])
        _draw_confusion(folder, streamed.truth, answers, groups)
    return Fitted(network, speed, scores, weights)


def _part(
    name: str,
    network: MC2SleepNet,
    train: Sequence[Recording],
    validation: Sequence[Recording],
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
    tell: Tell,
) -> Counters:
    report: Report | None = None

    def watch(counters: Counters, training_loss: float, looked: Looked) -> None:
        folder.claim(config)  # from here on there is something to go on with
        folder.append(counters, training_loss, looked)
        assert report is not None
        if counters.step:
            report(
                counters.step,
                part.schedule.steps,
                f"loss {training_loss:.4f}  validation {looked}"
                f"  {counters.epochs_per_s:,.0f} epochs/s",
            )

    trainer = Trainer(part, network, job.seed, ranks, folder.checkpoint(part.name), watch)
    if ranks.first:
        folder.forget_after(trainer.counters)
    report = tell(part.name, trainer.counters.step)
    return trainer.run()


def _load_finished(path: Path, name: str, network: MC2SleepNet) -> Counters:
    """The best weights of a part that was trained before go into ``network``."""
    if not path.is_file():
        raise InputError(f"{path} is missing: run --stage {name} (or all) first, or give --init")
    counters, groups = checkpoint.read(path)
    if not counters.finished:
        raise InputError(f"stage {name} in {path.parent.parent} is unfinished: run it to its end")
    network.load_state_dict(groups["best"])
    return counters


def _save(path: Path, network: MC2SleepNet, job: Job, described: dict[str, Any]) -> None:
    """Write the weights without what only pre-training needs."""
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
        weights_sha256="",
        spectrogram=staging.spectrogram,
    )
    save(path, staging, contract, described)


def _draw_curves(folder: RunFolder) -> None:
    from offline_training.training.pictures import curves_png  # matplotlib takes a second

    curves_png(folder.path / "curves.png", folder.rows())


def _draw_confusion(
    folder: RunFolder,
    truth: npt.NDArray[np.int64],
    answers: dict[Track, npt.NDArray[np.float32]],
    groups: npt.NDArray[np.int64],
) -> None:
    from offline_training.evaluation.figures import confusion_png

    pooled = {track: TrackScores.of(truth, answer, groups) for track, answer in answers.items()}
    confusion_png(folder.path / "confusion.png", {"validation subjects": pooled})
