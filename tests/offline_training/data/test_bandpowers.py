"""Band-power nights: reading files, refusing bad ones, scaling to microvolts, splitting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.errors import InputError
from offline_training.data.bandpowers import (
    AMPLITUDE_FILE,
    BANDPOWER_FILE,
    NON_STATIONARITY_LN,
    in_microvolts,
    load_nights,
)
from offline_training.data.recordings import split_subjects
from tests.offline_training.data.measured import STD_UV, write_data


def test_each_recording_becomes_one_night(tmp_path: Path) -> None:
    write_data(tmp_path, subjects=3)
    nights = load_nights(tmp_path)
    assert [night.recording for night in nights] == [
        "SC4001",
        "SC4002",
        "SC4011",
        "SC4012",
        "SC4021",
        "SC4022",
    ]
    assert [night.subject for night in nights] == [
        f"sleep-edf-cassette-0{i // 2}" for i in range(6)
    ]
    assert all(night.log_power.shape == (len(night.stage), 5) for night in nights)
    assert all((night.stage == -1).sum() == 1 for night in nights)


def test_amplitudes_undo_the_z_score(tmp_path: Path) -> None:
    """Two recordings of the same sleep, z-scored with different constants, become equal."""
    write_data(tmp_path, subjects=1, z_score=(0.0, 3.0))
    before = load_nights(tmp_path)
    after = in_microvolts(before, tmp_path)
    assert np.abs(before[0].log_power - before[1].log_power).min() > 2
    np.testing.assert_allclose(after[0].log_power, after[1].log_power, atol=1e-5)
    total = np.log(np.exp(after[0].log_power).sum(axis=1))
    levels = [np.median(total[after[0].stage == stage]) for stage in (2, 4)]
    expected = np.log(STD_UV["N2"] * STD_UV["R"]) - NON_STATIONARITY_LN
    assert np.mean(levels) == pytest.approx(expected, abs=1e-4)


def test_folds_share_no_subject_and_cover_every_night_once(tmp_path: Path) -> None:
    write_data(tmp_path, subjects=7)
    nights = load_nights(tmp_path)
    held_out: list[str] = []
    for rest, fold in split_subjects(nights, 3, seed=0):
        assert not {night.subject for night in rest} & {night.subject for night in fold}
        assert len(rest) + len(fold) == len(nights)
        held_out += [night.recording for night in fold]
    assert sorted(held_out) == [night.recording for night in nights]
    with pytest.raises(InputError, match="folds"):
        split_subjects(nights, 8, seed=0)


def test_errors_name_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=BANDPOWER_FILE):
        load_nights(tmp_path)
    write_data(tmp_path, subjects=1)
    whole = (tmp_path / BANDPOWER_FILE).read_bytes()
    for damaged in (b"not a zip file", whole[: len(whole) // 2]):
        (tmp_path / BANDPOWER_FILE).write_bytes(damaged)
        with pytest.raises(InputError, match=rf"{BANDPOWER_FILE} is damaged"):
            load_nights(tmp_path)
    write_data(tmp_path, subjects=1)
    nights = load_nights(tmp_path)
    (tmp_path / AMPLITUDE_FILE).write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="not an amplitude file"):
        in_microvolts(nights, tmp_path)
    (tmp_path / AMPLITUDE_FILE).write_text("recording,stage,std_uv_p50\n")
    with pytest.raises(InputError, match="SC4001"):
        in_microvolts(nights, tmp_path)
    (tmp_path / AMPLITUDE_FILE).unlink()
    with pytest.raises(InputError, match=AMPLITUDE_FILE):
        in_microvolts(nights, tmp_path)
