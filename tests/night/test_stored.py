"""The choice of the stored night that a headband continues."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from monitor.night import events
from monitor.night.live_night import LiveNight
from monitor.night.store import NightStore
from monitor.night.stored import (
    REOPEN_WITHIN,
    RESUME_WITHIN,
    night_to_continue,
    stored_night,
)
from monitor.types import Montage
from tests.night.stored import LIVE, epoch
from tests.nights import night_session
from tests.signals import START

KEY = "lsl:source_id=muse"
SECOND = timedelta(seconds=1)
Keep = Callable[..., Path]


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Leaves a night of some epochs that began at ``start``."""

    def keep(
        name: str = "night",
        *,
        start: datetime = START,
        n_epochs: int = 2,
        key: str = KEY,
        sleeper: str = "",
        ended: datetime | None = None,
        replay: bool = False,
    ) -> Path:
        path = tmp_path / f"{name}.sqlite"
        session = replace(night_session(), start_utc=start, sleeper=sleeper)
        live = LiveNight(key, Montage.of_one("EEG"), "boot-1", 1.75e9, None)
        with closing(NightStore.open(path)) as store:
            started = events.session_started(session, 1)
            store.begin(session, start, started, None if replay else live)
            for n in range(n_epochs):
                store.write([], [replace(LIVE, epoch_index=n)], epoch(n))
            if ended is not None:
                store.write([], ended_utc=ended)
        return path

    return keep


def continued(keep_in: Path, now: datetime, key: str = KEY, sleeper: str = "") -> str | None:
    found = night_to_continue(keep_in, key, sleeper, now)
    return None if found is None else found.path.stem


def test_a_night_that_broke_off_goes_on_for_some_hours(keep: Keep, tmp_path: Path) -> None:
    keep(n_epochs=2)
    reached = START + timedelta(minutes=1)
    for now in (START, reached, reached + RESUME_WITHIN - SECOND, reached - timedelta(days=400)):
        assert continued(tmp_path, now) == "night"
    assert continued(tmp_path, reached + RESUME_WITHIN) is None


def test_a_night_from_the_future_is_not_this_one(keep: Keep, tmp_path: Path) -> None:
    keep(start=START + timedelta(days=30), n_epochs=2)
    assert continued(tmp_path, START) is None


def test_so_does_one_that_broke_off_in_its_first_epoch(keep: Keep, tmp_path: Path) -> None:
    keep(n_epochs=0)
    assert continued(tmp_path, START + timedelta(minutes=3)) == "night"


def test_a_night_that_was_ended_goes_on_only_soon_after(keep: Keep, tmp_path: Path) -> None:
    ended = START + timedelta(hours=8)
    keep(n_epochs=2, ended=ended)
    assert continued(tmp_path, ended + REOPEN_WITHIN - SECOND) == "night"
    assert continued(tmp_path, ended + REOPEN_WITHIN) is None


def test_only_the_same_source_and_sleeper_go_on(keep: Keep, tmp_path: Path) -> None:
    keep("anna", sleeper="anna")
    keep("ben", sleeper="ben")
    keep("other", key="lsl:source_id=other")
    assert continued(tmp_path, START, sleeper="anna") == "anna"
    assert continued(tmp_path, START, sleeper="ben") == "ben"
    assert continued(tmp_path, START) is None


def test_the_newest_goes_on(keep: Keep, tmp_path: Path) -> None:
    keep("b", start=START, n_epochs=8)
    keep("a", start=START + timedelta(minutes=3), n_epochs=4)
    keep("c", start=START + timedelta(minutes=4), n_epochs=0)
    assert continued(tmp_path, START + timedelta(minutes=10)) == "a"


def test_a_file_that_is_no_live_night_is_left_alone(keep: Keep, tmp_path: Path) -> None:
    keep("replay", replay=True)
    (tmp_path / "notes.sqlite").write_text("not a database, but long enough for one" * 40)
    (tmp_path / "empty.sqlite").touch()
    (tmp_path / "folder.sqlite").mkdir()
    (tmp_path / "nowhere.sqlite").symlink_to(tmp_path / "gone")
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as other:
        other.execute("CREATE TABLE session (x)")
    with closing(sqlite3.connect(keep("newer"))) as newer:
        newer.execute("PRAGMA user_version = 99")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert continued(tmp_path, START) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert stored_night(tmp_path / "nothing.sqlite") is None
    assert not (tmp_path / "nothing.sqlite").exists()


def test_a_night_is_read_while_a_monitor_writes_it(keep: Keep, tmp_path: Path) -> None:
    path = keep("a name with ? and # and %20", n_epochs=1)
    with closing(NightStore.open(path)) as store:
        store.write([], [replace(LIVE, epoch_index=1)], epoch(1))
        found = stored_night(path)
        assert found is not None
        assert found.reached_utc == START + timedelta(minutes=1)
        store.write([], [replace(LIVE, epoch_index=2)], epoch(2))


def test_looking_at_nights_leaves_no_files_behind(keep: Keep, tmp_path: Path) -> None:
    keep()
    assert continued(tmp_path, START) == "night"
    assert [path.name for path in tmp_path.iterdir()] == ["night.sqlite"]


def test_a_night_that_was_killed_is_whole(keep: Keep, tmp_path: Path) -> None:
    """Its journal is still beside it: what was stored last is only there."""
    path = keep(n_epochs=1)
    killed = tmp_path / "killed"
    killed.mkdir()
    with closing(NightStore.open(path)) as store:
        store.write([], [replace(LIVE, epoch_index=1)], epoch(1))
        for suffix in ("", "-wal"):
            (killed / (path.name + suffix)).write_bytes(
                path.with_name(path.name + suffix).read_bytes()
            )
    found = stored_night(killed / path.name)
    assert found is not None
    assert found.reached_utc == START + timedelta(minutes=1)


def test_what_was_ended_after_a_few_minutes_was_a_test(keep: Keep) -> None:
    ended = START + timedelta(minutes=20)
    short, long = keep("short", n_epochs=12, ended=ended), keep("long", n_epochs=30, ended=ended)
    nights = [stored_night(path) for path in (short, long, keep("crashed", n_epochs=1))]
    assert [night and night.was_a_test for night in nights] == [True, False, False]
