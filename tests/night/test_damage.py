"""A night's file that other hands damage, delete, replace or lock: told, and never a lost night."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from monitor.clock import ManualClock
from monitor.errors import InputError, MonitorError
from monitor.exports.table import export_epochs
from monitor.night import events
from monitor.night.backlog import Backlog
from monitor.night.checksums import checksum
from monitor.night.file_watch import store_files
from monitor.night.live_night import LiveNight
from monitor.night.record import read_night
from monitor.night.restoring import restored_night
from monitor.night.schema import selection
from monitor.night.store import NightStore
from monitor.night.stored import night_to_continue, stored_night
from monitor.night.trouble import StoreError, Trouble
from monitor.sinks.epochs_csv import check_store, check_writable
from monitor.types import Mark, MarkKind, Montage, Track
from tests.night.stored import SESSION, epoch, write_epoch
from tests.signals import START

N_EPOCHS = 6


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NightStore]:
    folder = tmp_path / "nights"
    folder.mkdir()
    store = NightStore.open(folder / "night.sqlite", durable=False)
    live = LiveNight("lsl:test", Montage.of_one("EEG"), "boot", 0.0, None)
    store.begin(SESSION, START, events.session_started(SESSION, 1), live)
    for index in range(N_EPOCHS):
        write_epoch(store, index)
    store.write([], marks=[Mark(MarkKind.LIGHTS_OFF, START)])
    yield store
    store.close()


def content(path: Path) -> list[object]:
    """Everything that a night's file answers."""
    with closing(NightStore.open(path, durable=False)) as night:
        return [
            night.session(),
            night.live_night(),
            [(each.start_s, each.ledger, each.data_uv.tobytes()) for each in night.epochs()],
            [night.predictions(track) for track in Track],
            night.marks(),
            night.events_after(0, 1000),
            night.ended(),
        ]


@pytest.mark.parametrize("seed", range(300))
def test_a_changed_byte_is_an_error_or_changes_nothing(
    seed: int, whole: tuple[bytes, list[object]], tmp_path: Path
) -> None:
    data, expected = whole
    chance = random.Random(seed)
    changed = bytearray(data)
    # Every other change hits the pages of the tables, which signals would crowd out.
    at = chance.randrange(len(data) if seed % 2 else 4096)
    changed[at] ^= 1 << chance.randrange(8)
    path = tmp_path / "night.sqlite"
    path.write_bytes(changed)
    try:
        assert content(path) == expected
    except MonitorError as exc:
        assert str(path) in str(exc)
    path.write_bytes(changed)
    try:
        night = read_night(path)
    except MonitorError:
        return
    kept = [each for each in night.live if each.epoch_index not in night.damaged]
    indices = [each.epoch_index for each in kept]
    by_index = [each for each in expected[3][0] if each.epoch_index in indices]  # type: ignore[index]
    assert kept == by_index


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[object]]:
    path = tmp_path_factory.mktemp("whole") / "night.sqlite"
    with closing(NightStore.open(path, durable=False)) as store:
        live = LiveNight("lsl:test", Montage.of_one("EEG"), "boot", 0.0, None)
        store.begin(SESSION, START, events.session_started(SESSION, 1), live)
        for index in range(3):
            write_epoch(store, index)
        store.write([], marks=[Mark(MarkKind.NOTE, START, "a note")])
    return path.read_bytes(), content(path)


