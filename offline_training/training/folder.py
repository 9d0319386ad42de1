"""The folder of a run: its files, and the check that a run resumes only what it began.

::

    RUN/config.json        gain, seed, recipe, recordings: the run resumes only with the same
    RUN/metrics.csv        one row per validation
    RUN/throughput.json    epochs per second of each part, projected hours of the paper's protocol
    RUN/curves.png         training and validation loss
    RUN/confusion.png      confusion of the validation subjects, live and revised
    RUN/checkpoints/       one safetensors file per part
    RUN/<name>.safetensors, RUN/<name>.json    the weights and their card
    RUN/<name>.*.onnx, RUN/<name>.onnx.json    their export, if the command wrote one
"""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.reading import UnreadableError, read_json
from monitor.errors import InputError
from offline_training.data.files import write_whole
from offline_training.training.checkpoint import Counters
from offline_training.training.parts import ValidationResult

COLUMNS = (
    *("part", "step", "training_loss", "validation_loss", "found"),
    *("single_view_loss", "masked_l1", "live_loss", "revised_loss"),
    *("live_accuracy", "live_kappa", "revised_accuracy", "revised_kappa"),
    *("training_s", "epochs_per_s"),
)
"""Columns of ``metrics.csv``. A part fills its own figures; ``found`` is the share of epochs whose
raw embedding is nearest to its own spectral one."""

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Reads and writes the files of one run, all but weights and card."""

    path: Path

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    def checkpoint(self, part: str) -> Path:
        return self.path / "checkpoints" / f"{part}.safetensors"

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    def claim(self, config: dict[str, Any]) -> None:
        """Reserve the folder for the run that ``config`` describes, if it is not reserved yet."""
        if not self.config.is_file():
            self.write_json("config.json", config)

    def check(self, config: dict[str, Any]) -> None:
        """Check that the run that ``config`` describes may begin or resume in this folder.

        Raises
        ------
        InputError
            Another run is in it.
        """
        path = self.config
        if not path.is_file():
            return
        try:
            found = read_json(path)
        except (OSError, UnreadableError) as exc:
            raise InputError(f"{path} is damaged: choose another --out") from exc
        config = json.loads(json.dumps(config))  # compare as JSON: tuples become lists
        if not isinstance(found, dict):
            raise InputError(f"{path} is damaged: choose another --out")
        if found != config:
            other = [key for key in config if found.get(key) != config[key]]
            raise InputError(
                f"{self.path} holds a run with another {' and '.join(other) or 'configuration'}: "
                "choose another --out, or repeat the options of that run to resume it"
            )

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=2) + "\n"
        write_whole(self.path / name, lambda file: file.write(text.encode()))

    def rows(self) -> list[Row]:
        """Return the rows of ``metrics.csv``, without an incomplete last row.

        A run that is killed while it appends a row leaves it incomplete.
        """
        if not self.metrics.is_file():
            return []
        lines = self.metrics.read_bytes().decode(errors="replace").splitlines(keepends=True)
        return list(csv.DictReader(line for line in lines if line.endswith("\n")))

    def drop_rows_after(self, counters: Counters) -> None:
        """Remove rows of steps that are not in the checkpoint: the resumed run repeats them."""
        last = counters.step if counters.looked else -1
        kept = [
            row for row in self.rows() if row["part"] != counters.part or int(row["step"]) <= last
        ]
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(kept)
        write_whole(self.metrics, lambda file: file.write(text.getvalue().encode()))

    def append(self, counters: Counters, training_loss: float, result: ValidationResult) -> None:
        """Add one row to ``metrics.csv``. A ``training_loss`` of NaN leaves its cell empty."""
        row = {
            "part": counters.part,
            "step": counters.step,
            "training_loss": "" if math.isnan(training_loss) else training_loss,
            "validation_loss": result.loss,
            "training_s": round(counters.training_s, 3),
            "epochs_per_s": round(counters.epochs_per_s, 1),
            **result.figures,
        }
        with self.metrics.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)
