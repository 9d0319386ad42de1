"""What the card of the weights that a run begins with hands on to its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.card import read_card

UNKNOWN = "unknown: the card of the weights this training began with names no licence"


@dataclass(frozen=True, slots=True)
class Origin:
    """Of a run that begins with no weights, every field is empty.

    - ``weights``: their name, version and sha256.
    - ``train_subjects``, ``datasets``, ``licences``: of all trainings behind them.
    """

    weights: dict[str, str] | None = None
    train_subjects: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    licences: frozenset[str] = frozenset()

    @classmethod
    def of(cls, init: Path | None) -> Origin:
        """Of the weights ``init``. Raises `models.card.WeightsError` without their card."""
        if init is None:
            return cls()
        card = read_card(init)
        contract, data, before = card["contract"], card.get("data", {}), card.get("init") or {}
        return cls(
            {name: contract[name] for name in ("name", "version", "weights_sha256")},
            frozenset([*data.get("train_subjects", ()), *before.get("train_subjects", ())]),
            frozenset(data.get("datasets", ())),
            frozenset(data.get("licences") or (UNKNOWN,)),
        )

    def to_json(self) -> dict[str, Any] | None:
        if self.weights is None:
            return None
        return {**self.weights, "train_subjects": sorted(self.train_subjects)}
