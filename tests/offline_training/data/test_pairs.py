"""Pairing of recordings and hypnograms by file name."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.errors import InputError
from offline_training.data.pairs import find_pairs


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root: Path) -> dict[str, tuple[str, str | None]]:
    return {
        pair.name: (pair.recording.name, pair.hypnogram.name if pair.hypnogram else None)
        for pair in find_pairs(root)
    }


def test_hypnograms_lie_beside_their_recordings(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b.EDF",
        "b-Hypnogram.edf",
        "a-PSG.bdf",
        "A-hypnogram.BDF",
        "site 1/c.edf",
        "site 1/c-profusion.xml",
        "site 1/c-nsrr.xml",
        "alone.edf",
        "notes.txt",
        "._b.edf",
        ".cache/d.edf",
    )
    assert found(tmp_path) == {
        "a": ("a-PSG.bdf", "A-hypnogram.BDF"),
        "alone": ("alone.edf", None),
        "b": ("b.EDF", "b-Hypnogram.edf"),
        "site 1/c": ("c.edf", "c-nsrr.xml"),
    }
    assert [pair.name for pair in find_pairs(tmp_path)] == ["a", "alone", "b", "site 1/c"]


def test_sleep_edf_names_share_six_characters(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "SC4001E0-PSG.edf",
        "SC4001EC-Hypnogram.edf",
        "SC4002E0-PSG.edf",
        "SC4012EH-Hypnogram.edf",
        "ST7011J0-PSG.edf",
        "ST7011JP-Hypnogram.edf",
    )
    assert found(tmp_path) == {
        "SC4001E0": ("SC4001E0-PSG.edf", "SC4001EC-Hypnogram.edf"),
        "SC4002E0": ("SC4002E0-PSG.edf", None),
        "ST7011J0": ("ST7011J0-PSG.edf", "ST7011JP-Hypnogram.edf"),
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "holds no recording"),
        (("a.edf", "a.bdf"), "would both be called a"),
        (
            ("SC4001E0-PSG.edf", "SC4001EC-Hypnogram.edf", "SC4001EV-Hypnogram.edf"),
            "more than one hypnogram",
        ),
    ],
)
def test_ambiguous_names_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=message):
        find_pairs(tmp_path)


def test_the_root_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        find_pairs(tmp_path / "nowhere")
