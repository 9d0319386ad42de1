"""A flipped bit in any file that ships is noticed before the file is used."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.card import WeightsError, default_weights, read_card, replace_card
from models.contract import Gain
from models.graphs import graph_files
from models.weights import load
from monitor.errors import InputError
from monitor.staging.onnx_backend import OnnxBackend

WEIGHTS = default_weights(Gain.KNOWN)
FILES = [WEIGHTS, WEIGHTS.with_suffix(".json"), *graph_files(WEIGHTS)]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    for path in FILES:
        shutil.copy(path, tmp_path)
    return tmp_path / WEIGHTS.name


def flip(path: Path, place: float, bit: int) -> None:
    """Flip one bit at ``place``, 0 to 1, of the file."""
    data = bytearray(path.read_bytes())
    data[round(place * (len(data) - 1))] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize("place", [0.0, 0.003, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_a_flipped_bit_is_named_in_one_line(weights: Path, file: Path, place: float) -> None:
    damaged = weights.with_name(file.name)
    for bit in (0, 5):
        shutil.copy(file, damaged)
        flip(damaged, place, bit)
        with pytest.raises((InputError, WeightsError)) as caught:
            if file == WEIGHTS:
                load(weights)
            else:
                OnnxBackend(weights)
        message = str(caught.value)
        assert "\n" not in message and len(message) < 1000
        assert file.name in message or WEIGHTS.with_suffix(".onnx.json").name in message


def test_every_bit_of_the_contract_in_a_card_counts(weights: Path) -> None:
    """PyTorch reads no graph: a context of 121 epochs would stage differently without a word."""
    card = weights.with_suffix(".json")
    whole = card.read_bytes()
    card.write_bytes(whole.replace(b'"context_epochs": 120', b'"context_epochs": 121'))
    with pytest.raises(WeightsError, match=r"absolute.json is damaged or was changed: its sha256"):
        load(weights)
    card.write_bytes(whole.replace(b'"gain_free": false', b'"gain_free": true'))
    with pytest.raises(WeightsError, match="sleep-deploy export --weights"):
        load(weights)
    card.write_bytes(whole)
    assert load(weights)[1].context_epochs == 120


def test_a_card_that_the_project_replaces_keeps_its_export(weights: Path) -> None:
    card = read_card(weights)
    replace_card(weights, card | {"figures": {}})
    assert read_card(weights)["figures"] == {}
    OnnxBackend(weights)
