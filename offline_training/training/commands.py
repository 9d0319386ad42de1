"""The command `sleep-train fit`: train the network from prepared recordings."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import typer

from models.contract import Gain
from monitor.errors import InputError
from offline_training.data.recordings import LabelledNight
from offline_training.data.sources import prepared_source, some_subjects, surrogate_source
from offline_training.exporting import export_beside
from offline_training.options import ExportOption, SeedOption
from offline_training.training.card import known_subjects
from offline_training.training.distributed import Ranks, process_group
from offline_training.training.fit import fit as fit_job
from offline_training.training.job import Job, earlier_parts, hold_out, resolved
from offline_training.training.options import (
    AddChoice,
    AddOption,
    DataOption,
    FoldsRunOption,
    GainOption,
    InitOption,
    OutOption,
    ProtocolChoice,
    ProtocolOption,
    RecipeOption,
    StageChoice,
    StageOption,
    SubjectsOption,
    SurrogatesOption,
    ThreadsOption,
    VersionOption,
)
from offline_training.training.paper import run_paper
from offline_training.training.provenance import Provenance
from offline_training.training.recipe import PAPER, TrainingRecipe, overridden
from offline_training.training.throughput import throughput_line


def fit(
    data: DataOption,
    out: OutOption = Path("run"),
    stage: StageOption = None,
    gain: GainOption = None,
    init: InitOption = None,
    add: AddOption = None,
    surrogates: SurrogatesOption = False,
    subjects: SubjectsOption = None,
    recipe: RecipeOption = None,
    protocol: ProtocolOption = None,
    folds_run: FoldsRunOption = None,
    seed: SeedOption = 0,
    version: VersionOption = "1",
    threads: ThreadsOption = None,
    export: ExportOption = True,
) -> None:
    """Train MC2SleepNet: contrast, cross-masking, fine-tuning. Not a medical device.

    Several GPUs: torchrun --no-python --nproc-per-node 4 sleep-train fit ...
    """
    _check_options(stage, init, add or (), surrogates, protocol, folds_run)
    if threads is not None:
        torch.set_num_threads(threads)
    defaults = TrainingRecipe() if protocol is None else PAPER
    chosen = defaults if recipe is None else overridden(defaults, recipe)
    chosen, gain = resolved(chosen, gain, init, add or ())
    if stage is None:
        stage = StageChoice.ALL if init is None or add else StageChoice.FINETUNE
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
    if add and stage is StageChoice.FINETUNE and not earlier_parts(job):
        raise InputError(
            "--stage finetune does not train encoders, and those that --add builds are untrained: "
            "run --stage sequence first, or all"
        )
    with process_group() as ranks:
        if protocol is None:
            _run_job(recordings, job, ranks, export)
        else:
            table = run_paper(recordings, job, folds_run, ranks)
            if ranks.first:
                typer.echo(f"{table}\nwake kept: {job.trim}")


def _check_options(
    stage: StageChoice | None,
    init: Path | None,
    add: Sequence[AddChoice],
    surrogates: bool,
    protocol: ProtocolChoice | None,
    folds_run: int | None,
) -> None:
    """Raise InputError if options contradict each other. Reads no file."""
    if folds_run is not None and protocol is None:
        raise InputError("--folds-run works only with --protocol paper: give both")
    if protocol is not None and (init is not None or stage not in (None, StageChoice.ALL)):
        raise InputError("--protocol paper trains all stages from nothing: no --init, no --stage")
    if add and init is None:
        raise InputError(
            "--add goes with --init: without weights, choose the inputs in the recipe's network"
        )
    if protocol is not None and surrogates:
        raise InputError("--protocol paper compares with figures of real nights: no --surrogates")


def _run_job(recordings: Sequence[LabelledNight], job: Job, ranks: Ranks, export: bool) -> None:
    """Hold out validation subjects, train, and print the figures; ``export`` the weights."""
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
    if fitted.weights is not None and export:
        export_beside(fitted.weights)
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