def delete(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replace_by_another(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("another file")
    other.replace(path)


def cut(path: Path) -> None:
    os.truncate(path, 0)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"not a night " * 10_000)


def delete_journal(path: Path) -> None:
    path.with_name("night.sqlite-wal").unlink()


def delete_shm(path: Path) -> None:
    path.with_name("night.sqlite-shm").unlink()


def delete_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    "accident",
    [
        delete,
        move,
        replace_by_another,
        delete_journal,
        delete_shm,
        delete_folder,
        cut,
        overwrite,
    ],
)
def test_a_night_whose_file_is_lost_goes_on_beside_it(
    accident: Callable[[Path], None],
    store: NightStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost = store.path
    before = [each.data_uv.tobytes() for each in store.epochs()]
    if accident in (cut, overwrite):  # the journal is in the file, or nothing is lost with it
        store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store._watch.note()
    accident(lost)
    Backlog(store, ManualClock()).flush()
    write_epoch(store, N_EPOCHS)
    assert store.path == lost.with_name("night-2.sqlite")
    assert len(store.losses) == 1
    if not lost.exists() or accident is replace_by_another:
        assert not [each for each in lost.parent.iterdir() if each.name.startswith(f"{lost.name}-")]
    assert len([each for each in caplog.records if "stored again in" in each.message]) == 1
    assert [each.epoch_index for each in store.predictions(Track.LIVE)] == list(range(N_EPOCHS + 1))
    assert len(store.marks()) == 1
    assert store.n_epochs() == N_EPOCHS + 1
    if accident not in (cut, overwrite):
        assert [each.data_uv.tobytes() for each in store.epochs()][:-1] == before
        assert [each.sequence for each in store.events_after(0, 100)] == list(
            range(1, N_EPOCHS + 3)
        )


def test_what_another_program_does_in_order_is_no_loss(store: NightStore) -> None:
    with closing(sqlite3.connect(store.path)) as viewer:
        viewer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.keep()
    write_epoch(store, N_EPOCHS)
    assert store.losses == []


def test_a_damaged_file_never_keeps_a_night_from_beginning(
    store: NightStore, caplog: pytest.LogCaptureFixture
) -> None:
    folder = store.path.parent
    store.close()
    data = bytearray(store.path.read_bytes())
    for at in range(8192, len(data), 500):
        data[at] ^= 0xFF
    store.path.write_bytes(data)
    os.mkfifo(folder / "pipe.sqlite")
    (folder / "folder.sqlite").mkdir()
    (folder / "nowhere.sqlite").symlink_to(folder / "gone")
    (folder / "empty.sqlite").touch()
    (folder / "text.sqlite").write_text("text " * 1000)
    for name in ("pipe", "folder", "nowhere", "empty", "text"):
        with pytest.raises(InputError, match=rf"{name}|gone"):
            export_epochs(folder / f"{name}.sqlite", folder / "epochs.csv")
    for _ in range(3):
        assert night_to_continue(folder, "lsl:test", "", START) is None
    assert len([each for each in caplog.records if "night.sqlite is damaged" in each.message]) == 1
    with pytest.raises(InputError, match=r"night\.sqlite is damaged"):
        NightStore.open(store.path)


@pytest.mark.parametrize("table", ["epoch", "prediction"])
def test_the_length_of_a_stored_night_is_checked(store: NightStore, table: str) -> None:
    store.close()
    with closing(sqlite3.connect(store.path)) as other:
        other.execute(f"UPDATE OR IGNORE {table} SET epoch_index = 100000000000")
        other.commit()
    with pytest.raises(StoreError, match="its last epoch was changed"):
        stored_night(store.path)
    assert night_to_continue(store.path.parent, "lsl:test", "", START) is None


def test_what_is_sound_can_be_exported(store: NightStore, tmp_path: Path) -> None:
    store.close()
    with closing(sqlite3.connect(store.path)) as other, other:
        other.execute("UPDATE epoch SET signal_uv = zeroblob(12000) WHERE epoch_index = 2")
        other.execute("UPDATE prediction SET stage = 'R' WHERE epoch_index = 4")
    table = tmp_path / "epochs.csv"
    with pytest.raises(MonitorError, match="2 epochs were left out: 2, 4"):
        export_epochs(store.path, table)
    assert [line.split(",")[0] for line in table.read_text().splitlines()[1:]] == list("0135")
    assert stat.S_IMODE(table.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("session", "channels", "[" * 2000),
        ("session", "start_utc", "yesterday"),
        ("epoch", "ledger", "[]"),
        ("epoch", "verdicts", '["tired"]'),
        ("epoch", "quality", "{"),
        ("epoch", "signal_uv", b"123"),
        ("prediction", "stage", "N9"),
        ("mark", "kind", "light"),
        ("event", "data", "9" * 5000),
        ("live", "montage", "3"),
    ],
)
def test_a_forged_row_is_damage_and_no_traceback(
    store: NightStore, tmp_path: Path, table: str, column: str, value: str | bytes
) -> None:
    store.close()
    with closing(sqlite3.connect(store.path)) as other, other:
        other.execute(f"UPDATE {table} SET {column} = ?", (value,))
        for rowid, *row in other.execute(selection(table).replace("SELECT", "SELECT rowid,")):
            other.execute(
                f"UPDATE {table} SET crc32 = ? WHERE rowid = ?", (checksum(row[:-1]), rowid)
            )
    with pytest.raises(MonitorError, match=r"night\.sqlite is damaged: .*Error: "):
        content(store.path)
    with pytest.raises(MonitorError, match=r"night\.sqlite is damaged.*(changed|left out)"):
        export_epochs(store.path, tmp_path / "epochs.csv")
    night_to_continue(store.path.parent, "lsl:test", "", START)


