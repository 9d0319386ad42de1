"""The card of a weights file: what it holds, for whoever wants to know without loading it.

absolute.safetensors    the tensors; nothing in them is ever executed
absolute.json           contract, network config, data and licence, command, seeds, figures
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.contract import Gain, ModelContract

CARD_FORMAT = 1
VARIANTS = {Gain.KNOWN: "absolute", Gain.UNKNOWN: "gain-free"}
"""What weights are called, by whether microvolts can be trusted."""

_DEFAULT = Path(__file__).parent / "default"


class WeightsError(ValueError):
    """The weights or their card are missing, damaged or do not belong together."""


def default_weights(gain: Gain) -> Path:
    """The weights that ship: absolute amplitude for KNOWN gain, gain-free for UNKNOWN."""
    return _DEFAULT / f"{VARIANTS[gain]}.safetensors"


def read_card(path: Path) -> dict[str, Any]:
    """The card beside the weights at ``path``.

    Raises
    ------
    WeightsError
        There is none, or it is not one of ours.
    """
    card_path = path.with_suffix(".json")
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise WeightsError(f"{path} has no card: {card_path} does not exist") from exc
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as exc:
        raise WeightsError(f"{card_path} cannot be read as JSON: {exc}") from exc
    if not isinstance(card, dict) or card.get("format") != CARD_FORMAT:
        raise WeightsError(f"{card_path} is not a weights card of format {CARD_FORMAT}")
    return card


def read_contract(path: Path) -> ModelContract:
    """What the network at ``path`` wants to be fed. Raises `WeightsError` as `read_card` does."""
    card = read_card(path)
    try:
        return ModelContract.from_json(card["contract"])
    except (KeyError, TypeError, ValueError) as exc:
        raise WeightsError(f"the card of {path} has a bad contract: {exc!r}") from exc
