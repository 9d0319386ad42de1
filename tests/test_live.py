"""Live nights from end to end: real streams and boards, a real server, and the files they leave."""

from __future__ import annotations

import io
import itertools
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from monitor.clock import SystemClock, boot_id
from monitor.config import BrainflowConfig, LiveOptions, LslConfig, SleeperOptions
from monitor.errors import InputError, MonitorError
from monitor.live import run as live_run
from monitor.live import run_live
from monitor.night import stored
from monitor.night.events import EventType
from monitor.night.live_night import LiveNight
from monitor.night.schema import insert
from monitor.night.store import NightStore
from monitor.pipeline import begin
from monitor.sinks.mark_sender import send_mark
from monitor.sinks.redis_server import RedisServer
from monitor.types import Mark, MarkKind, Montage, Reason, Track
from tests.full_disk import disk_of
from tests.lsl_peer import peer
from tests.nights import Nights, events_of, excerpt_uv, night_session, whole_chunks
from tests.signals import START

names = itertools.count()


def names_of_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def open_files() -> list[Path]:
    """Return the files that this process holds open, deleted ones too (psutil omits those)."""
    files = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor that lists this folder is closed again
            files.append(descriptor.readlink())
    return files


@pytest.fixture(autouse=True)
def nothing_is_left_running(tmp_path: Path) -> Iterator[None]:
    """After every test no thread runs on, no file is open, and no lock is left."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
    assert [path for path in open_files() if tmp_path in path.parents] == []
    assert list(tmp_path.rglob("*.lock")) == []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of nights without --store, which is empty."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "sleep-monitor" / "nights"


@pytest.fixture
def name() -> str:
    return f"Live-{os.getpid()}-{next(names)}"


def options_for(*sleepers: SleeperOptions, **options: object) -> LiveOptions:
    chosen: dict[str, object] = {"no_redis": True, "dashboard": False, **options}
    return LiveOptions(sleepers, **chosen)  # type: ignore[arg-type]


def lsl(source_id: str, **options: object) -> SleeperOptions:
    return SleeperOptions(LslConfig(source_id=source_id), **options)  # type: ignore[arg-type]


def monitor(
    options: LiveOptions,
    enough: Callable[[], bool] = lambda: False,
    limit_s: float = 20.0,
    before_stop: Callable[[], None] = lambda: None,
) -> str:
    """Monitor until ``enough`` is true or the run ends by itself; return what it printed.

    ``before_stop`` is called once it is enough. Fails after ``limit_s``.
    """
    stop, over = threading.Event(), threading.Event()
    out, late = io.StringIO(), []

    def watch() -> None:
        until_s = time.monotonic() + limit_s
        while not over.wait(0.05) and not enough():
            if time.monotonic() > until_s:
                late.append(True)
                break
        else:
            if not over.is_set():
                before_stop()
        stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run_live(options, Console(file=out, width=100), SystemClock(), stop)
    finally:
        over.set()
        watcher.join()
    assert not late, f"not enough within {limit_s} s:\n{out.getvalue()}"
    return out.getvalue()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """Read a night as another program does, even while it is written."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as file:
        try:
            return file.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []


def has_epochs(path: Path, n: int) -> Callable[[], bool]:
    return lambda: rows(path, f"SELECT count(*) >= {n} FROM epoch") == [(1,)]


def begun(path: Path) -> Callable[[], bool]:
    return lambda: bool(rows(path, "SELECT 1 FROM session"))


def test_a_night_from_a_stream_to_its_files(name: str, tmp_path: Path) -> None:
    """The first samples are 62 s old, so two epochs come at once. Another program sends a mark."""
    path, csv = tmp_path / "night.sqlite", tmp_path / "epochs.csv"
    mark_output = io.StringIO()
    with RedisServer(0) as server, peer(name=name, ago=62):
        printed = monitor(
            options_for(lsl(name, store=path, output=csv), redis=server.url, no_redis=False),
            has_epochs(path, 2),
            before_stop=lambda: send_mark(
                Console(file=mark_output, width=100),
                server.url,
                Mark(MarkKind.NOTE, SystemClock().utc(), "thunder"),
                None,
                SystemClock(),
            ),
        )
    with closing(NightStore.open(path)) as store:
        session = store.session()
        assert session is not None
        assert session.channels == ("TP9", "AF7", "AF8", "TP10")
        assert session.derivation == "AF7-TP9"
        assert abs(session.start_utc.timestamp() - (time.time() - 62)) < 30
        assert store.ended()
        assert store.n_epochs() == 2
        assert [mark.text for mark in store.marks()] == ["thunder"]
        events = events_of(store)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert events[0].type == EventType.SESSION_STARTED
    assert events[-1].type == EventType.SESSION_ENDED
    assert "recorded" in mark_output.getvalue()
    assert rows(path, "SELECT count(*) FROM event WHERE published_utc IS NULL") == [(0,)]
    assert csv.read_text().count("\n") == 3
    assert "TST" in printed


