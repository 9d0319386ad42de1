"""Options and folder of an export, and nights that are damaged or go on."""

from __future__ import annotations

import json
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from models.files import PART
from monitor.cli.program import command_line, main
from monitor.errors import InputError, MonitorError
from monitor.exports.export import ExportOptions, export_night
from monitor.exports.formats import ALL, FORMATS
from monitor.night.record import read_night
from monitor.night.store import NightStore
from monitor.sources.derivation import choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.sources.expert import expert_hypnogram
from monitor.sources.hypnogram import stages_on_grid
from monitor.types import Reason
from tests.exports.nights import MISSING, Made, make_night
from tests.full_disk import disk_of
from tests.nights import Nights, excerpt_uv, stages_of, whole_chunks


@pytest.fixture
def night(tmp_path: Path) -> Made:
    return make_night(tmp_path / "n.sqlite")


def run(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["sleep-monitor", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_the_command_writes_the_formats_it_is_asked_for(
    night: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = night.path.parent / "new" / "out"
    command = ("nights", "export", night.path, "--to", "csv, json", "--to", "yasa", "--out", out)
    assert run(*command, monkeypatch=monkeypatch) == 0
    names = ["n-statistics.json", "n-yasa.json", "n.csv", "n.csv.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    # The same once more: nothing is replaced unless that is asked for.
    (out / "n.csv").write_text("mine")
    assert run(*command, monkeypatch=monkeypatch) == 2
    assert "n.csv and 3 more files exist already" in capsys.readouterr().err
    assert (out / "n.csv").read_text() == "mine"
    assert run(*command, "--overwrite", monkeypatch=monkeypatch) == 0
    assert (out / "n.csv").read_text().startswith("epoch")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to write: --to FORMAT"),
        (["--to", "edf", "--output", "x.csv"], "say what to write: --to FORMAT"),
        (["--to", "edf,xls"], "--to 'xls' is no format: choose edf, hypnogram-edf, csv"),
        (["--to", "csv", "--track", "both"], "--track must be revised or live, got 'both'"),
        (["--to", "luna-eannot"], "1 epochs of this night are missing: choose luna-annot"),
        (
            ["--to", "csv", "--out", "n.sqlite"],
            "--out n.sqlite cannot be used: n.sqlite is not a folder",
        ),
        (["--to", "csv", "--out", "n.sqlite/x"], "n.sqlite is not a folder"),
        (["--to", "csv", "--out", "x" * 300], "File name too long"),
    ],
)
def test_a_wrong_command_writes_nothing(
    arguments: list[str],
    message: str,
    night: Made,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(night.path.parent)
    before = sorted(night.path.parent.iterdir())
    assert run("nights", "export", "n.sqlite", *arguments, monkeypatch=monkeypatch) == 2
    assert message in capsys.readouterr().err
    assert sorted(night.path.parent.iterdir()) == before


def test_all_passes_over_what_cannot_hold_the_night(
    night: Made, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    written = export_night(night.path, ExportOptions([ALL], night.path.parent / "out"))
    assert "Left out: luna-eannot has a line for each epoch and no gaps" in caplog.text
    assert not list((night.path.parent / "out").glob("*.eannot*"))
    assert len(written) == sum(len(each.files) for each in FORMATS.values()) - 2 + 2
    assert all(path.is_file() for path in written)
    assert not list(night.path.parent.rglob(f"*{PART}"))


def test_a_damaged_night_exports_what_is_sound(night: Made) -> None:
    with closing(sqlite3.connect(night.path)) as other, other:
        other.execute("UPDATE epoch SET signal_uv = zeroblob(24000) WHERE epoch_index = 2")
        other.execute("UPDATE prediction SET stage = 'R' WHERE epoch_index = 6 AND track='revised'")
    out = night.path.parent / "out"
    with pytest.raises(MonitorError, match="2 epochs were left out: 2, 6") as error:
        export_night(night.path, ExportOptions([ALL], out))
    assert error.value.exit_code == 1
    rows = [line.split(",")[0] for line in (out / "n.csv").read_text().splitlines()[1:]]
    assert rows == [str(index) for index in range(12) if index not in (2, 6)]
    recording = EdfRecording.open(out / "n.edf")
    read = {
        int(time_s)
        for chunk in recording.chunks(choose_derivation(recording.channels))
        for time_s in (chunk.times_s - recording.first_sample_s + 1e-4) // 30
    }
    assert read == set(range(12)) - {2, 6, MISSING}
    for file in (out / "n.edf", out / "n-nsrr.xml", out / "n-profusion.xml"):
        hypnogram = expert_hypnogram(recording, file)
        assert hypnogram is not None
        first_s = 0.0 if file.suffix == ".xml" else recording.first_sample_s
        found = stages_on_grid(hypnogram, first_s, 12)
        assert list(found) == [s if i not in (2, 6) else None for i, s in enumerate(night.stages)]


def test_a_night_that_goes_on_is_exported_as_it_is(tmp_path: Path) -> None:
    night = make_night(tmp_path / "n.sqlite", ended=False)
    with closing(NightStore.open(night.path)):
        export_night(night.path, ExportOptions(["edf", "json"], tmp_path / "out"))
    assert EdfRecording.open(tmp_path / "out" / "n.edf").duration_s == pytest.approx(360, abs=1)
    made = json.loads((tmp_path / "out" / "n-statistics.json").read_text())
    assert made["provenance"]["complete"] is False


def test_a_night_without_an_epoch_is_no_input(tmp_path: Path) -> None:
    night = make_night(tmp_path / "n.sqlite", n_epochs=0)
    with pytest.raises(InputError, match="holds no epoch yet"):
        export_night(night.path, ExportOptions(["edf"], tmp_path))


def test_a_night_without_any_sample_is_exported(tmp_path: Path) -> None:
    uv = np.full((2, 3000), np.nan, np.float32)
    night = make_night(tmp_path / "n.sqlite", n_epochs=1, signal_uv=uv, stages=[None])
    out = tmp_path / "out"
    export_night(night.path, ExportOptions([ALL], out))
    recording = EdfRecording.open(out / "n.edf")
    assert list(recording.chunks(choose_derivation(recording.channels))) == []


def test_a_full_disk_leaves_no_part_of_a_file(night: Made) -> None:
    out = night.path.parent / "out"
    with disk_of(8192), pytest.raises(MonitorError, match=r"cannot write .*n\.edf: .*whole"):
        export_night(night.path, ExportOptions(["csv", "edf"], out))
    assert sorted(path.name for path in out.iterdir()) == ["n.csv", "n.csv.json"]


def test_a_replay_of_an_exported_recording_is_the_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal is conditioned twice. Ten minutes of real sleep with a gap: the stages are equal.

    The gap is missing again, and not flat.
    """
    uv = excerpt_uv()[:, 61_001 : 61_001 + 20 * 3000]
    chunks = whole_chunks(uv, 3000)
    with Nights(tmp_path) as nights:
        store = nights.run([*chunks[:8], *chunks[10:]], origin_s=0.0)
        first = stages_of(store)
    export_night(tmp_path / "night.sqlite", ExportOptions(["edf"], tmp_path / "out"))
    again = tmp_path / "again.sqlite"
    command = ("replay", tmp_path / "out" / "night.edf", "--no-redis", "--no-dashboard")
    assert run(*command, "--store", again, monkeypatch=monkeypatch) == 0
    record = read_night(again)
    assert [each.stage for each in record.live] == first
    assert [each.reason for each in record.live if each.stage is None] == [Reason.MISSING] * 2
    assert record.stored.command.startswith("sleep-monitor replay ")
    assert len(record.stored.weights_sha256) == 64


def test_the_command_in_the_file_has_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "replay", "n.edf", "--redis", "redis://me:pw@host:1/0"])
    assert command_line() == "sleep-monitor replay n.edf --redis redis://...@host:1/0"
