"""Files built to hurt get one clear error, in bounded time and memory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from models.card import WeightsError, default_weights, read_card, read_contract
from models.contract import Gain, ModelContract, SpectrogramSpec
from models.mc2sleepnet import NetworkConfig
from models.reading import UnreadableError, parsed_json, read_bytes, read_json

CARD = json.loads(default_weights(Gain.KNOWN).with_suffix(".json").read_text())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested more than 32 levels"),
        ("[" * 33 + "]" * 33, "nested more than 32 levels"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested more than 32 levels"),
        ("9" * 5000, "is not JSON: Exceeds the limit"),
        ("9" * 40, "more than 64 bits"),
        ('{"a": 1, "a": 2}', "has the key 'a' twice"),
        ("{", "is not JSON: Expecting"),
        ("", "is not JSON: Expecting"),
        ('"a\nb"', "is not JSON: Invalid control character"),
        (b"\xff\xfe[\x00]\x00", "is not UTF-8 text .byte 0 is 0xff"),
        ('{"a": "\u00e9"}'.encode("latin-1"), "is not UTF-8 text .byte 7 is 0xe9"),
    ],
    ids=lambda each: repr(each)[:20],
)
def test_a_text_built_to_hurt_is_refused_in_one_line(text: str | bytes, message: str) -> None:
    with pytest.raises(UnreadableError, match=message) as caught:
        parsed_json(text)
    assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)


def test_a_byte_order_mark_does_not_matter() -> None:
    assert parsed_json(b'\xef\xbb\xbf{"a": [1, 2.5]}') == {"a": [1, 2.5]}


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(UnreadableError, match="is a pipe or a device"):
            read_json(path)
    with pytest.raises(UnreadableError, match="Is a directory"):
        read_json(tmp_path)
    with pytest.raises(UnreadableError, match="cannot be the name of a file"):
        read_json(tmp_path / "a\0b")
    with pytest.raises(UnreadableError, match="File name too long"):
        read_json(tmp_path / ("a" * 300))


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(UnreadableError, match="has more than 8388608 bytes"):
        read_json(path)
    with path.open("wb") as file:
        file.truncate(10)
    assert read_bytes(path, 10) == bytes(10)


def card(folder: Path, **contract: object) -> Path:
    """Write the default card with other fields in its contract. Return the path of its weights."""
    fields = CARD | {"contract": CARD["contract"] | contract}
    (folder / "own.json").write_text(json.dumps(fields))
    return folder / "own.safetensors"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"context_epochs": 10**9}, "context_epochs must be at most 2880"),
        ({"context_epochs": True}, "context_epochs must be an integer"),
        ({"context_epochs": "120"}, "context_epochs must be an integer"),
        ({"revision_epochs": 3.0}, "revision_epochs must be an integer"),
        ({"embedding_dim": 10**9}, "embedding_dim must be at most 8192"),
        ({"sfreq_hz": float("nan")}, "sfreq_hz must be a finite number above 0"),
        ({"epoch_s": float("inf")}, "epoch_s must be a finite number above 0"),
        ({"name": "../../elsewhere"}, "name and version must have no '/'"),
        ({"name": "a\0b"}, "name must be a text"),
        ({"channel": "Fpz\x1b[2J"}, "channel must be a text"),
        ({"version": ["1"]}, "version must be a text"),
        ({"spectrogram": {"n_fft": 10**9}}, "n_fft must be at most 3000"),
        ({"spectrogram": {"hop_s": 1e-9}}, "window_s and hop_s must be"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_a_contract_of_impossible_numbers_is_refused_before_anything_is_allocated(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        read_contract(card(tmp_path, **fields))


@pytest.mark.parametrize("fields", [{"gain": "x" * 10_000}, {"stages": ["\n" * 10_000]}])
def test_the_word_about_a_bad_contract_is_short(tmp_path: Path, fields: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match="bad contract") as caught:
        read_contract(card(tmp_path, **fields))
    assert len(str(caught.value)) < 600 and str(caught.value).isprintable()


@pytest.mark.parametrize(
    "field", ["d_model", "n_heads", "d_ff", "frame_layers", "sequence_layers", "pool_units"]
)
def test_a_network_of_a_billion_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must be at most"):
        NetworkConfig(**{field: 10**9})  # type: ignore[arg-type]


def test_a_card_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text("[" * 5000)
    with pytest.raises(WeightsError, match=r"the card .*own.json is nested more than"):
        read_card(path)


def test_the_contract_that_ships_is_within_the_limits() -> None:
    assert ModelContract.from_json(CARD["contract"]).spectrogram == SpectrogramSpec()