def test_a_board_of_brainflow(home: Path) -> None:
    options = options_for(SleeperOptions(BrainflowConfig(board="synthetic"), "ben"), no_redis=False)
    monitor(options, lambda: any(begun(path)() for path in home.glob("*-ben.sqlite")))
    (path,) = home.glob("*.sqlite")
    with closing(NightStore.open(path)) as store:
        session = store.session()
        assert session is not None
        assert (session.sleeper, session.sfreq_hz) == ("ben", 250.0)
        assert store.ended()
        assert store.n_epochs() == 0
    assert rows(path, "SELECT count(*), count(published_utc) FROM event") == [(2, 2)]


def test_a_sleeper_that_fails_does_not_disturb_another(
    name: str, home: Path, tmp_path: Path
) -> None:
    anna, ben = tmp_path / "anna.sqlite", tmp_path / "ben.sqlite"
    with (
        peer(name=f"{name}-anna"),
        peer(name=f"{name}-ben", ago=33),
        pytest.raises(InputError, match="there is no channel 'Cz'"),
    ):
        monitor(
            options_for(
                lsl(f"{name}-anna", sleeper="anna", channels=("Cz",), store=anna),
                lsl(f"{name}-ben", sleeper="ben", store=ben),
            ),
            lambda: has_epochs(ben, 1)() and "sleeper anna" not in names_of_threads(),
        )
    assert not anna.exists()
    with closing(NightStore.open(ben)) as store:
        assert store.ended()
        assert store.n_epochs() == 1


@pytest.mark.parametrize("named", [True, False], ids=["by name", "by nothing but its type"])
def test_two_sleepers_never_share_a_stream_however_they_name_it(
    name: str, home: Path, named: bool
) -> None:
    by_another = LslConfig(name=name) if named else LslConfig(type=name)
    both = (lsl(name, sleeper="anna"), SleeperOptions(by_another, "ben"))
    with (
        peer(name=name, type=name, ago=33),
        pytest.raises(InputError, match=r"have one source, LSL stream .*: one headband gives"),
    ):
        monitor(
            options_for(*both),
            lambda: (
                any(has_epochs(path, 1)() for path in home.glob("*.sqlite"))
                and not {"sleeper anna", "sleeper ben"} <= set(names_of_threads())
            ),
        )
    assert len(list(home.glob("*.sqlite"))) == 1


