"""The stages as text, read back by the program that each file is for, or line by line."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.contract import STAGES
from monitor.exports.export import ExportOptions, export_night
from monitor.exports.formats import FORMATS
from monitor.types import Track
from tests.exports.nights import (
    COMMAND,
    MISSING,
    N_EPOCHS,
    NOTE,
    WEIGHTS,
    Made,
    exported,
    make_night,
)

CODES = {"W": 0, "N1": 1, "N2": 2, "N3": 3, "R": 4, None: -2}


@pytest.fixture
def night(tmp_path: Path) -> Made:
    return make_night(tmp_path / "n.sqlite")


def whole(tmp_path: Path) -> Made:
    stages = [STAGES[index % 5] for index in range(N_EPOCHS)]
    return make_night(tmp_path / "n.sqlite", stages=stages, gaps=False)


@pytest.mark.parametrize("track", Track)
def test_the_table_has_clock_seconds_codes_and_probabilities(night: Made, track: Track) -> None:
    path = exported(night, "csv", ".csv" if track is Track.REVISED else "-live.csv", track)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    stages = night.stages if track is Track.REVISED else night.live
    assert [row["stage"] for row in rows] == [stage or "?" for stage in stages]
    assert [int(row["code"]) for row in rows] == [CODES[stage] for stage in stages]
    assert [row["start_s"] for row in rows[:2]] == ["0.0", "30.0"]
    clocks = [datetime.fromisoformat(row["clock"]) for row in rows]
    assert clocks[0] == night.session.start_utc
    assert rows[1]["clock"] == "2026-11-27T00:00:29.980000+01:00"
    assert rows[MISSING]["reason"] == "missing"
    assert rows[MISSING]["p_w"] == ""
    facts = json.loads(path.with_name(path.name + ".json").read_text())
    assert (facts["command"], facts["weights_sha256"]) == (COMMAND, WEIGHTS)


def test_a_replay_has_the_same_columns_on_the_recorders_clock(tmp_path: Path) -> None:
    night = make_night(tmp_path / "n.sqlite", live=False)
    rows = list(csv.DictReader(exported(night, "csv", ".csv").read_text().splitlines()))
    assert [row["start_s"] for row in rows[:2]] == ["10.01", "40.01"]
    assert rows[0]["clock"] == "2026-11-26T22:59:59.980000"


def test_yasa_reads_stages_times_and_probabilities(night: Made) -> None:
    yasa = pytest.importorskip("yasa")
    hypnogram = yasa.Hypnogram.from_json(exported(night, "yasa", "-yasa.json"))
    assert hypnogram.as_int().tolist() == [CODES[stage] for stage in night.stages]
    assert hypnogram.start == night.session.start_utc
    assert hypnogram.sampling_frequency == pytest.approx(1 / 30)
    assert hypnogram.proba["UNS"].tolist() == [float(stage is None) for stage in night.stages]
    assert hypnogram.sleep_statistics()["TST"] == 3.5


def test_the_file_for_yasa_sums_to_one_and_has_no_column_that_it_does_not_need(
    night: Made, tmp_path: Path
) -> None:
    made = json.loads(exported(night, "yasa", "-yasa.json").read_text())
    sums = [sum(row) for row in zip(*made["proba"].values(), strict=True)]
    assert sums == pytest.approx([1.0] * N_EPOCHS)
    assert made["provenance"]["weights_sha256"] == WEIGHTS
    (tmp_path / "w").mkdir()
    made = json.loads(exported(whole(tmp_path / "w"), "yasa", "-yasa.json").read_text())
    assert list(made["proba"]) == ["WAKE", "N1", "N2", "N3", "REM"]


def test_visbrain_reads_the_stages(night: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exported(night, "visbrain", "-visbrain.txt")
    codes = [-1 if stage is None else CODES[stage] for stage in night.stages]
    assert list(map(int, path.read_text().split())) == codes
    description = path.with_name("n-visbrain_description.txt").read_text().splitlines()
    assert description[:7] == ["time 30", "W 0", "N1 1", "N2 2", "N3 3", "REM 4", "Art -1"]
    assert json.loads(description[7].removeprefix("# "))["command"] == COMMAND
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    visbrain = pytest.importorskip("visbrain.io.rw_hypno")
    read, rate_hz = visbrain.read_hypno(str(path))
    assert read.astype(int).tolist() == codes
    assert rate_hz == pytest.approx(1 / 30)


def luna(night: Made, file: Path) -> Any:
    """Attach ``file`` to the exported EDF in Luna, which then has no annotations of its own."""
    lunapi = pytest.importorskip("lunapi")
    project = lunapi.proj()
    project.silence(True)
    project.vars("skip-edf-annots", "T")
    person = project.inst(f"{file.name}")
    person.attach_edf(str(exported(night, "edf", ".edf")))
    person.attach_annot(str(file))
    person.eval("EPOCH & STAGE")
    return person


@pytest.mark.parametrize(("name", "ending"), [("luna-annot", ".annot"), ("nsrr-xml", "-nsrr.xml")])
def test_luna_reads_stages_and_marks(night: Made, name: str, ending: str) -> None:
    person = luna(night, exported(night, name, ending))
    found = person.table("STAGE", "E")
    assert found["STAGE"].tolist() == [stage or "?" for stage in night.stages]
    assert found["CLOCK_TIME"].tolist()[:2] == ["23:59:59", "00:00:29"]
    marks = person.fetch_annots(["lights_on"], -1)
    assert marks["Start"].tolist() == [300.0]


def test_luna_reads_the_list_of_epochs(tmp_path: Path) -> None:
    night = whole(tmp_path)
    person = luna(night, exported(night, "luna-eannot", ".eannot"))
    assert person.table("STAGE", "E")["STAGE"].tolist() == night.stages


def test_the_annotations_for_luna_are_a_table_whatever_a_note_says(night: Made) -> None:
    lines = exported(night, "luna-annot", ".annot").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    assert rows[0] == ["class", "instance", "channel", "start", "stop", "meta"]
    assert {len(row) for row in rows} == {6}
    stages = [row for row in rows if row[0] in ("W", "N1", "N2", "N3", "R", "?")]
    assert [row[0] for row in stages] == [stage or "?" for stage in night.stages]
    assert [float(row[3]) for row in stages] == [30.0 * i for i in range(N_EPOCHS)]
    notes = [row[1] for row in rows if row[0] == "note"]
    assert notes == [f"Note: {' '.join(NOTE.split())}", "Note: Sleep stage N3"]
    assert not [row for row in rows[1:] if float(row[3]) < 0]


def test_the_statistics_have_their_exact_names(night: Made) -> None:
    made = json.loads(exported(night, "json", "-statistics.json").read_text())
    numbers = made["statistics"]
    assert numbers["bounds"] == "lights"
    assert (numbers["trt_min"], numbers["tst_min"], numbers["w_min"]) == (5.0, 3.0, 1.0)
    assert numbers["lps_min"] is None
    assert made["epochs"] == {"total": 12, "scored": 10, "unscored": {"flat": 1, "missing": 1}}
    assert made["derivations"] == dict.fromkeys(night.session.channels, 6)
    assert [mark["seconds"] for mark in made["marks"]] == [-5.0, 61.25, 90.0, 300.0]
    assert made["provenance"]["clock"].startswith("local time")
    live = json.loads(exported(night, "json", "-live-statistics.json", Track.LIVE).read_text())
    assert live["statistics"]["w_min"] == 2.0
    assert live["provenance"]["track"] == "live"


def test_every_format_names_the_weights_and_the_command(tmp_path: Path) -> None:
    """In one of its files, whatever a program makes of the others."""
    night = whole(tmp_path)
    for name in FORMATS:
        exported(night, name, "")
        folder = night.path.parent / "out"
        files = [path for path in folder.rglob("*") if path.is_file()]
        content = b"".join(path.read_bytes() for path in files)
        assert WEIGHTS.encode() in content, name
        assert b"sleep-monitor live lsl" in content, name
        for path in files:
            path.unlink()


def test_a_change_of_the_clock_in_the_night_is_in_the_table(tmp_path: Path) -> None:
    """On 25 October 2026 at 3:00 the clocks of Berlin went back to 2:00."""
    night = make_night(tmp_path / "n.sqlite", datetime(2026, 10, 25, 0, 58, tzinfo=UTC))
    export_night(night.path, ExportOptions(["csv"], tmp_path), ZoneInfo("Europe/Berlin"))
    rows = list(csv.DictReader((tmp_path / "n.csv").read_text().splitlines()))
    assert rows[3]["clock"] == "2026-10-25T02:59:30+02:00"
    assert rows[4]["clock"] == "2026-10-25T02:00:00+01:00"
