"""`sleep-train fit`: train the network from prepared recordings."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer

from models.contract import Gain
from models.mc2sleepnet import NetworkConfig
from monitor.errors import InputError
from offline_training.data.sources import prepared_source, some_subjects, surrogate_source
from offline_training.training.card import known_subjects
from offline_training.training.distributed import joined
from offline_training.training.fit import fit as fit_job
from offline_training.training.job import Job, before, hold_out, planned
from offline_training.training.origin import Origin
from offline_training.training.paper import run_paper
from offline_training.training.parts import parts_of
from offline_training.training.recipe import PAPER, Recipe, overridden
from offline_training.training.throughput import said


class StageOption(StrEnum):
    EPOCH = "epoch"
    SEQUENCE = "sequence"
    FINETUNE = "finetune"
    ALL = "all"

    def parts(self, network: NetworkConfig) -> tuple[str, ...]:
        return parts_of(network) if self is StageOption.ALL else (self.value,)


class AddOption(StrEnum):
    RAW = "raw"
    FRAMES = "frames"


class Protocol(StrEnum):
    PAPER = "paper"


def fit(
    data: Annotated[
        Path,
        typer.Option(
            help="Folder that sleep-train prepare made; with --surrogates of measured band powers.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder of the run. A run that was cut off goes on."),
    ] = Path("run"),
    stage: Annotated[
        StageOption | None,
        typer.Option(help="Part of the training.", show_default="all; with --init alone finetune"),
    ] = None,
    gain: Annotated[
        Gain | None,
        typer.Option(
            help="Whether microvolts can be trusted.", show_default="known, or that of --init"
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
        typer.Option(help="With --init: an input those weights lack. Both: repeat it."),
    ] = None,
    surrogates: Annotated[
        bool,
        typer.Option("--surrogates", help="Train on surrogate EEG made from measured band powers."),
    ] = False,
    subjects: Annotated[
        int | None, typer.Option(min=2, help="Use so many subjects only.", show_default="all")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Fields of the recipe that differ (README)."),
    ] = None,
    protocol: Annotated[
        Protocol | None,
        typer.Option(help="paper: subject-wise folds, pooled, beside the published figures."),
    ] = None,
    folds_run: Annotated[
        int | None, typer.Option(min=1, help="With --protocol: only so many folds.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    version: Annotated[str, typer.Option(help="Version the weights carry.")] = "1",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="PyTorch's")
    ] = None,
) -> None:
    """Train MC2SleepNet: contrast, cross-masking, fine-tuning. Not a medical device.

    Several GPUs: torchrun --nproc-per-node 4 -m offline_training.cli fit ...
    """
    if folds_run is not None and protocol is None:
        raise InputError("--folds-run goes with --protocol paper")
    if protocol is not None and (init is not None or stage not in (None, StageOption.ALL)):
        raise InputError("--protocol paper trains all stages from nothing: no --init, no --stage")
    if threads is not None:
        torch.set_num_threads(threads)
    wanted = Recipe() if protocol is None else PAPER
    if recipe is not None:
        wanted = overridden(wanted, recipe)
    if add and init is None:
        raise InputError(
            "--add goes with --init: without it the recipe says which inputs there are"
        )
    if protocol is not None and surrogates:
        raise InputError("--protocol paper compares with figures of real nights: no --surrogates")
    wanted, gain = planned(wanted, gain, init, add or ())
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
        recipe=wanted,
        gain=gain,
        seed=seed,
        parts=stage.parts(wanted.network),
        channel=source.channel,
        trim=source.trim,
        command=_command(sys.argv[1:]),
        version=version,
        init=init,
    )
    if add and stage is StageOption.FINETUNE and not before(job):
        raise InputError(
            "--stage finetune leaves encoders as they are, also those that --add builds, which "
            "know nothing yet: run --stage sequence first, or all"
        )
    with joined() as ranks:
        if protocol is not None:
            table = run_paper(recordings, job, folds_run, ranks)
            if ranks.first:
                typer.echo(f"{table}\nwake kept: {job.trim}")
            return
        origin = Origin.of(init)
        train, validation = hold_out(recordings, wanted.validation_share, origin.train_subjects)
        if ranks.first and known_subjects(validation, origin):
            typer.echo(
                f"warning: no subject is left that {init} was not trained on; figures of those "
                "held out will say nothing of other people",
                err=True,
            )
        fitted = fit_job(train, validation, job, ranks)
        if not ranks.first:
            return
        typer.echo(said(fitted.throughput))
        for track, scores in fitted.scores.items():
            typer.echo(f"  {track:8} {scores}")
        typer.echo(fitted.weights or f"{out} is ready for the next stage")


def _command(arguments: list[str]) -> str:
    """The command as the card tells it: of paths the last part, since cards are passed on."""
    shown = []
    for each in arguments:
        option, equals, value = each.rpartition("=") if each.startswith("--") else ("", "", each)
        shown.append(option + equals + (Path(value).name or value))
    return shlex.join(["sleep-train", *shown])
