"""Saved arrays: read back unchanged; any damage is an error of one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.errors import InputError
from offline_training.data.npz import read_npz


@pytest.fixture
def path(tmp_path: Path) -> Path:
    arrays = {"stage": np.arange(40), "name": np.array(["a", "bc"])}
    np.savez(tmp_path / "saved.npz", allow_pickle=True, **arrays, odd=np.array([{}]))
    return tmp_path / "saved.npz"


def test_arrays_are_read_back(path: Path) -> None:
    found = read_npz(path, ("name", "stage"))
    assert found["name"].tolist() == ["a", "bc"] and found["stage"].tolist() == list(range(40))


@pytest.mark.parametrize("names", [("stage", "absent"), ("odd",)])
def test_missing_and_pickled_arrays_are_reported(path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="is damaged, or not") as error:
        read_npz(path, names)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_a_missing_file_and_a_folder_cannot_be_read(path: Path) -> None:
    for each in (path.with_name("missing.npz"), path.parent):
        with pytest.raises(InputError, match="cannot be read"):
            read_npz(each, ("stage",))


def test_every_damaged_byte_is_reported_or_harmless(path: Path) -> None:
    whole, whole_stage = path.read_bytes(), read_npz(path, ("stage",))["stage"]
    for at in range(0, len(whole), 3):
        for content in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            path.write_bytes(content)
            try:
                found = read_npz(path, ("stage",))["stage"]
            except InputError:
                continue
            np.testing.assert_array_equal(found, whole_stage)
