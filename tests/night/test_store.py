"""The night's file: whole after anything, never doubled, refused clearly."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.contract import Stage
from monitor.errors import InputError, MonitorError
from monitor.night import events
from monitor.night.store import NightStore
from monitor.types import (
    Mark,
    MarkKind,
    Reason,
    StagePrediction,
    Track,
)
from tests.full_disk import disk_of
from tests.night.stored import GOOD, LIVE, SESSION, epoch
from tests.signals import START


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NightStore]:
    store = NightStore.open(tmp_path / "night.sqlite")
    store.begin(SESSION, START, events.session_started(SESSION, 1))
    yield store
    with suppress(sqlite3.ProgrammingError):  # a test may have closed it
        store.close()


def test_a_written_night_is_read_back_exactly(store: NightStore) -> None:
    event = events.stage_event(SESSION, 2, LIVE)
    store.write([event], [LIVE], epoch())
    bad = replace(GOOD, reason=Reason.RAILED, mains_fraction=None)
    unscored = StagePrediction(
        1, Track.LIVE, 0, True, None, Reason.RAILED, None, None, "net-1", 0.0
    )
    store.write([], [unscored], epoch(1, bad))

    first, second = store.epochs()
    np.testing.assert_array_equal(first.data_uv, epoch().data_uv)
    assert (first.start_s, first.start_utc) == (10.01, START)
    assert (first.quality, second.quality) == (GOOD, bad)
    assert first.ledger == epoch().ledger
    assert store.ledger() == epoch().ledger + epoch(1).ledger
    assert store.predictions(Track.LIVE) == [LIVE, unscored]
    assert store.events_after(1, 10) == [event]
    assert store.session() == SESSION


def test_the_newest_revision_counts_and_the_others_stay(store: NightStore) -> None:
    first = replace(LIVE, track=Track.REVISED, revision=1, final=False, stage=Stage.N3)
    final = replace(first, revision=2, final=True, stage=Stage.N2)
    store.write([], [LIVE, first, final], epoch())
    assert store.predictions(Track.REVISED) == [final]
    assert store.predictions(Track.LIVE) == [LIVE]
    with closing(sqlite3.connect(store.path)) as other:
        rows = other.execute("SELECT count(*) FROM prediction WHERE track = 'revised'").fetchone()
    assert rows == (2,)


def test_nothing_is_stored_twice_and_a_refused_write_leaves_nothing(store: NightStore) -> None:
    store.write([events.stage_event(SESSION, 2, LIVE)], [LIVE], epoch())
    with pytest.raises(MonitorError, match="UNIQUE constraint"):
        store.write([events.stage_event(SESSION, 3, LIVE)], [replace(LIVE, epoch_index=1)], epoch())
    assert len(list(store.epochs())) == 1
    assert store.last_sequence() == 2
    assert len(store.predictions(Track.LIVE)) == 1


def test_a_night_has_one_writer(store: NightStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"another monitor is writing .*night.sqlite"):
        NightStore.open(store.path)
    store.close()
    NightStore.open(store.path).close()
    assert [path.name for path in tmp_path.iterdir()] == ["night.sqlite"]


def test_a_link_to_a_night_leads_to_the_same_lock(store: NightStore, tmp_path: Path) -> None:
    (tmp_path / "link.sqlite").symlink_to(store.path)
    with pytest.raises(InputError, match="another monitor is writing"):
        NightStore.open(tmp_path / "link.sqlite")


def test_a_store_that_failed_gives_up_its_lock(store: NightStore) -> None:
    store.path.write_bytes(b"overwritten by something else" * 1000)
    with suppress(MonitorError):
        store.write([], [LIVE], epoch())
    store.close()
    assert not store.path.with_name("night.sqlite.lock").exists()


def test_an_empty_file_of_the_user_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    NightStore.open(tmp_path / "mine").close()
    assert (tmp_path / "mine").exists()


def test_a_file_that_no_night_was_begun_in_does_not_stay(tmp_path: Path) -> None:
    NightStore.open(tmp_path / "night.sqlite").close()
    assert list(tmp_path.iterdir()) == []


def test_marks_and_the_end_are_kept(store: NightStore) -> None:
    mark = Mark(MarkKind.NOTE, START, "turned over")
    event = events.mark_event(SESSION, 2, mark.kind, time=mark.time_utc, text=mark.text)
    store.write([event], marks=[mark])
    assert store.marks() == [mark]
    assert not store.ended()
    store.write([], ended_utc=START)
    assert store.ended()


def test_published_events_are_noted(store: NightStore) -> None:
    store.write([events.stage_event(SESSION, 2, LIVE)], [LIVE], epoch())
    store.mark_published(1, START)
    with closing(sqlite3.connect(store.path)) as other:
        rows = other.execute("SELECT published_utc IS NULL FROM event ORDER BY sequence").fetchall()
    assert rows == [(0,), (1,)]


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be mistaken for one" * 20)
    with pytest.raises(InputError, match=r"cannot use .*notes.txt as the night store"):
        NightStore.open(text)
    assert text.read_text().startswith("not a database")

    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as other:
        other.execute("CREATE TABLE t (x)")
    with pytest.raises(InputError, match="is an SQLite file but not a night store"):
        NightStore.open(tmp_path / "other.sqlite")

    with pytest.raises(InputError, match="as the night store"):
        NightStore.open(tmp_path / "no" / "folder" / "night.sqlite")
    with pytest.raises(InputError, match="as the night store"):
        NightStore.open(tmp_path)


def test_a_store_of_another_format_is_refused(store: NightStore) -> None:
    store.close()
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(InputError, match="night-store format 99, this version writes 5"):
        NightStore.open(store.path)


def test_on_a_full_disk_no_file_is_left_behind(tmp_path: Path) -> None:
    with disk_of(1000), pytest.raises(InputError, match="as the night store"):
        NightStore.open(tmp_path / "night.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_costs_only_the_writes_that_no_longer_fit(store: NightStore) -> None:
    store.write([], [LIVE], epoch())
    size = store.path.with_name(store.path.name + "-wal").stat().st_size
    with disk_of(size + 1000), pytest.raises(MonitorError, match="what was stored before is safe"):
        store.write([], [replace(LIVE, epoch_index=1)], epoch(1))
    assert [each.index for each in store.epochs()] == [0]
    store.write([], [replace(LIVE, epoch_index=1)], epoch(1))
    assert [each.index for each in store.epochs()] == [0, 1]
