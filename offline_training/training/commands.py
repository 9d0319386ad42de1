"""The command `sleep-train fit`: train the network from prepared recordings."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer

from models.contract import Gain
from models.mc2sleepnet import NetworkConfig
from monitor.errors import InputError
from offline_training.data.recordings import Recording
from offline_training.data.sources import prepared_source, some_subjects, surrogate_source
from offline_training.options import SeedOption
from offline_training.training.card import known_subjects
from offline_training.training.distributed import Ranks, process_group
from offline_training.training.fit import fit as fit_job
from offline_training.training.job import Job, earlier_parts, hold_out, resolved
from offline_training.training.paper import run_paper
from offline_training.training.parts import parts_of
from offline_training.training.provenance import Provenance
from offline_training.training.recipe import PAPER, TrainingRecipe, overridden
from offline_training.training.throughput import throughput_line


class StageOption(StrEnum):
    """Values of ``--stage``: a part of the training, or all."""

    EPOCH = "epoch"
    SEQUENCE = "sequence"
    FINETUNE = "finetune"
    ALL = "all"

    def parts(self, network: NetworkConfig) -> tuple[str, ...]:
        return parts_of(network) if self is StageOption.ALL else (self.value,)


class AddOption(StrEnum):
    """Values of ``--add``: inputs of the network."""

    RAW = "raw"
    FRAMES = "frames"


class ProtocolOption(StrEnum):
    """Values of ``--protocol``."""

    PAPER = "paper"


def fit(
    data: Annotated[
        Path,
        typer.Option(
            help="Folder that sleep-train prepare wrote; with --surrogates, folder of measured "
            "band powers.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder of the run. The same command resumes an interrupted run."),
    ] = Path("run"),
    stage: Annotated[
        StageOption | None,
        typer.Option(help="Stage of the training.", show_default="all; with --init alone finetune"),
    ] = None,
    gain: Annotated[
        Gain | None,
        typer.Option(
            help="known if the microvolts can be trusted.",
            show_default="known, or that of --init",
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Begin with these weights (.safetensors): for one person or headband.",
        ),
    ] = None,
    add: Annotated[
        list[AddOption] | None,
        typer.Option(help="With --init: add an input that those weights lack. Repeat it for both."),
    ] = None,
    surrogates: Annotated[
        bool,
        typer.Option("--surrogates", help="Train on surrogate EEG made from measured band powers."),
    ] = False,
    subjects: Annotated[
        int | None, typer.Option(min=2, help="Use only so many subjects.", show_default="all")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Recipe fields to change (training/README.md)."),
    ] = None,
    protocol: Annotated[
        ProtocolOption | None,
        typer.Option(help="paper: train on folds of subjects and compare with published figures."),
    ] = None,
    folds_run: Annotated[
        int | None, typer.Option(min=1, help="With --protocol: run only so many folds.")
    ] = None,
    seed: SeedOption = 0,
    version: Annotated[str, typer.Option(help="Version to write into the weights.")] = "1",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="PyTorch's")
    ] = None,
) -> None:
    """Train MC2SleepNet: contrast, cross-masking, fine-tuning. Not a medical device.

    Several GPUs: torchrun --nproc-per-node 4 -m offline_training.cli fit ...
    """
    _check_options(stage, init, add or (), surrogates, protocol, folds_run)
    if threads is not None:
        torch.set_num_threads(threads)
    defaults = TrainingRecipe() if protocol is None else PAPER
    chosen = defaults if recipe is None else overridden(defaults, recipe)
    chosen, gain = resolved(chosen, gain, init, add or ())
    if stage is None:
        stage = StageOption.ALL if init is None or add else StageOption.FINETUNE
    source = surrogate_source(data, seed) if surrogates else prepared_source(data)
    if gain is Gain.KNOWN and source.gain is Gain.UNKNOWN:
        raise InputError(
            f"{data} was prepared with --gain unknown, without true microvolts: give --gain unknown"
        )
    recordings = some_subjects(source.recordings, subjects)
    job = Job(
        out=out,
        recipe=chosen,
        gain=gain,
        seed=seed,
        parts=stage.parts(chosen.network),
        channel=source.channel,
        trim=source.trim,
        command=_command(sys.argv[1:]),
        version=version,
        init=init,
    )
    if add and stage is StageOption.FINETUNE and not earlier_parts(job):
        raise InputError(
            "--stage finetune does not train encoders, and those that --add builds are untrained: "
            "run --stage sequence first, or all"
        )
    with process_group() as ranks:
        if protocol is None:
            _run_job(recordings, job, ranks)
        else:
            table = run_paper(recordings, job, folds_run, ranks)
            if ranks.first:
                typer.echo(f"{table}\nwake kept: {job.trim}")


def _check_options(
    stage: StageOption | None,
    init: Path | None,
    add: Sequence[AddOption],
    surrogates: bool,
    protocol: ProtocolOption | None,
    folds_run: int | None,
) -> None:
    """Raise InputError if options contradict each other. Reads no file."""
    if folds_run is not None and protocol is None:
        raise InputError("--folds-run works only with --protocol paper: give both")
    if protocol is not None and (init is not None or stage not in (None, StageOption.ALL)):
        raise InputError("--protocol paper trains all stages from nothing: no --init, no --stage")
    if add and init is None:
        raise InputError(
            "--add goes with --init: without weights, choose the inputs in the recipe's network"
        )
    if protocol is not None and surrogates:
        raise InputError("--protocol paper compares with figures of real nights: no --surrogates")


def _run_job(recordings: Sequence[Recording], job: Job, ranks: Ranks) -> None:
    """Hold out validation subjects, train, and print the figures."""
    provenance = Provenance.of(job.init)
    train, validation = hold_out(recordings, job.recipe.validation_share, provenance.train_subjects)
    if ranks.first and known_subjects(validation, provenance):
        typer.echo(
            f"warning: no subject is left that {job.init} was not trained on; figures of the "
            "held-out subjects will not show how other people are staged",
            err=True,
        )
    fitted = fit_job(train, validation, job, ranks)
    if not ranks.first:
        return
    typer.echo(throughput_line(fitted.throughput))
    for track, scores in fitted.scores.items():
        typer.echo(f"  {track:8} {scores}")
    typer.echo(fitted.weights or f"{job.out} is ready for the next stage")


def _command(arguments: list[str]) -> str:
    """Return the command line for the card, with only the last part of every path.

    Cards are passed on, and a full path would show the author's folders.
    """
    shown = []
    for each in arguments:
        option, equals, value = each.rpartition("=") if each.startswith("--") else ("", "", each)
        shown.append(option + equals + (Path(value).name or value))
    return shlex.join(["sleep-train", *shown])
