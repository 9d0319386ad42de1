"""`sleep-monitor score` as a user types it: files, the table, the exit status, and resumption."""

from __future__ import annotations

import csv
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from monitor.clock import ManualClock
from monitor.config import ReplayOptions
from monitor.errors import MonitorError
from monitor.night.record import read_night
from monitor.scoring.finding import find_recordings
from monitor.scoring.folder import run_scoring
from monitor.scoring.options import ScoreOptions
from monitor.scoring.progress import progress
from monitor.scoring.row import COLUMNS
from monitor.scoring.table import SummaryTable
from monitor.sinks.epochs_csv import epochs_table
from monitor.sources.hypnogram_files import find_hypnogram
from offline_training.data.pairs import find_pairs
from tests.commands import run
from tests.nights import EXCERPT
from tests.scoring.recordings import hypnogram, noise

Command = Callable[..., int]


@pytest.fixture
def score(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs `sleep-monitor score` here and returns its exit status."""
    return lambda *arguments: run("score", *arguments, monkeypatch=monkeypatch)


def table(folder: Path) -> dict[str, dict[str, str]]:
    """Return the rows of summary.csv by file."""
    with (folder / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(tuple(row) == COLUMNS for row in rows)
    return {row["file"]: row for row in rows}


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# One recording


def test_one_recording_is_shown_and_its_table_lies_beside_it(
    tmp_path: Path,
    score: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "excerpt.edf"
    path.write_bytes(EXCERPT.read_bytes())
    assert score(path) == 0
    shown = capsys.readouterr().out
    assert names(tmp_path) == ["excerpt-scored.csv", "excerpt-scored.csv.json", "excerpt.edf"]
    store = tmp_path / "night.sqlite"
    replay = ("replay", path, "--no-redis", "--no-dashboard", "--store", store)
    assert run(*replay, monkeypatch=monkeypatch) == 0
    summary = shown[shown.index(" TRT ") :]
    # A stored night has events that wait; a scored one has none to send.
    assert summary.replace(" not sent anywhere", "") in capsys.readouterr().out.replace(
        " not sent anywhere", ""
    )
    record = read_night(store)
    expected = epochs_table(record.session, record.live, record.revised, is_live=False)
    assert (tmp_path / "excerpt-scored.csv").read_bytes() == expected.encode()
    assert score(path) == 0  # once more: its own files are replaced
    assert find_hypnogram(path) is None


def test_a_file_that_is_not_ours_is_kept(
    tmp_path: Path, score: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    path, other = noise(tmp_path / "n.edf"), tmp_path / "n-scored.csv"
    other.write_text("my notes")
    assert score(path) == 1
    assert f"{other} is not from sleep-monitor: move it away" in capsys.readouterr().err
    assert score(path, "--out", tmp_path / "out") == 0
    assert other.read_text() == "my notes"
    assert names(tmp_path / "out") == ["n-scored.csv", "n-scored.csv.json", "summary.csv"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["none.edf"], 2, "none.edf does not exist"),
        (["empty.edf"], 1, "empty.edf is empty"),
        (["notes.txt"], 2, "notes.txt has no format that the monitor reads"),
        (["X-Hypnogram.edf"], 2, "holds annotations and no signals"),
        (["folder"], 2, "there is no recording in folder"),
        (["empty.edf", "--to", "xls"], 2, "--to 'xls' is no format"),
        (["empty.edf", "--hypnograms", "all"], 2, "--hypnograms must be auto or none, got 'all'"),
        (["empty.edf", "--weights", "none.safetensors"], 2, "none"),
        (["empty.edf", "--jobs", "0"], 2, "--jobs"),
    ],
    ids=str,
)
def test_what_cannot_be_scored_is_named(
    arguments: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    score: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.edf").touch()
    (tmp_path / "notes.txt").write_text("notes")
    hypnogram(tmp_path / "X-Hypnogram.edf", ["W"])
    (tmp_path / "folder").mkdir()
    before = names(tmp_path)
    assert score(*arguments) == status
    assert message in capsys.readouterr().err
    assert names(tmp_path) == before


# Many


def test_a_folder_is_done_but_for_the_broken_ones_and_what_is_left_later(
    tmp_path: Path,
    score: Command,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    folder = tmp_path / "data"
    for name, seed in (("a.edf", 1), ("sub/a.edf", 2), ("sub/b-PSG.edf", 3)):
        noise(folder / name, seed)
    hypnogram(folder / "sub" / "b-Hypnogram.edf", ["W", "N1", "N2", "N2"])
    (folder / "broken.edf").write_bytes((folder / "a.edf").read_bytes()[:300])
    (folder / "notes.txt").write_text("notes")
    command = (folder, "--recursive", "--jobs", "2")

    assert score(*command) == 1
    said = capsys.readouterr()
    assert f"failed: {folder / 'broken.edf'} is damaged" in said.out
    assert "1 of 4 recordings could not be staged" in said.err
    assert "[4/4] " in caplog.text
    rows = table(folder)
    assert list(rows) == ["a.edf", "broken.edf", "sub/a.edf", "sub/b-PSG.edf"]
    assert [row["status"] for row in rows.values()] == ["done", "failed", "done", "done"]
    assert rows["broken.edf"]["reason"].startswith("is damaged")
    assert (rows["broken.edf"]["output"], rows["sub/a.edf"]["output"]) == ("", "sub/a-scored")
    compared = rows["sub/b-PSG.edf"]
    assert (compared["expert"], compared["epochs_compared"]) == ("b-Hypnogram.edf", "4")
    assert 0.0 <= float(compared["accuracy"]) <= 1.0
    assert rows["a.edf"]["accuracy"] == ""
    assert (folder / "sub" / "a-scored.csv").is_file()

    # Again: only the broken one. Mended, it is done; changed, another one is done anew.
    caplog.clear()
    assert score(*command) == 1
    assert "[1/1] " in caplog.text
    noise(folder / "broken.edf", 4)
    noise(folder / "a.edf", 5, minutes=3)
    assert score(*command) == 0
    assert "2 of 4 recordings are done and unchanged" in caplog.text
    assert table(folder)["a.edf"]["epochs"] == "6"
    before = (folder / "summary.csv").read_bytes()
    capsys.readouterr()
    assert score(*command) == 0
    assert "nothing is staged again" in capsys.readouterr().out
    assert (folder / "summary.csv").read_bytes() == before
    # Other options, and a file that was deleted.
    assert score(*command, "--gain", "unknown", "--hypnograms", "none") == 0
    assert {row["gain"] for row in table(folder).values()} == {"unknown"}
    assert table(folder)["sub/b-PSG.edf"]["accuracy"] == ""
    (folder / "a-scored.csv").unlink()
    caplog.clear()
    assert score(*command, "--gain", "unknown", "--hypnograms", "none") == 0
    assert "[1/1] " in caplog.text
    assert [name for name in names(folder) if ".lock" in name or ".part" in name] == []


def test_equal_names_do_not_collide_in_a_folder_for_all(tmp_path: Path, score: Command) -> None:
    first, second = noise(tmp_path / "a" / "n.edf", 1), noise(tmp_path / "b" / "N.edf", 2, 3.0)
    out = tmp_path / "out"
    assert score(second, "--out", out) == 0
    assert score(first, "--out", out, "--to", "hypnogram-edf,csv") == 0
    for folder in (first, second):
        folder.parent.chmod(0o500)  # nothing is written there
    try:
        assert score(tmp_path / "a", tmp_path / "b", "--out", out) == 0
    finally:
        for folder in (first, second):
            folder.parent.chmod(0o700)
    rows = table(out)
    assert {row["output"]: row["epochs"] for row in rows.values()} == {
        "N-scored": "6",
        "n-2-scored": "4",
    }
    assert len((out / "N-scored.csv").read_text().splitlines()) == 7
    assert len((out / "n-2-scored.csv").read_text().splitlines()) == 5
    assert stat.S_IMODE((out / "summary.csv").stat().st_mode) == 0o600
    assert names(tmp_path / "a") == ["n.edf"]


def test_equal_stems_in_a_folder_do_not_collide(tmp_path: Path, score: Command) -> None:
    for n, name in enumerate(("X.edf", "X.bdf", "Y.edf")):
        noise(tmp_path / "whole.edf", n, minutes=2.0 + n).rename(tmp_path / name)
    recordings = names(tmp_path)
    epochs = {"X.edf-scored.csv": 4, "X.bdf-scored.csv": 6, "Y-scored.csv": 8}
    for name in recordings:  # one by one, and then together: the same names
        assert score(tmp_path / name, "--to", "csv") == 0
    written = names(tmp_path)
    assert score(tmp_path) == 0
    assert names(tmp_path) == sorted([*written, "summary.csv"])
    for name, n_epochs in epochs.items():
        assert len((tmp_path / name).read_text().splitlines()) == 1 + n_epochs


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-8")])
def test_a_table_that_a_spreadsheet_saved_is_read(
    delimiter: str, encoding: str, tmp_path: Path, score: Command, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    noise(tmp_path / "a.edf")
    noise(tmp_path / "b.edf", 2)
    assert score(tmp_path) == 0
    path = tmp_path / "summary.csv"
    whole = path.read_bytes()
    rows = list(csv.reader(whole.decode().splitlines()))
    rows[1][COLUMNS.index("tst_min")] = "1,0"  # it took this number for another one
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    caplog.clear()
    assert score(tmp_path) == 0
    assert "[1/1] " in caplog.text and "a.edf: 4 epochs" in caplog.text
    assert path.read_bytes() == whole


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that cannot be written")
def test_the_files_are_written_although_the_summary_cannot_be_printed(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.edf")
    options = ScoreOptions((path,), ReplayOptions(path, no_redis=True))
    # What could not be written fails once more when the file is closed.
    with (
        suppress(OSError),
        Path("/dev/full").open("w", buffering=1) as full,
        pytest.raises(MonitorError, match="cannot print the summary"),
    ):
        run_scoring(options, Console(file=full), Console(), ManualClock(), threading.Event())
    assert names(tmp_path) == ["a-scored.csv", "a-scored.csv.json", "a.edf"]


def test_the_table_of_another_program_is_kept(
    tmp_path: Path, score: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    noise(tmp_path / "a.edf")
    (tmp_path / "summary.csv").write_text("file,my,columns\n1,2,3\n")
    assert score(tmp_path) == 2
    assert "summary.csv is not from sleep-monitor score" in capsys.readouterr().err
    assert names(tmp_path) == ["a.edf", "summary.csv"]
    assert (tmp_path / "summary.csv").read_text() == "file,my,columns\n1,2,3\n"


# Finding


def test_recordings_are_found_by_content_each_once(tmp_path: Path, score: Command) -> None:
    a = noise(tmp_path / "a.edf")
    noise(tmp_path / "SC4001E0-PSG.edf", 2)
    unnamed = noise(tmp_path / "b.edf", 3).rename(tmp_path / "unnamed")
    hypnogram(tmp_path / "SC4001EC-Hypnogram.edf", ["W", "N1", "N2", "N2"])
    hypnogram(tmp_path / "stages.edf", ["W"])
    (tmp_path / ".hidden.edf").write_bytes(a.read_bytes())
    (tmp_path / "link.edf").symlink_to(a)
    (tmp_path / "loop.edf").symlink_to("loop.edf")
    (tmp_path / "gone.edf").symlink_to("nowhere.edf")
    noise(tmp_path / "deeper" / "c.edf", 4)
    here = [a, tmp_path / "SC4001E0-PSG.edf", unnamed]
    # The monitor's own recordings and hypnograms are neither recordings nor an expert's stages.
    for path in here[:2]:
        assert score(path, "--to", "all") == 0
    assert sorted(find_recordings([tmp_path])) == sorted(here)
    assert sorted(find_recordings([a, tmp_path, a])) == sorted(here)
    everything = find_recordings([tmp_path], recursive=True)
    assert sorted(everything) == sorted([*here, tmp_path / "deeper" / "c.edf"])
    assert find_hypnogram(here[1]) == tmp_path / "SC4001EC-Hypnogram.edf"
    assert find_hypnogram(a) is None


def test_a_folder_that_is_one_recording_is_found_and_not_searched(tmp_path: Path) -> None:
    for folder in ("night.mff", "night.mff/inside.mefd", "nights"):
        (tmp_path / folder).mkdir()
    noise(tmp_path / "night.mff" / "part.edf")
    noise(tmp_path / "nights" / "other.edf")
    found = find_recordings([tmp_path], recursive=True)
    assert [str(path.relative_to(tmp_path)) for path in found] == ["night.mff", "nights/other.edf"]
    assert find_recordings([tmp_path / "night.mff"]) == [tmp_path / "night.mff"]
    assert [pair.recording for pair in find_pairs(tmp_path)] == found


def test_names_may_hold_anything(
    tmp_path: Path, score: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [
        "sub.01.edf",
        "sub.02.edf",
        'a,"b"\n.edf',
        os.fsdecode(b"\xff.edf"),
        "=1+1.edf",
        "X-PSG.EDF",
    ]
    for n, name in enumerate(odd):
        noise(tmp_path / "whole.edf", n).rename(tmp_path / name)
    (tmp_path / os.fsdecode(b"\xfe.edf")).touch()
    assert score(tmp_path) == 1
    with (tmp_path / "summary.csv").open(newline="", errors="surrogateescape") as file:
        rows = {row["file"]: row["status"] for row in csv.DictReader(file)}
    assert rows == dict.fromkeys(odd, "done") | {os.fsdecode(b"\xfe.edf"): "failed"}
    assert all((tmp_path / f"{name[:-4]}-scored.csv").is_file() for name in odd)
    done = (tmp_path / "summary.csv").read_bytes()
    (tmp_path / os.fsdecode(b"\xfe.edf")).unlink()
    assert score(tmp_path) == 0
    assert "nothing is staged again" in capsys.readouterr().out
    assert (tmp_path / "summary.csv").read_bytes() == done


# Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_is_done_stays_after_an_interruption(
    number: signal.Signals, tmp_path: Path, score: Command
) -> None:
    """Ctrl-C reaches every process of the terminal, a kill the first one alone."""
    for n in range(8):
        noise(tmp_path / f"n{n}.edf", n, minutes=30.0)
    command = [sys.executable, "-m", "monitor.cli", "score", str(tmp_path), "--jobs", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[2/8]"):
            break
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
        assert process.wait(30) == 130
        assert "interrupted; what is done is kept" in process.stderr.read()
        assert [name for name in names(tmp_path) if name.endswith((".lock", ".part"))] == []
    else:
        process.kill()
        process.wait(30)
    process.stderr.close()
    done = [row for row in table(tmp_path).values() if row["status"] == "done"]
    assert 2 <= len(done) < 8
    began_s = time.time()
    assert score(tmp_path, "--jobs", "1") == 0
    assert [row["status"] for row in table(tmp_path).values()] == ["done"] * 8
    written = {name: (tmp_path / name).stat().st_mtime for name in names(tmp_path)}
    kept = [name for row in done if written[name := row["output"] + ".csv"] < began_s]
    assert len(kept) == len(done)


def test_a_process_that_is_killed_costs_one_recording(tmp_path: Path) -> None:
    for n in range(3):
        noise(tmp_path / f"n{n}.edf", n, minutes=120.0)
    command = [sys.executable, "-m", "monitor.cli", "score", str(tmp_path), "--jobs", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[1/3]"):
            break
    (worker,) = [
        each
        for each in psutil.Process(process.pid).children()
        if "spawn_main" in " ".join(each.cmdline())
    ]
    worker.kill()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "its process was killed; if memory is short, use fewer --jobs" in out
    statuses = [row["status"] for row in table(tmp_path).values()]
    assert sorted(statuses) == ["done", "done", "failed"]


def test_a_terminal_shows_a_bar_and_a_line_for_each_recording() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=100)
    with progress(console, 2) as show:
        show("a.edf: 960 epochs", 0)
        show("b.edf: failed: is empty", 1)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "a.edf: 960 epochs" in text and "b.edf: failed: is empty" in text
    assert "2/2" in text and "1 failed" in text and "left:" in text


def test_one_run_at_a_time_writes_a_table(
    tmp_path: Path, score: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    noise(tmp_path / "a.edf")
    with SummaryTable(tmp_path):
        assert score(tmp_path) == 2
    assert "another sleep-monitor score writes" in capsys.readouterr().err


def test_a_row_that_a_kill_left_unfinished_is_done_again(tmp_path: Path, score: Command) -> None:
    noise(tmp_path / "a.edf")
    noise(tmp_path / "b.edf", 2)
    assert score(tmp_path) == 0
    whole = (tmp_path / "summary.csv").read_bytes()
    (tmp_path / "summary.csv").write_bytes(whole[:-40])
    assert score(tmp_path) == 0
    assert (tmp_path / "summary.csv").read_bytes() == whole
