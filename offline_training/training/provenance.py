"""Data sets, licences and subjects behind the weights that a run begins with (``--init``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.card import read_card

UNKNOWN = "unknown: the card of the weights this training began with names no licence"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Past of the weights that a run begins with. All fields are empty if there are none.

    - ``weights``: name, version and sha256 of the weights.
    - ``train_subjects``, ``datasets``, ``licences``: those of all trainings behind the weights.
    """

    weights: dict[str, str] | None = None
    train_subjects: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    licences: frozenset[str] = frozenset()

    @classmethod
    def of(cls, init: Path | None) -> Provenance:
        """Read the card of the weights ``init``.

        Raises `models.card.WeightsError` if the card is missing or damaged.
        """
        if init is None:
            return cls()
        card = read_card(init)
        contract, data, before = card["contract"], card.get("data", {}), card.get("init") or {}
        return cls(
            {name: contract[name] for name in ("name", "version", "weights_sha256")},
            frozenset([*data.get("train_subjects", ()), *before.get("train_subjects", ())]),
            frozenset(data.get("datasets", ())),
            # A card without a licence permits nothing: treat it as an unknown licence.
            frozenset(data.get("licences") or (UNKNOWN,)),
        )

    def to_json(self) -> dict[str, Any] | None:
        if self.weights is None:
            return None
        return {**self.weights, "train_subjects": sorted(self.train_subjects)}
