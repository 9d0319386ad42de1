"""The BIDS dataset: names, tables and sidecars, and two nights in one dataset."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.exports.export import ExportOptions, export_night
from monitor.types import Track
from tests.exports.nights import N_EPOCHS, NOTE, WEIGHTS, ZONE, Made, make_night

START = "sub-ZoeB/ses-20261126T235959/eeg/sub-ZoeB_ses-20261126T235959_task-sleep"


@pytest.fixture
def night(tmp_path: Path) -> Made:
    return make_night(tmp_path / "n.sqlite")


def dataset(night: Made, track: Track = Track.REVISED) -> Path:
    export_night(night.path, ExportOptions(["bids"], night.path.parent, track), ZONE)
    return night.path.parent / "bids"


def test_events_are_stages_marks_and_losses_with_described_columns(night: Made) -> None:
    folder = dataset(night)
    with (folder / f"{START}_events.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    described = json.loads((folder / f"{START}_events.json").read_text())
    assert set(rows[0]) - {"onset", "duration"} == set(described) - {"StageAlgorithm"}
    assert {row["trial_type"] for row in rows} <= set(described["trial_type"]["Levels"])
    stages = [row for row in rows if row["duration"] == "30"]
    expected = ["unscored" if each is None else f"sleep_{each}" for each in night.stages]
    assert [row["trial_type"] for row in stages] == expected
    assert [float(row["onset"]) for row in stages] == [30.0 * i for i in range(N_EPOCHS)]
    assert [row["text"] for row in rows if row["trial_type"] == "note"] == [
        f"Note: {' '.join(NOTE.split())}",
        "Note: Sleep stage N3",
    ]
    assert [row["channel"] for row in rows if row["trial_type"] == "lost"][-1].startswith("AF8")


def test_the_recording_has_its_channels_and_its_provenance(night: Made) -> None:
    folder = dataset(night)
    made = json.loads((folder / f"{START}_eeg.json").read_text())
    assert (made["TaskName"], made["SamplingFrequency"]) == ("sleep", 100.0)
    assert made["Provenance"]["weights_sha256"] == WEIGHTS
    lines = (folder / f"{START}_channels.tsv").read_text().splitlines()
    assert [line.split("\t")[:3] for line in lines[1:]] == [
        ["EEG AF7-TP9", "EEG", "uV"],
        ["AF8, a?\"&<>'", "EEG", "uV"],
    ]


def test_two_nights_and_both_tracks_share_a_dataset(night: Made) -> None:
    folder = dataset(night)
    (folder / "dataset_description.json").write_text('{"Name": "mine"}')
    dataset(night, Track.LIVE)
    other = make_night(night.path.with_name("m.sqlite"), datetime(2026, 1, 2, tzinfo=UTC))
    dataset(other)
    assert len(list(folder.rglob("*_events.tsv"))) == 3
    assert json.loads((folder / "dataset_description.json").read_text())["Name"] == "mine"


def test_the_names_are_those_of_bids(night: Made) -> None:
    validator = pytest.importorskip("bids_validator").BIDSValidator()
    dataset(night, Track.LIVE)
    folder = dataset(night)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert [path for path in paths if not validator.is_bids(f"/{path.relative_to(folder)}")] == []


def test_mne_bids_reads_the_recording(night: Made) -> None:
    mne_bids = pytest.importorskip("mne_bids")
    (path,) = mne_bids.find_matching_paths(dataset(night), extensions=".edf")
    raw = mne_bids.read_raw_bids(path, verbose="error")
    found = [str(each["description"]) for each in raw.annotations if each["duration"] == 30]
    assert found == ["unscored" if each is None else f"sleep_{each}" for each in night.stages]
