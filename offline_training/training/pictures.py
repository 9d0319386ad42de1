"""Loss curves as a picture.

Import this module only where a picture is drawn: matplotlib takes a second to import.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from offline_training.training.folder import Row
from offline_training.training.parts import TRAINED


def curves_png(path: Path, rows: Sequence[Row]) -> None:
    """Draw training and validation loss of every part, from the rows of ``metrics.csv``."""
    parts = [part for part in TRAINED if any(row["part"] == part for row in rows)]
    figure = Figure(figsize=(3.6 * len(parts), 3.0), layout="constrained")
    for axes, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        for column in ("training_loss", "validation_loss"):
            points = [
                (int(row["step"]), float(row[column]))
                for row in rows
                if row["part"] == part and row[column]
            ]
            axes.plot(*zip(*points, strict=True), label=column.replace("_", " "), marker=".")
        axes.set_title(part)
        axes.set_xlabel("step")
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
