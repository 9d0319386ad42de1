"""`sleep-train prepare shhs` on nights in its format: annotations, channels, visits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.contract import Stage
from monitor.errors import InputError
from monitor.sources.xml_stages import read_xml_stages
from offline_training.data.licences import may_ship
from offline_training.data.prepared import PreparedRecording, load_prepared
from offline_training.data.sources import prepared_source
from tests.offline_training.data.nights import (
    SHHS_EXPECTED,
    nsrr_xml,
    profusion_xml,
    shhs_night,
)
from tests.offline_training.program import Program


class Study:
    """SHHS on disk, and the command that prepares it."""

    def __init__(self, folder: Path, program: Program) -> None:
        self.root, self.out = folder / "shhs", folder / "prepared"
        self._program = program

    def prepare(self, *options: str) -> tuple[int, str, str]:
        folders = ("--root", str(self.root), "--out", str(self.out), "--jobs", "1")
        return self._program("prepare", "shhs", *folders, *options)

    def nights(self) -> dict[str, PreparedRecording]:
        return {night.name: night for night in load_prepared(self.out)}


@pytest.fixture
def study(tmp_path: Path, sleep_train: Program) -> Study:
    return Study(tmp_path, sleep_train)


@pytest.mark.parametrize(("nsrr", "profusion"), [(True, False), (False, True)])
def test_both_kinds_of_annotations_are_read(study: Study, nsrr: bool, profusion: bool) -> None:
    shhs_night(study.root, nsrr=nsrr, profusion=profusion)
    code, stdout, _ = study.prepare()
    assert code == 0
    assert "nothing cut off" in stdout
    night = study.nights()["shhs1-200001"]
    assert night.stage.tolist() == SHHS_EXPECTED
    assert night.usable.all()
    assert night.epochs_uv(0, 10).shape == (10, 3000)
    assert (night.dataset, night.subject) == ("shhs1", "shhs-200001")
    assert night.card.source_sfreq_hz == 125.0
    assert night.card.sources[1].name.endswith("nsrr.xml" if nsrr else "profusion.xml")
    assert not may_ship(night.licence)
    assert "must not be shipped" in night.licence


@pytest.mark.parametrize(
    ("recorded", "used"),
    [
        (("EEG(sec)", "EEG"), "C4-A1"),
        (("EEG 2", "eeg"), "C4-A1"),
        (("EEG2", "EMG"), "C3-A2"),
        (("EEG sec", "EMG"), "C3-A2"),
        (("EOG(L)", "EEG(SEC)"), "C3-A2"),
    ],
)
def test_c4_is_used_or_c3_if_there_is_no_c4(
    study: Study, recorded: tuple[str, ...], used: str
) -> None:
    shhs_night(study.root, channels=recorded)
    assert study.prepare()[0] == 0
    assert study.nights()["shhs1-200001"].card.channel == used


def test_the_channel_of_most_recordings_is_stated(study: Study) -> None:
    for number in (1, 2):
        shhs_night(study.root, f"shhs1-20000{number}")
    shhs_night(study.root, "shhs1-200003", channels=("EEG(sec)",))
    study.prepare()
    assert prepared_source(study.out).channel == "C4-A1"


def test_both_visits_of_one_person_are_one_subject(study: Study) -> None:
    shhs_night(study.root, "shhs1-200077")
    shhs_night(study.root, "shhs2-200077")
    assert study.prepare()[0] == 0
    assert {name: night.dataset for name, night in study.nights().items()} == {
        "shhs1-200077": "shhs1",
        "shhs2-200077": "shhs2",
    }
    assert {night.subject for night in study.nights().values()} == {"shhs-200077"}


def test_only_the_requested_visit_is_prepared(study: Study) -> None:
    shhs_night(study.root, "shhs1-200077")
    shhs_night(study.root, "shhs2-200077")
    assert study.prepare("--visit", "2")[0] == 0
    assert list(study.nights()) == ["shhs2-200077"]


def test_bad_recordings_are_listed_and_left_out(study: Study) -> None:
    shhs_night(study.root, "shhs1-200001")
    shhs_night(study.root, "shhs1-200002", channels=("EOG(L)",))
    shhs_night(study.root, "shhs1-200003", nsrr=False)
    shhs_night(study.root, "shhs1-200004")
    annotations = study.root / "polysomnography" / "annotations-events-nsrr" / "shhs1"
    (annotations / "shhs1-200004-nsrr.xml").write_text(nsrr_xml()[:-40])
    shhs_night(study.root, "shhs1-200005")
    (annotations / "shhs1-200005-nsrr.xml").write_text(nsrr_xml([2] * 40))
    code, stdout, _ = study.prepare()
    assert code == 0
    assert list(study.nights()) == ["shhs1-200001"]
    reasons = {line.split()[0]: line for line in stdout.splitlines() if line.startswith("  ")}
    assert "there is no channel 'EEG'" in reasons["shhs1-200002"]
    assert "has no hypnogram beside it" in reasons["shhs1-200003"]
    assert "is damaged: it is not XML" in reasons["shhs1-200004"]
    assert "does not belong to" in reasons["shhs1-200005"]


def test_a_folder_without_shhs_is_refused(study: Study, tmp_path: Path) -> None:
    study.root = tmp_path
    code, _, stderr = study.prepare()
    assert code == 2
    assert "polysomnography" in stderr
    assert stderr.count("\n") == 1


def test_wake_can_be_trimmed(study: Study) -> None:
    shhs_night(study.root)
    study.prepare("--wake-min", "0")
    assert study.nights()["shhs1-200001"].stage.tolist() == SHHS_EXPECTED[2:7]


_BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_BOMB + nsrr_xml().partition("?>")[2], "declares a document type"),
        ("<a>", "is not XML"),
        ("", "is not XML"),
        ("<Other/>", "its root is 'Other'"),
        (nsrr_xml([]), "holds no sleep stages"),
        (profusion_xml([]), "holds no sleep stages"),
        (profusion_xml([0, 7]), "stage code '7'"),
        (nsrr_xml().replace("Wake|0", "Wake|10"), "stage code '10'"),
        (nsrr_xml().replace("<EpochLength>30<", "<EpochLength>20<"), "epochs of 20 s"),
        (nsrr_xml().replace("<EpochLength>30<", "<EpochLength><"), "its EpochLength is ''"),
        (nsrr_xml().replace("<Start>0.0<", "<Start>nan<"), "its Start of a stage is 'nan'"),
        (nsrr_xml().replace("<Duration>60.0<", "<Duration>-1<"), "Duration of a stage is '-1'"),
    ],
)
def test_malformed_annotations_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x-nsrr.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=str(path.name)) as error:
        read_xml_stages(path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("declared", "written"),
    [
        ("UTF-8", "utf-8-sig"),
        ("UTF-8", "cp1252"),  # declared wrongly
        ("UTF-16", "utf-8"),  # as .NET declares what it writes to a text
        ("UTF-16", "utf-16"),
        ("UTF-8", "utf-16-le"),
        ("ISO-8859-1", "latin-1"),
        ("windows-1252", "cp1252"),
        ("Windows-1250", "cp1250"),
        ("no-such-code", "utf-8"),
        ("punycode", "utf-8"),
        (None, "utf-8"),
        (None, "cp1252"),
        (None, "utf-16"),
    ],
)
def test_any_encoding_is_read(tmp_path: Path, declared: str | None, written: str) -> None:
    first = "" if declared is None else f'<?xml version="1.0" encoding="{declared}"?>'
    text = nsrr_xml().partition("?>")[2].replace("Compumedics", "Universität Zürich")
    path = tmp_path / "x-nsrr.xml"
    path.write_bytes((first + text).encode(written))
    spans = read_xml_stages(path).spans
    assert [span.stage for span in spans if span.stage][:2] == [Stage.W, Stage.N1]
    assert len(spans) == 9


def test_other_events_with_a_number_are_no_stages(tmp_path: Path) -> None:
    path = tmp_path / "x-nsrr.xml"
    path.write_text(nsrr_xml().replace("SDO|SDO", "Desaturation|3"))
    assert len(read_xml_stages(path).spans) == 9


def test_stages_may_be_words(tmp_path: Path) -> None:
    path = tmp_path / "x-profusion.xml"
    path.write_text(profusion_xml().replace("<SleepStage>5<", "<SleepStage>REM<"))
    assert [span.stage for span in read_xml_stages(path).spans][6] is Stage.R


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a>" * 100_000, "nests more than"),
        ("<" + "a" * 5000 + "/>", "its root is 'aaa"),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "declares a document type"),
        (profusion_xml().replace(">5<", ">\u202eevil<"), "stage code '?evil'"),
        (nsrr_xml().replace("<Start>0.0<", "<Start>1e11<"), "its Start of a stage is '1e11'"),
    ],
)
def test_hostile_xml_is_refused_in_one_short_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_xml_stages(path)
    assert message in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 400


def test_the_samples_are_those_of_the_used_channel(study: Study) -> None:
    shhs_night(study.root, "shhs1-200001", channels=("EEG(sec)", "EEG"))
    shhs_night(study.root, "shhs1-200002", channels=("EEG(sec)",))
    study.prepare()
    first, second = (night.epochs_uv(1, 9) for night in study.nights().values())
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.2
