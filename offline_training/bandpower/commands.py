"""`sleep-train fit-bandpower` and `evaluate-bandpower`: the band-power path and its figures."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer

from models.contract import Gain
from models.weights import read_card, save
from offline_training.bandpower import variants
from offline_training.bandpower.card import describe
from offline_training.bandpower.fit import Recipe
from offline_training.progress import progress


class Variant(StrEnum):
    BOTH = "both"
    ABSOLUTE = "absolute"
    GAIN_FREE = "gain-free"

    @property
    def gains(self) -> list[Gain]:
        return [gain for gain, name in variants.VARIANTS.items() if self in (Variant.BOTH, name)]


DataOption = Annotated[
    Path,
    typer.Option(
        help="Folder with sleep_edf_variants.npz and sleep_edf_amplitude.csv.", show_default=False
    ),
]
OutOption = Annotated[Path, typer.Option(help="Folder of the weights and their cards.")]
VariantOption = Annotated[Variant, typer.Option(help="Which weights.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
StepsOption = Annotated[
    int | None, typer.Option(min=1, help="Training steps.", show_default="as shipped")
]
ThreadsOption = Annotated[int, typer.Option(min=1, help="CPU threads.")]


def recipe_of(gain: Gain, steps: int | None) -> Recipe:
    recipe = variants.RECIPES[gain]
    return recipe if steps is None else replace(recipe, steps=steps)


def fit_bandpower(
    data: DataOption,
    out: OutOption = Path("models/default"),
    variant: VariantOption = Variant.BOTH,
    seed: SeedOption = 0,
    steps: StepsOption = None,
    threads: ThreadsOption = 1,
    version: Annotated[str, typer.Option(help="Version the contract carries.")] = "1",
) -> None:
    """Rebuild the default weights from measured band powers. Minutes on one core."""
    torch.set_num_threads(threads)
    for gain in variant.gains:
        name, recipe = variants.VARIANTS[gain], recipe_of(gain, steps)
        nights = variants.nights_of(data, gain)
        fitted = variants.fit_variant(nights, gain, recipe, seed, progress(name))
        card = {
            "command": f"sleep-train fit-bandpower --data DIR --variant {name} --seed {seed} "
            f"--steps {recipe.steps} --threads {threads}",
            **describe(fitted.train, fitted.held_out, gain is Gain.UNKNOWN, recipe, seed),
            "figures": {
                "held_out": {
                    "note": "subjects used for early stopping and calibration: optimistic",
                    "live": fitted.live.to_json(),
                    "revised": fitted.revised.to_json(),
                }
            },
        }
        path = out / f"{name}.safetensors"
        contract = variants.contract_of(fitted.network, gain, recipe, version)
        save(path, fitted.network, contract, card)
        typer.echo(f"{path}\n  live     {fitted.live}\n  revised  {fitted.revised}")


def evaluate_bandpower(
    data: DataOption,
    out: OutOption = Path("models/default"),
    variant: VariantOption = Variant.BOTH,
    folds: Annotated[int, typer.Option(min=2, help="Folds of subjects.")] = 5,
    run_folds: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many folds.", show_default="all")
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="Score every so many epochs.")] = 1,
    seed: SeedOption = 0,
    steps: StepsOption = None,
    threads: ThreadsOption = 1,
) -> None:
    """Cross-validate the recipe by subject, streamed, and write the figures into the card."""
    torch.set_num_threads(threads)
    running = min(run_folds or folds, folds)
    for gain in variant.gains:
        name, recipe = variants.VARIANTS[gain], recipe_of(gain, steps)
        path = out / f"{name}.safetensors"
        card = read_card(path)
        nights = variants.nights_of(data, gain)
        figures = variants.cross_validate(
            nights, gain, recipe, folds, running, seed, stride, progress(name)
        )
        command = (
            f"sleep-train evaluate-bandpower --data DIR --variant {name} --folds {folds} "
            f"--run-folds {running} --stride {stride} --seed {seed} --steps {recipe.steps} "
            f"--threads {threads}"
        )
        card["figures"]["cross_validated"] = {"command": command, **figures}
        path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        typer.echo(f"{name}\n{json.dumps(figures, indent=2)}")
