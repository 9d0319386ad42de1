"""Options of the command `sleep-train fit`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from models.contract import Gain
from models.mc2sleepnet import NetworkConfig
from offline_training.training.parts import parts_of


class StageChoice(StrEnum):
    """Values of ``--stage``: a part of the training, or all."""

    EPOCH = "epoch"
    SEQUENCE = "sequence"
    FINETUNE = "finetune"
    ALL = "all"

    def parts(self, network: NetworkConfig) -> tuple[str, ...]:
        """Return the parts to train, keys of `parts.TRAINED`."""
        return parts_of(network) if self is StageChoice.ALL else (self.value,)


class AddChoice(StrEnum):
    """Values of ``--add``: inputs of the network."""

    RAW = "raw"
    FRAMES = "frames"


class ProtocolChoice(StrEnum):
    """Values of ``--protocol``."""

    PAPER = "paper"


DataOption = Annotated[
    Path,
    typer.Option(
        help="Folder that sleep-train prepare wrote; with --surrogates, folder of measured band "
        "powers.",
        show_default=False,
    ),
]
OutOption = Annotated[
    Path, typer.Option(help="Folder of the run. The same command resumes an interrupted run.")
]
StageOption = Annotated[
    StageChoice | None,
    typer.Option(help="Stage of the training.", show_default="all; with --init alone finetune"),
]
GainOption = Annotated[
    Gain | None,
    typer.Option(
        help="known if the microvolts can be trusted.", show_default="known, or that of --init"
    ),
]
InitOption = Annotated[
    Path | None,
    typer.Option(
        metavar="WEIGHTS",
        help="Begin with these weights (.safetensors): for one person or headband.",
    ),
]
AddOption = Annotated[
    list[AddChoice] | None,
    typer.Option(help="With --init: add an input that those weights lack. Repeat it for both."),
]
SurrogatesOption = Annotated[
    bool,
    typer.Option("--surrogates", help="Train on surrogate EEG made from measured band powers."),
]
SubjectsOption = Annotated[
    int | None, typer.Option(min=2, help="Use only so many subjects.", show_default="all")
]
RecipeOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="Recipe fields to change (training/README.md)."),
]
ProtocolOption = Annotated[
    ProtocolChoice | None,
    typer.Option(help="paper: train on folds of subjects and compare with published figures."),
]
FoldsRunOption = Annotated[
    int | None, typer.Option(min=1, help="With --protocol: run only so many folds.")
]
VersionOption = Annotated[str, typer.Option(help="Version to write into the weights.")]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="CPU threads.", show_default="PyTorch's")
]
