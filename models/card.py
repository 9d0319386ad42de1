"""The card of a weights file: a JSON file beside the tensors that describes them.

absolute.safetensors    the tensors; loading them runs no code
absolute.json           contract, network config, data and licence, command, seeds, figures

The card can be read without loading the tensors, and without PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

from models.contract import Gain, ModelContract
from models.files import whole_file
from models.graphs import CARD, checksums_path
from models.reading import LARGEST_JSON, UnreadableError, parsed_json, read_bytes, read_json

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
    """Read the card beside the weights at ``path``. An export beside it names the card's sha256.

    Raises
    ------
    WeightsError
        There is no card, it is not a card of format `CARD_FORMAT`, or not the one that was
        exported.
    """
    card_path = path.with_suffix(".json")
    try:
        data = read_bytes(card_path, LARGEST_JSON)
        _check_against_export(path, card_path, data)
        card = parsed_json(data)
    except FileNotFoundError as exc:
        raise WeightsError(f"{path} has no card: {card_path} does not exist") from exc
    except UnreadableError as exc:
        raise WeightsError(f"the card {card_path} {exc}") from exc
    if not isinstance(card, dict) or card.get("format") != CARD_FORMAT:
        raise WeightsError(f"{card_path} is not a weights card of format {CARD_FORMAT}")
    for key in ("contract", "network"):
        if not isinstance(card.get(key), dict):
            raise WeightsError(f"the card {card_path} has no {key}")
    return card


def replace_card(path: Path, card: dict[str, Any]) -> None:
    """Write ``card`` in place of the card of the weights at ``path``, and its sha256 if exported.

    Raises OSError, or `UnreadableError` if the checksums are damaged.
    """
    data = (json.dumps(card, indent=2) + "\n").encode()
    checksums = checksums_path(path)
    named = read_json(checksums) if checksums.is_file() else None
    with whole_file(path.with_suffix(".json")) as file:
        file.write(data)
    if named is not None:
        named[CARD] = hashlib.sha256(data).hexdigest()
        with whole_file(checksums) as file:
            file.write((json.dumps(named, indent=2) + "\n").encode())


def _check_against_export(path: Path, card_path: Path, card: bytes) -> None:
    checksums = checksums_path(path)
    try:
        expected = read_json(checksums).get(CARD)
    except (FileNotFoundError, UnreadableError, AttributeError):
        return  # There is no export, or it is damaged: the backend that reads it reports it.
    if expected is not None and expected != hashlib.sha256(card).hexdigest():
        raise WeightsError(
            f"the card {card_path} is damaged or was changed: its sha256 is not the one in "
            f"{checksums.name}; restore it (reinstall the monitor, or copy the card again), or, if "
            f"you changed it, remove {checksums.name} and run sleep-deploy export --weights "
            f"{shlex.quote(str(path))}"
        )


def read_contract(path: Path) -> ModelContract:
    """Read the contract of the weights at ``path`` from their card. Raises `WeightsError`."""
    card = read_card(path)
    try:
        return ModelContract.from_json(card["contract"])
    except (KeyError, TypeError, ValueError) as exc:
        raise WeightsError(f"the card of {path} has a bad contract: {exc!r:.300}") from exc