def test_a_night_continues_after_the_monitor_was_killed(name: str, tmp_path: Path) -> None:
    """It is killed in epoch 3, so most of that epoch is missing.

    The signal runs ahead, so that epoch 3 begins soon, and stops doing so before its end.
    """
    path = tmp_path / "night.sqlite"
    command = ("live", "lsl", "--source-id", name, "--store", str(path))
    with peer(name=name, speed=60, until=117) as sender:
        killed = subprocess.Popen(
            [sys.executable, "-m", "monitor.cli", *command, "--no-redis", "--no-dashboard"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until_s = time.monotonic() + 30.0
        while not has_epochs(path, 3)():
            assert killed.poll() is None and time.monotonic() < until_s
            time.sleep(0.05)
        killed.kill()
        killed.wait()
        assert sender.stdout is not None
        assert sender.stdout.readline() == "at true pace\n"
        monitor(options_for(lsl(name, store=path)), has_epochs(path, 4), limit_s=40.0)
    with closing(NightStore.open(path)) as store:
        epochs, events = list(store.epochs()), events_of(store)
        live = store.predictions(Track.LIVE)
    assert [epoch.index for epoch in epochs] == [0, 1, 2, 3]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    (resumed,) = [event for event in events if event.type == EventType.SESSION_RESUMED]
    assert resumed.data["epoch_index"] == 3
    assert sum(epoch.ledger.lost for epoch in epochs[:3]) == 0
    assert epochs[3].ledger.lost > 1500
    assert live[3].reason is Reason.MISSING


def test_a_night_continues_after_its_file_was_damaged(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If the store refuses a write, the attempt ends, and the night does not. The next attempt
    begins a second later and continues the same night, even with --new-night."""
    path = tmp_path / "night.sqlite"

    def damage() -> bool:
        with closing(sqlite3.connect(path)) as other, other:
            insert(other.cursor(), "event", (2, "x", "x", "x", "2026-01-01", "{}"))
        return True

    damaged = False

    def enough() -> bool:
        nonlocal damaged
        damaged = damaged or (begun(path)() and damage())
        return rows(path, "SELECT count(*) >= 3 FROM event") == [(1,)]

    with peer(name=name, ago=27):
        monitor(options_for(lsl(name, store=path), new_night=True), enough)
    assert "UNIQUE constraint failed: event.sequence" in caplog.text
    with closing(NightStore.open(path)) as store:
        types = [event.type for event in events_of(store)]
        assert store.ended()
    assert types[0] == EventType.SESSION_STARTED
    assert types[2] == EventType.SESSION_RESUMED
    assert types[-1] == EventType.SESSION_ENDED


def test_a_night_ended_by_mistake_continues_and_new_night_begins_another(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stored, "TEST_MAX", timedelta(0))

    def n_starts() -> list[object]:
        """Return how often each night in the folder was begun or continued."""
        starts = f"type IN ('{EventType.SESSION_STARTED}', '{EventType.SESSION_RESUMED}')"
        nights = sorted(home.glob("*.sqlite"))
        return [n for path in nights for (n,) in rows(path, f"SELECT sum({starts}) FROM event")]

    with peer(name=name):
        monitor(options_for(lsl(name)), lambda: n_starts() == [1])
        monitor(options_for(lsl(name)), lambda: n_starts() == [2])
        assert "which was ended at " in caplog.text
        assert "; --new-night begins another" in caplog.text
        monitor(options_for(lsl(name), new_night=True), lambda: n_starts() == [2, 1])
    assert n_starts() == [2, 1]


def test_a_test_in_the_evening_is_not_a_part_of_the_night(
    name: str, home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    csv = tmp_path / "epochs.csv"
    with peer(name=name, ago=33):
        monitor(options_for(lsl(name, output=csv)), csv.exists)  # written during the night
        (test,) = home.glob("*.sqlite")

        def both_have_begun() -> bool:
            nights = [*home.glob("*.sqlite")]
            return len(nights) == 2 and all(begun(path)() for path in nights)

        monitor(options_for(lsl(name, output=csv)), both_have_begun)
    assert len([*home.glob("*.sqlite")]) == 2
    assert f"Begins a new night: the last one was a test of 0 min, kept in {test}" in caplog.text
    assert "is kept as" in caplog.text
    assert f"Kept in {test}. See it again with: sleep-monitor nights show" in caplog.text
    assert "It is so short that it was a test: the next start begins another night" in caplog.text
    assert len((tmp_path / "epochs-1.csv").read_text().splitlines()) == 2


def test_a_night_ends_with_its_report(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If there is no time for it, the end names the command that makes it."""
    caplog.set_level("INFO")
    monkeypatch.setattr(live_run, "TEST_MAX", timedelta(0))
    monkeypatch.setattr(live_run, "REPORTS_S", 60.0)  # a busy machine may need it
    night, another = tmp_path / "night.sqlite", tmp_path / "another.sqlite"
    with peer(name=name, ago=33):
        options = options_for(lsl(name, store=night))
        monitor(options, lambda: bool(rows(night, "SELECT 1 FROM epoch")))
        page = night.with_suffix(".html")
        assert f"The report of the night: {page}" in caplog.text
        assert page.read_text().startswith("<!DOCTYPE html>")
        assert "This night goes on" not in page.read_text()
        monkeypatch.setattr(live_run, "REPORTS_S", 0.0)
        monitor(options_for(lsl(name, store=another)), begun(another))
    for thread in threading.enumerate():
        if thread.name == "report":  # it was left, as there was no time for it
            thread.join(60.0)
    assert f"Make the night's report with: sleep-monitor report {another}" in caplog.text


def test_a_stream_that_does_not_come_within_the_wait_is_an_error(name: str, home: Path) -> None:
    with pytest.raises(InputError, match=r"nothing came within 0.3 s \(waiting for an LSL stream"):
        monitor(options_for(lsl(name), wait_s=0.3))
    assert list(home.iterdir()) == []


def test_the_wait_does_not_count_the_time_in_which_the_rate_is_measured(
    name: str, home: Path
) -> None:
    """Measuring takes 3 s of samples, longer than the wait."""
    with peer(name=name, ago=0):
        monitor(options_for(lsl(name), wait_s=2.0), lambda: bool(list(home.glob("*.sqlite"))))


def test_a_stop_before_the_first_sample_leaves_no_file(name: str, home: Path) -> None:
    monitor(options_for(lsl(name)), lambda: True)
    assert list(home.iterdir()) == []


def test_a_missing_channel_is_an_error(name: str, home: Path) -> None:
    with peer(name=name), pytest.raises(InputError, match="there is no channel 'Cz'"):
        monitor(options_for(lsl(name, channels=("Cz",))))
    assert list(home.iterdir()) == []


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of files that cannot hold a live night."""
    folder = tmp_path_factory.mktemp("stores")
    with Nights(folder) as nights:
        nights.run(whole_chunks(excerpt_uv()[:, :5000], 5000), name="replay")
        over = replace(night_session(), id="over")
        live = LiveNight("lsl:source_id=gone", Montage.of_one("EEG"), boot_id(), 0.0, None)
        begin(nights.store("over"), over, START, live)
    (folder / "notes.txt").write_text("not a database, but long enough for one" * 40)
    return folder


@pytest.mark.parametrize(
    ("store", "problem"),
    [
        ("over.sqlite", "holds a night that is over .*; choose another --store"),
        ("replay.sqlite", "is not a night of this source; choose another --store"),
        ("notes.txt", "cannot use .*notes.txt as the night store"),
        ("no/folder/night.sqlite", "there is no folder"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_at_once(
    store: str, problem: str, stores: Path
) -> None:
    with pytest.raises(InputError, match=problem):
        monitor(options_for(lsl("gone", store=stores / store)))


def test_the_night_of_another_source_is_not_continued(name: str, tmp_path: Path) -> None:
    path = tmp_path / "night.sqlite"
    with peer(name=name):
        monitor(options_for(lsl(name, store=path)), begun(path))
    with pytest.raises(InputError, match="is not a night of this source"):
        monitor(options_for(lsl("another", store=path)))
    with pytest.raises(InputError, match="is not a night of this source"):
        monitor(options_for(lsl(name, store=path, sleeper="anna")))
    with pytest.raises(InputError, match="exists already; for --new-night choose another --store"):
        monitor(options_for(lsl(name, store=path), new_night=True))


def test_a_full_disk_at_the_end_is_reported_and_the_night_can_continue(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "night.sqlite"
    full = disk_of(1)
    try:
        with (
            peer(name=name, ago=33),
            pytest.raises(MonitorError, match=r"night.sqlite failed: .*make room"),
        ):
            monitor(
                options_for(lsl(name, store=path)), has_epochs(path, 1), before_stop=full.__enter__
            )
    finally:
        full.__exit__(None, None, None)
    with closing(NightStore.open(path)) as store:
        assert not store.ended()
        assert store.n_epochs() == 1


def test_a_live_night_whose_file_is_deleted_goes_on_beside_it_and_fails_at_the_end(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "night.sqlite"
    other = tmp_path / "night-2.sqlite"

    def enough() -> bool:
        if has_epochs(path, 1)():
            path.unlink()
        return has_epochs(other, 1)()

    with (
        peer(name=name, ago=33),
        pytest.raises(MonitorError, match=r"night\.sqlite was deleted or moved .*night-2\.sqlite"),
    ):
        monitor(options_for(lsl(name, store=path)), enough)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["night-2.sqlite"]
    with closing(NightStore.open(other)) as store:
        assert store.ended()
        assert [event.sequence for event in events_of(store)] == list(
            range(1, store.last_sequence() + 1)
        )
