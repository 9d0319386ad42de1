"""Every number of a training in one frozen record.

Defaults follow the paper and the projects it builds on. A JSON file overrides any field:
`{"sequence_length": 10, "finetune": {"steps": 500}}`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.mc2sleepnet import NetworkConfig
from models.reading import UnreadableError, read_json
from monitor.errors import InputError


@dataclass(frozen=True, slots=True)
class Schedule:
    """Steps, batches and learning rate of one part of the training.

    - ``batch``: windows (single epochs in the contrastive part) of one step, over all processes.
    - ``micro_batch``: windows that go through the network at once. It divides ``batch``. Contrast
      and batch-norm see one micro-batch.
    - ``learning_rate`` is reached after ``warmup_steps`` and then stays. It does not decay,
      because early stopping leaves the last step open.
    - Every ``evaluate_every`` steps the trainer validates and writes a checkpoint. The part ends
      after ``patience`` validations without a lower loss.
    - ``average``: decay of the moving average of the weights. The averaged weights are validated
      and kept. With 0 there is no average.

    Raises ValueError if a number is out of range.
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
        # A single epoch has no negatives to contrast with, and a single window cannot be split into
        # a causal half and a half that sees the whole window.
        if self.micro_batch < 2:
            raise ValueError(f"micro_batch must be at least 2, got {self.micro_batch}")
        if self.steps < 0 or self.warmup_steps < 0 or not 0 <= self.average < 1:
            raise ValueError(
                "steps and warmup_steps must not be negative, average must be in [0, 1), "
                f"got {self.steps}, {self.warmup_steps} and {self.average}"
            )
        if not 0 < self.learning_rate < math.inf or not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                "learning_rate must be positive and weight_decay not negative, "
                f"got {self.learning_rate} and {self.weight_decay}"
            )


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """Everything that decides a training, except data, gain and seed.

    - ``epoch``: schedule of the contrastive part. Adam 5e-4 and batch 1024 are SleePyCo's.
    - ``sequence``: schedule of cross-masking and single-view staging.
    - ``finetune``: schedule of the five logit sets on frozen epoch encoders.
    - ``supervised_contrast``: use stage labels in the contrastive loss, as SleePyCo does.
    - ``mask_share``: share of each stream's epochs that cross-masking hides.
    - ``reconstruction_weight``: weight of the L1 loss of cross-masking.
    - ``hide``: share of the windows in which a run of one to five epochs is made unscored.
    - ``class_weight_power``: fine-tuning weights each stage by its inverse frequency to this
      power. 0.5 is the square root; 0 means no weights, as in the projects the paper builds on.
    - ``validation_share``: one subject in so many is held out for early stopping and calibration.
    - ``evaluate_stride``: fine-tuning validates on every so many epochs of the held-out nights.

    Raises ValueError if a number is out of range.
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


PAPER = TrainingRecipe(
    network=NetworkConfig(band_power=False),
    class_weight_power=0.0,
)
"""The paper's inputs (raw and spectrogram) and the unweighted loss of the projects it builds on."""


NOT_IN_A_RECIPE = {
    "pretraining": "training adds what pre-training needs by itself",
    "gain_free": "choose --gain known or unknown instead",
}
"""Fields that a recipe file must not set, each with the reason for the error message."""


def overridden(recipe: TrainingRecipe, path: Path) -> TrainingRecipe:
    """Return ``recipe`` with the fields replaced that the JSON file at ``path`` names.

    Raises
    ------
    InputError
        The file cannot be read, is not JSON, names an unknown field, or holds a value that the
        recipe does not allow.
    """
    try:
        fields = read_json(path)
    except FileNotFoundError as exc:
        raise InputError(f"cannot read the recipe {path}: {exc.strerror}") from exc
    except UnreadableError as exc:
        raise InputError(f"the recipe {path} {exc}") from exc
    try:
        replaced: TrainingRecipe = _replaced(recipe, fields)
        return replaced
    except (TypeError, ValueError) as exc:
        raise InputError(f"the recipe {path}: {exc}") from exc


def _replaced(record: Any, fields: Any, name: str = "the recipe") -> Any:
    """Return the frozen dataclass ``record`` with ``fields`` replaced, nested dataclasses too."""
    if not isinstance(fields, dict):
        raise TypeError(f"{name} must be an object, got {fields!r}")
    known = {each.name for each in dataclasses.fields(record)}
    if unknown := sorted(fields.keys() - known):
        raise ValueError(f"{name} has no {unknown[0]!r}; it has {', '.join(sorted(known))}")
    values = {}
    for key, value in fields.items():
        if key in NOT_IN_A_RECIPE:
            raise ValueError(f"{key} is not for a recipe: {NOT_IN_A_RECIPE[key]}")
        default = getattr(record, key)
        if dataclasses.is_dataclass(default):
            values[key] = _replaced(default, value, key)
        # Compare exact types: isinstance would accept True where an int is expected.
        elif type(value) is type(default) or (isinstance(default, float) and type(value) is int):
            values[key] = type(default)(value)
        else:
            raise TypeError(f"{key} must be {type(default).__name__}, got {value!r}")
    return dataclasses.replace(record, **values)
