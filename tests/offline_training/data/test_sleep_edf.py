"""`sleep-train prepare sleep-edf` on nights in its format: pairs, trim, checks, resuming."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from offline_training.data.licences import ODC_BY, may_ship
from offline_training.data.prepared import load_prepared
from offline_training.data.sleep_edf import CHECKSUMS, Published, read_checksums
from tests.offline_training.data.nights import NIGHT_STAGES, sleep_edf_night, write_checksums
from tests.offline_training.program import Program


class DataSet:
    """A data set on disk, its checksums, and the command that prepares it."""

    def __init__(self, folder: Path, program: Program) -> None:
        self.root, self.out = folder / "sleep-edfx", folder / "prepared"
        self.table, self._program = folder / "checksums.csv", program

    def publish(self, *nights: str) -> None:
        for seed, psg in enumerate(nights):
            sleep_edf_night(self.root, psg, seed=seed)
        write_checksums(self.root, self.table)

    def prepare(self, *options: str) -> tuple[int, str, str]:
        return self._program(
            "prepare",
            "sleep-edf",
            *("--root", str(self.root), "--out", str(self.out)),
            *("--checksums", str(self.table), "--jobs", "1", *options),
        )


@pytest.fixture
def data(tmp_path: Path, sleep_train: Program) -> DataSet:
    return DataSet(tmp_path, sleep_train)


def test_the_table_covers_the_whole_data_set() -> None:
    table = read_checksums(CHECKSUMS)
    by_set = {s: [f for f in table if f.dataset == s] for s in {f.dataset for f in table}}
    assert {name: len(files) for name, files in by_set.items()} == {
        "sleep-edf-cassette": 2 * 153,
        "sleep-edf-telemetry": 2 * 44,
    }
    assert len({f.name[:6] for f in table}) == 153 + 44
    assert {f.path.partition("/")[0] for f in table} == {"sleep-cassette", "sleep-telemetry"}
    assert Published("sleep-cassette/SC4001EC-Hypnogram.edf", table[1].sha256, 4620) == table[1]


def test_nights_are_paired_scored_and_untouched_without_trim(data: DataSet) -> None:
    data.publish("SC4001E0")
    code, stdout, _ = data.prepare("--wake-min", "all")
    assert code == 0
    (night,) = load_prepared(data.out)
    assert (night.name, night.dataset) == ("SC4001", "sleep-edf-cassette")
    assert night.stage.tolist() == NIGHT_STAGES
    assert night.usable.all()
    assert night.epochs_uv(0, 13).shape == (13, 3000)
    assert may_ship(night.licence)
    assert "nothing cut off" in stdout
    assert "13 epochs: W 7, N1 1, N2 1, N3 2, R 1, not scored 1; unusable 0" in stdout


def test_wake_around_sleep_is_cut_to_the_requested_minutes(data: DataSet) -> None:
    data.publish("SC4001E0")
    data.prepare("--wake-min", "all")
    (whole,) = load_prepared(data.out)
    epochs_uv = whole.epochs_uv(0, 13)
    code, stdout, _ = data.prepare("--wake-min", "1")
    (night,) = load_prepared(data.out)
    assert code == 0
    assert "1 min of wake kept around sleep" in stdout
    assert night.card.wake_min == 1.0
    assert night.card.first_epoch == 2
    assert night.stage.tolist() == NIGHT_STAGES[2:12]
    assert np.array_equal(night.epochs_uv(0, 10), epochs_uv[2:12])
    assert json.loads((data.out / "index.json").read_text())["recordings"][0]["wake_min"] == 1.0


def test_the_same_number_in_both_studies_is_two_people(data: DataSet) -> None:
    data.publish("SC4011E0", "SC4012E0", "ST7011J0")
    assert data.prepare("--set", "both")[0] == 0
    found = {night.name: (night.dataset, night.subject) for night in load_prepared(data.out)}
    assert found == {
        "SC4011": ("sleep-edf-cassette", "sleep-edf-cassette-01"),
        "SC4012": ("sleep-edf-cassette", "sleep-edf-cassette-01"),
        "ST7011": ("sleep-edf-telemetry", "sleep-edf-telemetry-01"),
    }
    assert {night.licence for night in load_prepared(data.out)} == {ODC_BY}


def test_only_the_requested_study_is_prepared(data: DataSet) -> None:
    data.publish("SC4001E0", "ST7011J0")
    assert data.prepare("--set", "telemetry")[0] == 0
    assert [night.name for night in load_prepared(data.out)] == ["ST7011"]


def test_a_prepared_night_is_kept_until_input_or_options_change(data: DataSet) -> None:
    data.publish("SC4001E0", "SC4002E0")
    assert "(2 prepared now, 0 already there)" in data.prepare()[1]
    assert "(0 prepared now, 2 already there)" in data.prepare()[1]
    # As after copying the file: another modification time, the same content.
    os.utime(data.root / "sleep-cassette" / "SC4001E0-PSG.edf")
    assert "(0 prepared now, 2 already there)" in data.prepare()[1]
    assert "(2 prepared now, 0 already there)" in data.prepare("--channel", "EEG Pz-Oz")[1]
    assert {night.card.channel for night in load_prepared(data.out)} == {"EEG Pz-Oz"}
    # As after an interruption between samples and card: only that night is prepared again.
    (data.out / "sleep-edf-cassette" / "SC4002.json").unlink()
    again = data.prepare("--channel", "EEG Pz-Oz")
    assert "(1 prepared now, 1 already there)" in again[1]


def test_the_published_file_is_chosen_among_files_of_one_name(data: DataSet) -> None:
    data.publish("SC4001E0")
    for file in sorted((data.root / "sleep-cassette").iterdir()):
        wrong = bytearray(file.read_bytes())
        wrong[-1] ^= 1
        for folder in ("before", "zz-after"):
            (data.root / folder).mkdir(exist_ok=True)
            (data.root / folder / file.name).write_bytes(wrong)
    assert "(1 prepared now, 0 already there)" in data.prepare()[1]


def test_bad_nights_are_listed_and_left_out(data: DataSet) -> None:
    data.publish("SC4001E0", "SC4002E0", "SC4011E0", "SC4012E0", "SC4021E0")
    folder = data.root / "sleep-cassette"
    changed = bytearray((folder / "SC4002E0-PSG.edf").read_bytes())
    changed[-1] ^= 1
    (folder / "SC4002E0-PSG.edf").write_bytes(changed)
    cut = (folder / "SC4011E0-PSG.edf").read_bytes()[:-100]
    (folder / "SC4011E0-PSG.edf").write_bytes(cut)
    (folder / "SC4012EC-Hypnogram.edf").unlink()
    (folder / "SC4021E0-PSG.edf").unlink()
    (folder / "SC4021EC-Hypnogram.edf").unlink()
    code, stdout, stderr = data.prepare()
    assert code == 0
    assert [night.name for night in load_prepared(data.out)] == ["SC4001"]
    assert "3 of 10 files are missing" in stderr
    assert "add --download" in stderr
    assert "left out 3:" in stdout
    reasons = {line.split()[0]: line for line in stdout.splitlines() if line.startswith("  ")}
    assert "is not the published file" in reasons["SC4002"]
    assert f"has {len(cut)} bytes, published are {len(cut) + 100}" in reasons["SC4011"]
    assert "SC4012EC-Hypnogram.edf is missing" in reasons["SC4012"]


def test_a_night_with_another_published_checksum_is_left_out(data: DataSet) -> None:
    data.publish("SC4001E0", "SC4002E0")
    data.prepare()
    lines = data.table.read_text().splitlines()
    lines[1] = lines[1].replace(lines[1].split(",")[1], 64 * "0")
    data.table.write_text("\n".join(lines))
    assert "SC4001E0-PSG.edf is not the published file" in data.prepare()[1]
    assert [night.name for night in load_prepared(data.out)] == ["SC4002"]


def test_a_prepared_night_whose_source_is_damaged_is_no_longer_listed(data: DataSet) -> None:
    data.publish("SC4001E0", "SC4002E0")
    data.prepare()
    path = data.root / "sleep-cassette" / "SC4002EC-Hypnogram.edf"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert data.prepare()[0] == 0
    assert [night.name for night in load_prepared(data.out)] == ["SC4001"]


def test_nothing_prepared_fails(data: DataSet) -> None:
    data.publish("SC4001E0")
    code, stdout, stderr = data.prepare("--channel", "C3-A2")
    assert code == 1
    assert "there is no channel 'C3-A2'" in stdout
    assert stderr.endswith("error: no recording was prepared: see above for what is wrong\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--wake-min", "-1"), "--wake-min must be minutes of 0 or more, or all, got '-1'"),
        (("--wake-min", "some"), "--wake-min must be minutes of 0 or more, or all, got 'some'"),
        (("--root", "nowhere"), "--root nowhere is not a folder: add --download"),
        (("--set", "telemetry"), "lists no file of --set telemetry"),
        (("--checksums", "nowhere.csv"), "nowhere.csv cannot be read"),
        (("--download", "--base-url", "ftp://host/"), "--base-url must begin with https://"),
    ],
)
def test_wrong_use_is_one_line(data: DataSet, options: tuple[str, ...], message: str) -> None:
    data.publish("SC4001E0")
    code, _, stderr = data.prepare(*options)
    assert code == 2
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    assert message in stderr


def test_a_table_cannot_reach_outside_its_folder(data: DataSet, tmp_path: Path) -> None:
    data.publish("SC4001E0")
    table = tmp_path / "evil.csv"
    table.write_text("path,sha256,bytes\n../SC4001E0-PSG.edf,00,1\n")
    assert "outside the data set's folder" in data.prepare("--checksums", str(table))[2]
    table.write_text("name,md5\na,b\n")
    assert "is not a table of path,sha256,bytes" in data.prepare("--checksums", str(table))[2]


def test_several_processes_give_the_same_result_as_one(data: DataSet) -> None:
    data.publish("SC4001E0", "SC4002E0")
    data.prepare()
    alone = {night.name: night.card.sha256 for night in load_prepared(data.out)}
    (data.out / "sleep-edf-cassette" / "SC4001.json").unlink()
    (data.out / "sleep-edf-cassette" / "SC4002.json").unlink()
    assert "(2 prepared now" in data.prepare("--jobs", "2")[1]
    assert {night.name: night.card.sha256 for night in load_prepared(data.out)} == alone


def test_an_out_folder_that_cannot_be_created_is_one_line(data: DataSet, tmp_path: Path) -> None:
    data.publish("SC4001E0")
    (tmp_path / "file").write_text("")
    code, _, stderr = data.prepare("--out", str(tmp_path / "file" / "out"))
    assert code == 2
    assert "cannot be written" in stderr
    assert stderr.count("\n") == 1
