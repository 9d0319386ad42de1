"""The table of epochs: refused before the night if it cannot be written, and written whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from models.contract import Stage
from models.files import PART
from monitor.errors import InputError, MonitorError
from monitor.sinks.epochs_csv import EpochTable, check_writable, epochs_table, write_epochs
from monitor.types import Reason, Track
from tests.night.stored import SESSION
from tests.sinks.peers import scored, unscored


@pytest.fixture
def strict_umask() -> Iterator[None]:
    """The umask of the monitor as a service: new files are for their owner alone."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_one_row_an_epoch_with_the_revised_stage_and_the_live_one(tmp_path: Path) -> None:
    table = tmp_path / "night.csv"
    live = [scored(0, Stage.W), unscored(1, Reason.MAINS)]
    revised = [scored(0, Stage.N1, Track.REVISED), live[1]]
    write_epochs(table, SESSION, live, revised, is_live=False)
    assert table.read_bytes().decode().split("\r\n") == [
        "epoch,start_s,stage,live_stage,p_w,p_n1,p_n2,p_n3,p_r,confidence,reason,clock,code",
        "0,10.01,N1,W,0.05,0.8,0.05,0.05,0.05,0.8,,2026-01-01T22:00:00,1",
        "1,40.01,?,?,,,,,,,mains,2026-01-01T22:00:30,-2",
        "",
    ]


def test_a_live_table_has_the_same_columns_with_the_same_meaning() -> None:
    """Seconds from the start of what was recorded, and the clock: here with its offset from UTC."""
    one = [scored(0, Stage.W)]
    zone = timezone(timedelta(hours=2))
    text = epochs_table(SESSION, one, one, is_live=True, timezone=zone)
    assert (
        text.splitlines()[1] == "0,0.0,W,W,0.8,0.05,0.05,0.05,0.05,0.8,,2026-01-02T00:00:00+02:00,0"
    )


def test_only_the_user_may_read_a_new_table_and_an_existing_one_keeps_its_mode(
    tmp_path: Path, strict_umask: None
) -> None:
    table = tmp_path / "night.csv"
    write_epochs(table, SESSION, [], [], is_live=False)
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    table.chmod(0o644)
    write_epochs(table, SESSION, [], [], is_live=False)
    assert stat.S_IMODE(table.stat().st_mode) == 0o644


def test_a_check_leaves_nothing_behind_and_the_old_table_as_it_is(tmp_path: Path) -> None:
    table = tmp_path / "night.csv"
    table.write_text("old")
    check_writable(table, [tmp_path / "night.sqlite"])
    assert table.read_text() == "old"
    assert list(tmp_path.iterdir()) == [table]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/night.csv", "No such file or directory; name another"),
        (".", "it is not a file; name one"),
        ("x" * 255, "File name too long; name another"),
        ("night.sqlite", "is a file that this run needs; name another"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_before_the_night(
    name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        check_writable(tmp_path / name, [tmp_path / "night.sqlite"])
    assert list(tmp_path.iterdir()) == []


def test_the_unfinished_table_must_not_overwrite_a_file_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a file that this run needs"):
        check_writable(tmp_path / "night", [tmp_path / f"night{PART}"])


def test_a_table_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(MonitorError, match=r"cannot write --output .* the night is stored"):
        write_epochs(tmp_path / "missing" / "night.csv", SESSION, [], [], is_live=False)
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_current_after_each_epoch_and_only_then_written(tmp_path: Path) -> None:
    path = tmp_path / "night.csv"
    table, revised = EpochTable(path, SESSION), (scored(0, Stage.W),)
    table.update((), ())
    assert not path.exists()
    table.update(revised, revised)
    assert len(path.read_text().splitlines()) == 2
    path.unlink()
    table.update(revised, revised)
    assert not path.exists()
    # A run that continues the night replaces its table.
    EpochTable(path, SESSION).update(revised, revised)
    two = (*revised, scored(1, Stage.N1))
    EpochTable(path, SESSION).update(two, two)
    assert len(path.read_text().splitlines()) == 3
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("other", ["old", "epoch,start_s\n0,7.0,W\n", "\0\xff"])
def test_a_file_of_another_night_is_kept(
    other: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, one = tmp_path / "night.csv", (scored(0, Stage.W),)
    path.write_text(other)
    (tmp_path / "night-1.csv").write_text("older still")
    EpochTable(path, SESSION).update(one, one)
    assert path.read_text().startswith("epoch,start_s,stage")
    assert (tmp_path / "night-2.csv").read_text() == other
    assert (tmp_path / "night-1.csv").read_text() == "older still"
    assert "is kept as" in caplog.text


def test_a_table_that_cannot_be_written_ends_no_night(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = EpochTable(tmp_path / "gone" / "night.csv", SESSION)
    for n in range(1, 4):
        night = tuple(scored(index, Stage.W) for index in range(n))
        table.update(night, night)
    assert len(caplog.records) == 1
    with pytest.raises(MonitorError, match="cannot write --output"):
        table.write((), ())
