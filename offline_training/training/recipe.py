"""How a network is trained: one frozen record, the defaults after the paper and its base projects.

A JSON file overrides any field: `{"sequence_length": 10, "finetune": {"steps": 500}}`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.mc2sleepnet import NetworkConfig
from monitor.errors import InputError


@dataclass(frozen=True, slots=True)
class Schedule:
    """The steps of one part of the training.

    - ``batch``: windows (epochs in the contrastive part) a step, over all processes. They are
      worked off ``micro_batch`` at a time; contrast and batch-norm see one micro-batch.
    - The learning rate rises over ``warmup_steps`` and then stays: early stopping needs no end.
    - Every ``evaluate_every`` steps the validation subjects are looked at and a checkpoint is
      written; ``patience`` such looks without a better loss end the part.
    - ``average``: decay of the running mean of the weights that is kept; 0 keeps the last ones.
    """

    steps: int
    batch: int
    micro_batch: int
    learning_rate: float
    evaluate_every: int
    patience: int
    weight_decay: float = 1e-4
    warmup_steps: int = 200
    average: float = 0.0

    def __post_init__(self) -> None:
        if min(self.batch, self.micro_batch, self.evaluate_every, self.patience) < 1:
            raise ValueError("batch, micro_batch, evaluate_every and patience must be at least 1")
        if self.batch % self.micro_batch:
            raise ValueError(
                f"batch must be a multiple of micro_batch, got {self.batch} and {self.micro_batch}"
            )
        if self.micro_batch < 2:
            raise ValueError(f"micro_batch must be at least 2, got {self.micro_batch}")
        if self.steps < 0 or self.warmup_steps < 0 or not 0 <= self.average < 1:
            raise ValueError(
                "steps and warmup_steps must not be negative and average be in [0, 1), "
                f"got {self.steps}, {self.warmup_steps} and {self.average}"
            )
        if not 0 < self.learning_rate < math.inf or not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                "learning_rate must be positive and weight_decay not negative, "
                f"got {self.learning_rate} and {self.weight_decay}"
            )


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a training besides data, gain and seed.

    - ``epoch``: contrastive, Adam 5e-4, batch 1024 (SleePyCo). ``sequence``: cross-masking and
      single-view classification. ``finetune``: five logit sets on frozen epoch encoders.
    - ``supervised_contrast``: labels in the contrastive loss, as SleePyCo has it.
    - ``mask_share`` of each stream's epochs are hidden in cross-masking, whose L1 counts
      ``reconstruction_weight`` times.
    - ``hide`` of the windows have a run of up to five epochs unscored.
    - ``class_weight_power``: 0.5 weights stages by the square root of their inverse frequency in
      fine-tuning, 0 not at all (the base projects).
    - One subject in ``validation_share`` is held out for early stopping and calibration;
      ``evaluate_stride``: every so many of their epochs is staged there.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    sequence_length: int = 20
    revision_epochs: int = 10
    epoch: Schedule = Schedule(6000, 1024, 512, 5e-4, evaluate_every=200, patience=10)
    sequence: Schedule = Schedule(6000, 64, 16, 2e-4, evaluate_every=200, patience=10)
    finetune: Schedule = Schedule(6000, 64, 32, 2e-4, evaluate_every=200, patience=10, average=0.99)
    temperature: float = 0.07
    supervised_contrast: bool = False
    mask_share: float = 0.25
    reconstruction_weight: float = 0.5
    hide: float = 0.3
    class_weight_power: float = 0.5
    validation_share: int = 10
    validation_batches: int = 8
    evaluate_stride: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.revision_epochs < self.sequence_length:
            raise ValueError(
                f"revision_epochs must be in [0, sequence_length), got {self.revision_epochs} "
                f"with sequence_length {self.sequence_length}"
            )
        if not 0 < self.mask_share < 1:
            raise ValueError(f"mask_share must be in (0, 1), got {self.mask_share}")
        for name, least in (
            *(("validation_share", 2), ("validation_batches", 1), ("evaluate_stride", 1)),
            *(("reconstruction_weight", 0), ("class_weight_power", 0)),
        ):
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 <= self.hide <= 1:
            raise ValueError(f"hide must be in [0, 1], got {self.hide}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be positive, got {self.temperature}")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


PAPER = Recipe(
    network=NetworkConfig(band_power=False),
    class_weight_power=0.0,
)
"""The paper's inputs (raw and spectrogram alone) and its base projects' unweighted loss."""


NOT_OF_A_RECIPE = {
    "pretraining": "what only pre-training needs is built by itself",
    "gain_free": "--gain known or unknown says it",
}


def overridden(recipe: Recipe, path: Path) -> Recipe:
    """``recipe`` with the fields that the JSON file at ``path`` names.

    Raises
    ------
    InputError
        The file is not JSON, or names a field there is not, or a value the recipe refuses.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise InputError(f"cannot read the recipe {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise InputError(f"the recipe {path} is not JSON: {exc}") from exc
    try:
        replaced: Recipe = _replaced(recipe, fields)
        return replaced
    except (TypeError, ValueError) as exc:
        raise InputError(f"the recipe {path}: {exc}") from exc


def _replaced(record: Any, fields: Any, name: str = "the recipe") -> Any:
    """A frozen dataclass with ``fields`` replaced, down into the dataclasses it holds."""
    if not isinstance(fields, dict):
        raise TypeError(f"{name} must be an object, got {fields!r}")
    known = {each.name for each in dataclasses.fields(record)}
    if unknown := sorted(fields.keys() - known):
        raise ValueError(f"{name} has no {unknown[0]!r}; it has {', '.join(sorted(known))}")
    values = {}
    for key, value in fields.items():
        if key in NOT_OF_A_RECIPE:
            raise ValueError(f"{key} is not for a recipe: {NOT_OF_A_RECIPE[key]}")
        now = getattr(record, key)
        if dataclasses.is_dataclass(now):
            values[key] = _replaced(now, value, key)
        elif type(value) is type(now) or (isinstance(now, float) and type(value) is int):
            values[key] = type(now)(value)
        else:
            raise TypeError(f"{key} must be {type(now).__name__}, got {value!r}")
    return dataclasses.replace(record, **values)