def test_only_the_user_may_read_a_night(store: NightStore) -> None:
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in store.path.parent.iterdir()}
    assert modes == {f"night.sqlite{suffix}": 0o600 for suffix in ("", "-wal", "-shm", ".lock")}
    store.close()
    store.path.chmod(0o640)
    with closing(NightStore.open(store.path)):
        assert stat.S_IMODE(store.path.stat().st_mode) == 0o640


def test_a_file_that_another_program_locks_is_called_locked(
    store: NightStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._connection.execute("PRAGMA busy_timeout = 50")
    backlog = Backlog(store, ManualClock())
    with closing(sqlite3.connect(store.path, isolation_level=None)) as viewer:
        viewer.execute("BEGIN IMMEDIATE")
        backlog.write([], epoch=epoch(N_EPOCHS))
        assert backlog.trouble is Trouble.LOCKED
        with pytest.raises(MonitorError, match="another program has locked it"):
            backlog.drain()
    backlog.drain()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", ".lock"])
def test_a_table_or_a_recording_is_no_file_of_the_store(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "Night.sqlite"
    beside = tmp_path / f"Night.sqlite{suffix}"
    with pytest.raises(InputError, match="is a file that this run needs"):
        check_writable(beside, store_files(path))
    with pytest.raises(InputError, match="is a file that this run needs"):
        check_writable(tmp_path / f"night.SQLITE{suffix}", store_files(path))
    with pytest.raises(InputError, match="which this run reads"):
        check_store(path, [beside])
    beside.write_text("x")
    (tmp_path / "hard").hardlink_to(beside)
    (tmp_path / "soft").symlink_to(beside)
    for other in ("hard", "soft"):
        with pytest.raises(InputError, match="is a file that this run needs"):
            check_writable(tmp_path / other, store_files(path))


@pytest.mark.parametrize(
    ("statement", "trouble"),
    [
        ("PRAGMA max_page_count = 1", Trouble.FULL),
        ("PRAGMA query_only = ON", Trouble.READ_ONLY),
    ],
)
def test_a_refused_write_is_called_by_its_cause(
    store: NightStore, statement: str, trouble: Trouble
) -> None:
    store._connection.execute(statement)
    backlog = Backlog(store, ManualClock())
    for index in range(N_EPOCHS, N_EPOCHS + 20):
        backlog.write([], epoch=epoch(index))
    assert backlog.trouble is trouble


def test_a_night_that_was_cut_continues_with_the_stages_that_memory_had(store: NightStore) -> None:
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._connection.execute("PRAGMA shrink_memory")
    store._watch.note()
    cut(store.path)
    write_epoch(store, N_EPOCHS)
    assert f"without the signals of {N_EPOCHS} epochs" in store.losses[0]
    stages = store.predictions(Track.LIVE)
    store.close()
    assert list(read_night(store.path).live) == stages
    found = night_to_continue(store.path.parent, "lsl:test", "", START)
    assert found is not None and found.path == store.path
    with closing(NightStore.open(store.path)) as again:
        night = restored_night(again, SESSION)
        assert (night.n_epochs, night.derivation) == (N_EPOCHS + 1, "EEG")
