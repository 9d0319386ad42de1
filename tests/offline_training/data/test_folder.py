"""`sleep-train prepare folder` on a lab's own recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from offline_training.data.licences import PRIVATE, may_ship
from offline_training.data.prepared import PreparedRecording, load_prepared
from tests.edf_files import write_edf
from tests.offline_training.data.nights import eeg, nsrr_xml, stages
from tests.offline_training.program import Program

SCORED = stages((1, "Sleep stage W"), (2, "Sleep stage N2"))


class Lab:
    """A folder of recordings, and the command that prepares it."""

    def __init__(self, folder: Path, program: Program) -> None:
        self.root, self.out = folder / "lab", folder / "prepared"
        self.root.mkdir()
        self._program = program

    def record(self, name: str, scored: bool = True, bdf: bool = False) -> None:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        write_edf(path, [eeg("C4-M1", 3)], annotations=SCORED if scored else None, bdf=bdf)

    def prepare(self, *options: str) -> tuple[int, str, str]:
        folders = ("--root", str(self.root), "--out", str(self.out), "--jobs", "1")
        return self._program("prepare", "folder", *folders, *options)

    def nights(self) -> dict[str, PreparedRecording]:
        return {night.name: night for night in load_prepared(self.out)}


@pytest.fixture
def lab(tmp_path: Path, sleep_train: Program) -> Lab:
    return Lab(tmp_path, sleep_train)


def test_stages_come_from_the_recording_or_from_beside_it(lab: Lab) -> None:
    lab.record("own.edf")
    lab.record("beside.bdf", scored=False, bdf=True)
    write_edf(lab.root / "beside-Hypnogram.edf", [], annotations=SCORED)
    lab.record("site/xml.edf", scored=False)
    (lab.root / "site" / "xml-nsrr.xml").write_text(nsrr_xml([0, 2, 2]))
    lab.record("none.edf", scored=False)
    code, stdout, stderr = lab.prepare()
    assert code == 0
    assert {name: night.stage.tolist() for name, night in lab.nights().items()} == {
        "beside": [0, 2, 2],
        "own": [0, 2, 2],
        "site/xml": [0, 2, 2],
    }
    assert (lab.out / "folder" / "site" / "xml.npy").is_file()
    assert "none" in stdout
    assert "no hypnogram beside it and no stages in its annotations" in stdout
    assert "say so with --subject-pattern" in stderr
    assert {night.licence for night in lab.nights().values()} == {PRIVATE}
    assert not may_ship(PRIVATE)


def test_nights_of_one_person_share_a_subject(lab: Lab) -> None:
    for name in ("S01_1.edf", "S01_2.edf", "S02_1.edf"):
        lab.record(name)
    assert lab.prepare("--subject-pattern", r"S(\d+)")[0] == 0
    assert {name: night.subject for name, night in lab.nights().items()} == {
        "S01_1": "folder-01",
        "S01_2": "folder-01",
        "S02_1": "folder-02",
    }


def test_the_licence_is_what_the_user_says(lab: Lab) -> None:
    lab.record("a.edf")
    lab.prepare("--licence", "consent form 7")
    assert lab.nights()["a"].licence == "consent form 7"
    assert not may_ship("consent form 7")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--subject-pattern", "("), "--subject-pattern is not a regular expression"),
        (("--subject-pattern", "X"), "tells no subject of 'a'"),
        (("--subject-pattern", "(X)?"), "tells no subject of 'a'"),
    ],
)
def test_a_pattern_that_tells_nothing_is_refused(
    lab: Lab, options: tuple[str, ...], said: str
) -> None:
    lab.record("a.edf")
    code, _, stderr = lab.prepare(*options)
    assert code == 2
    assert said in stderr
    assert stderr.count("\n") == 1
