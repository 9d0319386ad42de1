"""The network that staged a night, and how good it is known to be: from the card of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.card import WeightsError, default_weights, read_card
from models.contract import Gain

_FIGURES = ("cross_validated", "cross_validated_800_steps")
"""Figures of a card that come from people who were not trained on, the preferred ones first."""


@dataclass(frozen=True, slots=True)
class KnownNetwork:
    """The facts on a card.

    - ``channel``: the derivation on which the network was trained.
    - ``figures``: the agreement of its revised stages with experts, on people who were not trained
      on; None if the card has none.
    """

    channel: str
    figures: KnownFigures | None


@dataclass(frozen=True, slots=True)
class KnownFigures:
    """The agreement with experts over ``epochs`` epochs, with the command that measured it."""

    epochs: int
    accuracy: float
    kappa: float
    f1: dict[str, float]
    command: str


def known_network(weights_sha256: str) -> KnownNetwork | None:
    """Return the card's facts on these weights; None for weights that do not ship."""
    for gain in Gain:
        try:
            card = read_card(default_weights(gain))
            contract = card["contract"]
            if contract["weights_sha256"] == weights_sha256:
                return KnownNetwork(contract["channel"], _figures(card.get("figures")))
        except (WeightsError, KeyError, TypeError):
            continue
    return None


def _figures(figures: Any) -> KnownFigures | None:
    for name in _FIGURES:
        if isinstance(figures, dict) and name in figures:
            found = figures[name]["revised"]
            return KnownFigures(
                found["compared"],
                found["accuracy"],
                found["kappa"],
                found["f1"],
                figures[name]["command"],
            )
    return None
