"""Nights found by the names that people give them, and listed without reading their signals."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from monitor.errors import InputError
from monitor.night.catalogue import Condition, listed_nights, named_night
from monitor.night.lock import is_being_written
from monitor.night.record import read_night
from monitor.night.schema import insert, selection
from monitor.night.store import NightStore
from tests.night.stored import HOME, store_night, write_epoch

NIGHT = "2026-11-26 23:10"


def test_last_is_the_newest_live_night(tmp_path: Path) -> None:
    replayed = store_night(tmp_path, "2026-11-28 23:00", live=False)
    assert named_night("last", tmp_path) == replayed
    newest = store_night(tmp_path, "2026-11-27 23:10")
    store_night(tmp_path, "2026-11-26 23:00")
    assert named_night("last", tmp_path) == newest


def test_a_date_is_the_night_of_that_evening(tmp_path: Path) -> None:
    evening = store_night(tmp_path, "2026-11-26 23:10", n_epochs=960)
    after_midnight = store_night(tmp_path, "2026-11-28 00:40")
    assert named_night("2026-11-26", tmp_path, HOME) == evening
    assert named_night("2026-11-27", tmp_path, HOME) == after_midnight


def test_a_date_is_the_night_slept_into_that_day_if_none_began_in_its_evening(
    tmp_path: Path,
) -> None:
    night = store_night(tmp_path, "2026-11-26 23:10", n_epochs=960)
    assert named_night("2026-11-27", tmp_path, HOME) == night
    with pytest.raises(InputError, match="such as 2026-11-26"):
        named_night("2026-11-28", tmp_path, HOME)


def test_a_test_in_the_evening_and_a_replay_are_not_the_night(tmp_path: Path) -> None:
    store_night(tmp_path, "2026-11-26 23:00", n_epochs=4)
    store_night(tmp_path, "2026-11-26 23:05", live=False)
    night = store_night(tmp_path, "2026-11-26 23:10")
    assert named_night("2026-11-26", tmp_path, HOME) == night


def test_several_nights_of_a_date_are_named(tmp_path: Path) -> None:
    first, second = (
        store_night(tmp_path, "2026-11-26 23:00", "anna"),
        store_night(tmp_path, "2026-11-26 23:10", "ben"),
    )
    for name in ("2026-11-26", "last"):
        with pytest.raises(InputError, match="is 2 nights") as caught:
            named_night(name, tmp_path, HOME)
        assert str(first) in str(caught.value)
        assert f"{second} (23:10, 0.3 h, ben)" in str(caught.value)
    assert named_night("Anna", tmp_path, HOME) == first


def test_a_file_is_named_by_its_path_or_in_the_folder(tmp_path: Path) -> None:
    path = store_night(tmp_path, "2026-11-26 23:00", name="tuesday.sqlite")
    for name in ("tuesday", "tuesday.sqlite", str(path)):
        assert named_night(name, tmp_path) == path
    assert named_night("elsewhere/other.sqlite", tmp_path) == Path("elsewhere/other.sqlite")


def test_nothing_is_found_in_an_empty_folder(tmp_path: Path) -> None:
    assert listed_nights(tmp_path / "no-such-folder") == []
    with pytest.raises(InputError, match="no night is stored in"):
        named_night("last", tmp_path)


def test_the_list_has_the_numbers_of_the_record(tmp_path: Path) -> None:
    paths = [
        store_night(tmp_path, "2026-11-26 23:00"),
        store_night(tmp_path, "2026-11-27 23:00", ended=False),
    ]
    listed = listed_nights(tmp_path)
    assert [each.path for each in listed] == paths
    assert [each.condition for each in listed] == [Condition.ENDED, Condition.BROKE_OFF]
    for each in listed:
        record = read_night(each.path)
        assert each.statistics == record.state.statistics
        assert (each.scored, each.n_epochs, each.session) == (1.0, 40, record.session)
        assert each.size_bytes == each.path.stat().st_size


def test_a_night_that_goes_on_is_listed_so(tmp_path: Path) -> None:
    path = store_night(tmp_path, "2026-11-26 23:00", ended=False)
    with closing(NightStore.open(path)):
        assert listed_nights(tmp_path)[0].condition is Condition.GOES_ON
    assert not is_being_written(path)


def test_a_look_at_the_lock_never_hinders_a_monitor(tmp_path: Path) -> None:
    path, over = store_night(tmp_path, "2026-11-26 23:00", ended=False), threading.Event()

    def look() -> None:
        while not over.is_set():
            is_being_written(path)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(20):
            NightStore.open(path).close()
    finally:
        over.set()
        looking.join()
    assert not path.with_name(path.name + ".lock").exists()


def test_a_lock_that_a_killed_monitor_left_is_removed(tmp_path: Path) -> None:
    lock = (path := store_night(tmp_path, "2026-11-26 23:00")).with_name(path.name + ".lock")
    lock.touch()
    assert not is_being_written(path)
    assert not lock.exists()


def test_what_is_left_of_a_file_that_was_cut_is_listed(tmp_path: Path) -> None:
    path = store_night(tmp_path, "2026-11-26 23:10")
    path.write_bytes(path.read_bytes()[:300_000])
    (cut,) = listed_nights(tmp_path)
    assert (cut.condition, cut.session) == (Condition.DAMAGED, read_night(path).session)
    assert 10 < cut.n_epochs < 40
    assert cut.why.startswith(f"{path} is damaged: ")


def test_a_session_that_makes_no_sense_is_damage(tmp_path: Path) -> None:
    """Somebody wrote it on purpose: its checksum is right."""
    path = store_night(tmp_path, "2026-11-26 23:10")
    with closing(sqlite3.connect(path)) as other, other:
        (row,) = other.execute(selection("session"))
        other.execute("DELETE FROM session")
        insert(other.cursor(), "session", (*row[:3], "5", *row[4:-1]))
    (night,) = listed_nights(tmp_path)
    assert (night.condition, night.n_epochs) == (Condition.DAMAGED, 40)
    assert night.why == f"{path} is damaged: its session was changed"


def test_damage_in_the_journal_of_a_killed_night_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    path = store_night(tmp_path, "2026-11-26 23:10", n_epochs=0, ended=False)
    with closing(NightStore.open(path)) as store:
        for index in range(9):
            write_epoch(store, index)
        folder.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(path.with_name(path.name + suffix), folder)
    assert listed_nights(folder)[0].condition is Condition.BROKE_OFF
    journal = folder / (path.name + "-wal")
    content = bytearray(journal.read_bytes())
    content[len(content) // 2] ^= 1
    journal.write_bytes(content)
    (night,) = listed_nights(folder)
    assert night.condition is Condition.DAMAGED
    assert "its journal is damaged" in night.why


def test_damaged_and_foreign_files_are_listed_with_the_reason(tmp_path: Path) -> None:
    changed = store_night(tmp_path, "2026-11-26 23:00", ended=False)
    with closing(sqlite3.connect(changed)) as other, other:
        other.execute("UPDATE prediction SET stage = 'W' WHERE epoch_index = 2")
    (tmp_path / "2026-11-25-230000-muse.sqlite").write_bytes(b"not a database" * 100)
    foreign, damaged = listed_nights(tmp_path)
    assert foreign.condition is Condition.UNREADABLE
    assert "is not the file of a night" in foreign.why
    assert foreign.start_utc is not None
    assert (damaged.condition, damaged.session) == (Condition.DAMAGED, read_night(changed).session)
    assert damaged.why == f"{changed} is damaged: 1 of its 40 epochs"
