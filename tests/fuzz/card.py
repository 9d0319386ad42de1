"""Cards of weights: every field in nasty values, blind changes, JSON built to hurt."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from models.card import default_weights
from models.contract import Gain
from monitor.staging.backend import checked_contract
from monitor.staging.torch_backend import TorchBackend
from tests.fuzz import nasty
from tests.fuzz.bounds import check_line
from tests.fuzz.case import Case, Kind

WEIGHTS = default_weights(Gain.KNOWN)
CARD = WEIGHTS.with_suffix(".json").name
LARGEST_COUNT = 100_000
"""Epochs or dimensions of any network that a person could mean."""


@dataclass(frozen=True, kw_only=True)
class CardCase(Case):
    """A card, with its weights if the network is to be built."""


class CardKind(Kind):
    """Cards beside weights, sound and broken."""

    name = "card"

    def generate(self, random: Random) -> CardCase:
        card = copy.deepcopy(_card())
        build = random.random() < 0.3
        match random.randrange(5):
            case 0:
                content, story = nasty.changed(random, json.dumps(card).encode())
            case 1:
                content, story = _hurtful(random, card)
            case _:
                part = card["network"] if build else card["contract"]
                if not build and random.random() < 0.2:
                    part = random.choice((card, part["spectrogram"]))
                key = random.choice(list(part))
                value: Any = random.choice((*nasty.VALUES, *nasty.TEXTS, [], {}, 10**9, -5, 0.5))
                part[key] = value
                if random.random() < 0.2:
                    del part[key]
                content, story = json.dumps(card).encode(), f"{key} is {value!r:.60}"
        files = {CARD: content}
        if build:
            files[WEIGHTS.name] = _weights()
        return CardCase(story=story, files=files)

    def check(self, case: CardCase, folder: Path) -> None:
        path = folder / WEIGHTS.name
        contract = checked_contract(path)
        card = json.loads(case.files[CARD])
        _check_same(contract.to_json(), card["contract"])
        for count in (contract.context_epochs, contract.revision_epochs, contract.embedding_dim):
            assert isinstance(count, int), f"{count!r} is taken as a count"
            assert not isinstance(count, bool), f"{count!r} is taken as a count"
            assert 0 <= count <= LARGEST_COUNT, f"{count} is taken as a count"
        for text in (contract.name, contract.version, contract.channel, contract.weights_sha256):
            assert isinstance(text, str), f"{text!r} is taken as a text"
            check_line(f"'{text}'", "a text of the contract")
        if path.exists():
            from models.weights import (
                load,  # PyTorch, which the processes of other kinds never need
            )

            assert TorchBackend(path).contract == contract
            _check_same(load(path)[0].config.to_json(), card["network"])


def _check_same(made: dict[str, Any], stated: dict[str, Any]) -> None:
    """Check that fields are those that the card states, each of them."""
    made = json.loads(json.dumps(made))
    assert made == stated, f"{made} is made of {stated}"


@cache
def _card() -> dict[str, Any]:
    card: dict[str, Any] = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    return card


@cache
def _weights() -> bytes:
    return WEIGHTS.read_bytes()


def _hurtful(random: Random, card: dict[str, Any]) -> tuple[bytes, str]:
    number = random.choice((100, 2000, 100_000))
    text = json.dumps(card)
    match random.randrange(6):
        case 0:
            return b"[" * number, f"{number} lists deep"
        case 1:
            deep = '{"a":' * number + "1" + "}" * number
            return f'{{"x": {deep}, {text[1:]}'.encode(), f"{number} objects deep"
        case 2:
            digits = "9" * number
            changed = text.replace('"context_epochs": 120', f'"context_epochs": {digits}')
            return changed.encode(), f"an integer of {number} digits"
        case 3:
            return b"\xef\xbb\xbf" + text.encode(), "a byte order mark"
        case 4:
            return text.encode("utf-16"), "UTF-16"
        case _:
            value = random.choice(("null", "[]", '"x"', "1", "NaN", "", "true"))
            return value.encode(), f"the card is {value!r}"
