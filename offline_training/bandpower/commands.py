"""The commands `sleep-train fit-bandpower` and `evaluate-bandpower`: train and cross-validate."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from models.card import VARIANTS, read_card, replace_card
from models.contract import Gain, ModelContract
from models.mc2sleepnet import MC2SleepNet
from models.weights import save
from offline_training.bandpower.card import card_fields
from offline_training.bandpower.crossval import CrossValidation
from offline_training.bandpower.fit import fit
from offline_training.bandpower.recipe import BandPowerRecipe
from offline_training.data.bandpowers import CHANNEL, hold_out, in_microvolts, load_nights
from offline_training.exporting import export_beside
from offline_training.options import ExportOption, SeedOption
from offline_training.progress import progress

DataOption = Annotated[
    Path,
    typer.Option(
        help="Folder with sleep_edf_bandpower.npz and sleep_edf_amplitude.csv.", show_default=False
    ),
]
OutOption = Annotated[Path, typer.Option(help="Folder of the weights and their cards.")]
StepsOption = Annotated[
    int | None, typer.Option(min=1, help="Training steps.", show_default="as shipped")
]
ThreadsOption = Annotated[int, typer.Option(min=1, help="CPU threads.")]


def recipe_of(steps: int | None) -> BandPowerRecipe:
    """Return the recipe of the weights that ship, with another number of steps if given."""
    return BandPowerRecipe() if steps is None else replace(BandPowerRecipe(), steps=steps)


def fit_bandpower(
    data: DataOption,
    out: OutOption = Path("models/default"),
    seed: SeedOption = 0,
    steps: StepsOption = None,
    threads: ThreadsOption = 1,
    version: Annotated[str, typer.Option(help="Version to write into the contract.")] = "2",
    export: ExportOption = True,
) -> None:
    """Rebuild the default weights, both variants, from measured band powers. Takes minutes."""
    torch.set_num_threads(threads)
    recipe = recipe_of(steps)
    nights = in_microvolts(load_nights(data), data)
    train, held_out = hold_out(nights)
    started_s = time.monotonic()
    networks = fit(train, held_out, recipe, seed, progress("fit"))
    training_s = round(time.monotonic() - started_s)
    for gain, network in networks.items():
        card = {
            "command": f"sleep-train fit-bandpower --data DIR --seed {seed} "
            f"--steps {recipe.steps} --threads {threads}",
            **card_fields(train, held_out, gain, recipe, seed),
            "training_s": training_s,
            "figures": {},
        }
        path = out / f"{VARIANTS[gain]}.safetensors"
        save(path, network, contract_of(network, gain, recipe, version), card)
        if export:
            export_beside(path)
        typer.echo(path)


def contract_of(
    network: MC2SleepNet, gain: Gain, recipe: BandPowerRecipe, version: str
) -> ModelContract:
    """Return the contract of band-power weights. `models.weights.save` fills in the sha256."""
    return ModelContract(
        name=f"mc2sleepnet-bandpower-{VARIANTS[gain]}",
        version=version,
        gain=gain,
        channel=CHANNEL,
        context_epochs=recipe.context_epochs,
        revision_epochs=recipe.revision_epochs,
        embedding_dim=network.config.embedding_dim,
        weights_sha256="",
    )


def evaluate_bandpower(
    data: DataOption,
    folder: Annotated[
        Path, typer.Option(help="Folder of finished folds; the same command continues.")
    ],
    out: OutOption = Path("models/default"),
    folds: Annotated[int, typer.Option(min=2, help="Folds of subjects.")] = 10,
    run_folds: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many folds.", show_default="all")
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="Score one epoch in so many.")] = 1,
    seed: SeedOption = 0,
    steps: StepsOption = None,
    threads: ThreadsOption = 1,
) -> None:
    """Cross-validate the recipe by subject, streamed, and write the figures into the cards."""
    torch.set_num_threads(threads)
    recipe = recipe_of(steps)
    weights = {gain: out / f"{name}.safetensors" for gain, name in VARIANTS.items()}
    cards = {gain: read_card(path) for gain, path in weights.items()}
    nights = in_microvolts(load_nights(data), data)
    validation = CrossValidation(folds, min(run_folds or folds, folds), stride, seed)
    figures = validation.run(nights, recipe, folder, progress("cross-validation"))
    command = (
        f"sleep-train evaluate-bandpower --data DIR --folder FOLDS --folds {folds} "
        f"--run-folds {validation.run_folds} --stride {stride} --seed {seed} "
        f"--steps {recipe.steps} --threads {threads}"
    )
    for gain, card in cards.items():
        # Figures of a shorter training do not describe the weights of this card: name the steps.
        shipped = card["recipe"]["steps"] == recipe.steps
        name = "cross_validated" if shipped else f"cross_validated_{recipe.steps}_steps"
        card["figures"][name] = {"command": command, **figures[gain]}
        replace_card(weights[gain], card)
        for track in ("live", "revised"):
            found = figures[gain][track]
            typer.echo(
                f"{VARIANTS[gain]:9} {track:7}  accuracy {found['accuracy']:.3f}  "
                f"macro-F1 {found['macro_f1']:.3f}  kappa {found['kappa']:.3f}  "
                f"calibration error {found['calibration_error']:.3f}"
            )
