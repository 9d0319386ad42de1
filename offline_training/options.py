"""Command-line options that several commands of sleep-train share."""

from __future__ import annotations

from typing import Annotated

import typer

SeedOption = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
ExportOption = Annotated[
    bool,
    typer.Option(
        "--export/--no-export",
        help="Also export the weights beside them, to stage without PyTorch (20 s).",
    ),
]
