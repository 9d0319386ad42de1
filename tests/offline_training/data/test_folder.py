"""`sleep-train prepare folder` on a lab's own recordings."""

from __future__ import annotations

import zlib
from dataclasses import replace
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
        signal = eeg("C4-M1", 3, seed=zlib.crc32(name.encode()))
        write_edf(path, [signal], annotations=SCORED if scored else None, bdf=bdf)

    def prepare(self, *options: str) -> tuple[int, str, str]:
        folders = ("--root", str(self.root), "--out", str(self.out), "--jobs", "1")
        return self._program("prepare", "folder", *folders, *options)

    def nights(self) -> dict[str, PreparedRecording]:
        return {night.name: night for night in load_prepared(self.out)}


@pytest.fixture
def lab(tmp_path: Path, sleep_train: Program) -> Lab:
    return Lab(tmp_path, sleep_train)


def test_stages_come_from_the_recording_or_a_file_beside_it(lab: Lab) -> None:
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
    assert "add --subject-pattern" in stderr
    assert {night.licence for night in lab.nights().values()} == {PRIVATE}
    assert not may_ship(PRIVATE)


def test_what_is_odd_about_the_stages_is_told_in_every_run(lab: Lab) -> None:
    for name in ("a", "b"):
        lab.record(f"{name}.edf", scored=False)
        words = stages((1, "Sleep stage W"), (2, "Sleep stage X"))
        write_edf(lab.root / f"{name}-Hypnogram.edf", [], annotations=words, start=None)
    note = "have no start times that compare: the hypnogram counts as beginning with the recording"
    for _ in range(2):  # The second run keeps what the first prepared.
        code, stdout, _ = lab.prepare()
        assert code == 0
        assert f"a-Hypnogram.edf and a.edf {note}" in stdout
        assert "b-Hypnogram.edf has stages in words that are not known, 'Sleep stage X'" in stdout


def test_nights_of_one_person_share_a_subject(lab: Lab) -> None:
    for name in ("S01_1.edf", "S01_2.edf", "S02_1.edf"):
        lab.record(name)
    assert lab.prepare("--subject-pattern", r"S(\d+)")[0] == 0
    assert {name: night.subject for name, night in lab.nights().items()} == {
        "S01_1": "folder-01",
        "S01_2": "folder-01",
        "S02_1": "folder-02",
    }


def test_a_renamed_recording_counts_once_and_its_old_name_is_reported(lab: Lab) -> None:
    for name in ("a.edf", "b.edf", "c.edf"):
        lab.record(name)
    lab.prepare()
    (lab.root / "a.edf").rename(lab.root / "z.edf")
    (lab.root / "b.edf").unlink()
    code, stdout, stderr = lab.prepare()
    assert code == 0 and list(lab.nights()) == ["b", "c", "z"]
    assert "2 recordings of 2 subjects" in stdout
    assert "left out 1:\n  a  the same recording as z of folder\n" in stdout
    assert "still holds 1 recording whose files are not among those of this run: b." in stderr
    (lab.out / "folder" / "b.json").unlink()
    (lab.out / "folder" / "a.json").unlink()
    _, stdout, stderr = lab.prepare()
    assert "left out" not in stdout and "warning" not in stderr


def test_a_copy_under_another_name_is_left_out(lab: Lab) -> None:
    lab.record("a.edf")
    (lab.root / "b.edf").write_bytes((lab.root / "a.edf").read_bytes())
    for _ in range(2):  # A second run has the same result.
        code, stdout, stderr = lab.prepare()
        assert code == 0 and list(lab.nights()) == ["a"] and "warning" not in stderr
        assert "1 recording of 1 subject" in stdout
        assert "  b  the same recording as a of folder" in stdout


def test_recordings_without_microvolts_need_an_unknown_gain(lab: Lab) -> None:
    """With a known gain, a hundredth of the true amplitude counts as flat."""
    signal = eeg("C4-M1", 3)
    write_edf(lab.root / "a.edf", [replace(signal, step=signal.step / 100)], annotations=SCORED)
    assert lab.prepare()[0] == 0
    assert not lab.nights()["a"].usable.any()
    assert "(1 prepared now, 0 already there)" in lab.prepare("--gain", "unknown")[1]
    night = lab.nights()["a"]
    assert night.usable.all() and night.card.gain == "unknown"
    assert night.epochs_uv(0, 3).any()
    assert "(0 prepared now, 1 already there)" in lab.prepare("--gain", "unknown")[1]
    assert "(1 prepared now, 0 already there)" in lab.prepare()[1]


def test_the_licence_option_is_stored(lab: Lab) -> None:
    lab.record("a.edf")
    lab.prepare("--licence", "consent form 7")
    assert lab.nights()["a"].licence == "consent form 7"
    assert not may_ship("consent form 7")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--subject-pattern", "("), "--subject-pattern is not a regular expression"),
        (("--subject-pattern", "X"), "finds no subject in 'a'"),
        (("--subject-pattern", "(X)?"), "finds no subject in 'a'"),
    ],
)
def test_a_pattern_that_finds_no_subject_is_refused(
    lab: Lab, options: tuple[str, ...], message: str
) -> None:
    lab.record("a.edf")
    code, _, stderr = lab.prepare(*options)
    assert code == 2
    assert message in stderr
    assert stderr.count("\n") == 1
