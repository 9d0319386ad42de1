"""The card of a weights file: a JSON file beside the tensors that describes them.

absolute.safetensors    the tensors; loading them runs no code
absolute.json           contract, network config, data and licence, command, seeds, figures

The card can be read without loading the tensors, and without PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.contract import Gain, ModelContract
from models.reading import UnreadableError, read_json

CARD_FORMAT = 1
VARIANTS = {Gain.KNOWN: "absolute", Gain.UNKNOWN: "gain-free"}
"""File name of the default weights for each gain, without suffix."""

_DEFAULT = Path(__file__).parent / "default"


class WeightsError(ValueError):
    """The weights or their card are missing or damaged, or do not belong together."""


def default_weights(gain: Gain) -> Path:
    """Return the default weights: absolute amplitude for KNOWN gain, gain-free for UNKNOWN."""
    return _DEFAULT / f"{VARIANTS[gain]}.safetensors"


def read_card(path: Path) -> dict[str, Any]:
    """Read the card beside the weights at ``path``.

    Raises
    ------
    WeightsError
        There is no card, or it is not a card of format `CARD_FORMAT`.
    """
    card_path = path.with_suffix(".json")
    try:
        card = read_json(card_path)
    except FileNotFoundError as exc:
        raise WeightsError(f"{path} has no card: {card_path} does not exist") from exc
    except UnreadableError as exc:
        raise WeightsError(f"the card {card_path} {exc}") from exc
    if not isinstance(card, dict) or card.get("format") != CARD_FORMAT:
        raise WeightsError(f"{card_path} is not a weights card of format {CARD_FORMAT}")
    return card


def read_contract(path: Path) -> ModelContract:
    """Read the contract of the weights at ``path`` from their card. Raises `WeightsError`."""
    card = read_card(path)
    try:
        return ModelContract.from_json(card["contract"])
    except (KeyError, TypeError, ValueError) as exc:
        raise WeightsError(f"the card of {path} has a bad contract: {exc!r}") from exc
