"""Other stagers' hypnograms in every format, on the recording's epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.errors import InputError
from offline_training.data.scored import ScoredNight
from offline_training.evaluation.peers import Peer, on_common_epochs
from tests.edf_files import write_edf
from tests.offline_training.evaluation.nights import write_night

STAGES = ["W", "N1", "N2", "N3", "R", "?"]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> ScoredNight:
    path = write_night(tmp_path_factory.mktemp("night") / "night.edf", STAGES)
    return ScoredNight.open(path)


def stages(night: ScoredNight, path: Path) -> list[int]:
    return Peer.read(f"peer={path}", night).stages(night).tolist()


def test_plain_lines(night: ScoredNight, tmp_path: Path) -> None:
    path = tmp_path / "peer.txt"
    path.write_text("W\nN1\nn2\nN3\nREM\n?\n")
    assert stages(night, path) == [0, 1, 2, 3, 4, -1]


def test_table_of_the_monitor(night: ScoredNight, tmp_path: Path) -> None:
    path = tmp_path / "peer.csv"
    header = "epoch,start_s,stage,live_stage,p_w,p_n1,p_n2,p_n3,p_r,confidence,reason"
    path.write_text(f"{header}\n0,30.0,N2,W,,,,,,,\n1,60.0,?,W,,,,,,,flat\n2,90.0,R,W,,,,,,,\n")
    assert stages(night, path) == [-1, 2, -1, 4, -1, -1]


@pytest.mark.parametrize("row", ["1,60.0", "1,60.0,", "1,", "1", "1,nan,W"])
def test_table_with_a_damaged_row(night: ScoredNight, tmp_path: Path, row: str) -> None:
    path = tmp_path / "peer.csv"
    header = "epoch,start_s,stage,live_stage,p_w,p_n1,p_n2,p_n3,p_r,confidence,reason"
    path.write_text(f"{header}\n0,30.0,N2,W,,,,,,,\n{row}")
    with pytest.raises(InputError, match=r"'' is not a stage|must be a number, got '(nan)?'"):
        stages(night, path)


def test_edf_hypnogram(night: ScoredNight, tmp_path: Path) -> None:
    annotations = [(0.0, 60.0, "Sleep stage 2"), (60.0, 120.0, "Sleep stage R")]
    path = write_edf(tmp_path / "peer.edf", [], annotations=annotations, start=None)
    assert stages(night, path) == [2, 2, 4, 4, 4, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [("0\n1\n2\n3\n4\n-1\n", "is not a stage"), ("W\nW\n", "2 lines"), ("", "0 lines")],
)
def test_a_hypnogram_of_another_night_is_refused(
    night: ScoredNight, tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "peer.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        stages(night, path)


def test_a_malformed_option_and_a_missing_file_are_refused(night: ScoredNight) -> None:
    with pytest.raises(InputError, match="NAME=FILE"):
        Peer.read("peer.txt", night)
    with pytest.raises(InputError, match="cannot be read"):
        Peer.read("peer=missing.txt", night)


def test_all_stagers_are_compared_on_the_same_epochs() -> None:
    truth = [np.array([0, 2, 2, -1]), np.array([3, 3])]
    first = [np.array([0, 2, 1, 1]), np.array([3, -1])]
    second = [np.array([-1, 2, 2, 1]), np.array([0, 3])]
    n_common, found = on_common_epochs(truth, [first, second])
    # Scored by the expert and both: epochs 1 and 2 of the first recording, 0 of the second.
    assert n_common == 3
    assert [each.accuracy for each in found] == pytest.approx([2 / 3, 2 / 3])
