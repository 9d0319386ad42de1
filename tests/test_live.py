"""Live nights from end to end: real streams and boards, a real server, the files that stay."""

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
from pathlib import Path

import pytest
from rich.console import Console

from monitor.clock import SystemClock, boot_id
from monitor.config import BrainflowConfig, LiveOptions, LslConfig, SleeperOptions
from monitor.errors import InputError, MonitorError
from monitor.live import run_live
from monitor.night.events import EventType
from monitor.night.live_night import LiveNight
from monitor.night.store import NightStore
from monitor.pipeline import begin
from monitor.sinks.mark_sender import send_mark
from monitor.sinks.redis_server import RedisServer
from monitor.types import MarkKind, Montage, Reason, Track
from tests.lsl_peer import confine, peer
from tests.night.test_store import disk_of
from tests.nights import Nights, events_of, excerpt_uv, night_session, whole_chunks
from tests.signals import START

names = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def on_this_machine(tmp_path_factory: pytest.TempPathFactory) -> None:
    confine(tmp_path_factory.mktemp("lsl"))


def names_of_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def open_files() -> list[Path]:
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that the folder itself is read by
            found.append(descriptor.readlink())
    return found


@pytest.fixture(autouse=True)
def nothing_is_left_running(tmp_path: Path) -> Iterator[None]:
    """Whatever happened: no thread goes on, no file stays open, no lock stays."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
    assert [path for path in open_files() if tmp_path in path.parents] == []
    assert list(tmp_path.rglob("*.lock")) == []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where nights are kept that no --store is given for."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "sleep-monitor" / "nights"


@pytest.fixture
def name() -> str:
    return f"Live-{os.getpid()}-{next(names)}"


def asked(*sleepers: SleeperOptions, **options: object) -> LiveOptions:
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
    """Monitor until it is ``enough``, or it ends by itself; what was printed."""
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
    """What another program reads of a night, also while it is written."""
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
    """The stream begins 62 s ago: two epochs at once. A mark comes from elsewhere."""
    path, csv = tmp_path / "night.sqlite", tmp_path / "epochs.csv"
    said = io.StringIO()
    with RedisServer(0) as server, peer(name=name, ago=62):
        printed = monitor(
            asked(lsl(name, store=path, output=csv), redis=server.url, no_redis=False),
            has_epochs(path, 2),
            before_stop=lambda: send_mark(
                Console(file=said, width=100),
                server.url,
                MarkKind.NOTE,
                "thunder",
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
        told = events_of(store)
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))
    assert told[0].type == EventType.SESSION_STARTED
    assert told[-1].type == EventType.SESSION_ENDED
    assert "recorded" in said.getvalue()
    assert rows(path, "SELECT count(*) FROM event WHERE published_utc IS NULL") == [(0,)]
    assert csv.read_text().count("\n") == 3
    assert "TST" in printed


def test_a_board_of_brainflow(home: Path) -> None:
    options = asked(SleeperOptions(BrainflowConfig(board="synthetic"), "ben"), no_redis=False)
    monitor(options, lambda: any(begun(path)() for path in home.glob("*-ben.sqlite")))
    (path,) = home.glob("*.sqlite")
    with closing(NightStore.open(path)) as store:
        session = store.session()
        assert session is not None
        assert (session.sleeper, session.sfreq_hz) == ("ben", 250.0)
        assert store.ended()
        assert store.n_epochs() == 0
    assert rows(path, "SELECT count(*), count(published_utc) FROM event") == [(2, 2)]


def test_one_sleeper_who_fails_touches_no_other(name: str, home: Path, tmp_path: Path) -> None:
    anna, ben = tmp_path / "anna.sqlite", tmp_path / "ben.sqlite"
    with (
        peer(name=f"{name}-anna"),
        peer(name=f"{name}-ben", ago=33),
        pytest.raises(InputError, match="there is no channel 'Cz'"),
    ):
        monitor(
            asked(
                lsl(f"{name}-anna", sleeper="anna", channels=("Cz",), store=anna),
                lsl(f"{name}-ben", sleeper="ben", store=ben),
            ),
            lambda: has_epochs(ben, 1)() and "sleeper anna" not in names_of_threads(),
        )
    assert not anna.exists()
    with closing(NightStore.open(ben)) as store:
        assert store.ended()
        assert store.n_epochs() == 1


def test_a_night_goes_on_after_the_monitor_was_killed(name: str, tmp_path: Path) -> None:
    """In epoch 3, most of which is missing then."""
    path = tmp_path / "night.sqlite"
    command = ("live", "lsl", "--source-id", name, "--store", str(path))
    with peer(name=name, ago=113):
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
        monitor(asked(lsl(name, store=path)), has_epochs(path, 4), limit_s=40.0)
    with closing(NightStore.open(path)) as store:
        epochs, told = list(store.epochs()), events_of(store)
        live = store.predictions(Track.LIVE)
    assert [epoch.index for epoch in epochs] == [0, 1, 2, 3]
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))
    (resumed,) = [event for event in told if event.type == EventType.SESSION_RESUMED]
    assert resumed.data["epoch_index"] == 3
    assert sum(epoch.ledger.lost for epoch in epochs[:3]) == 0
    assert epochs[3].ledger.lost > 1500
    assert live[3].reason is Reason.MISSING


def test_a_night_whose_file_was_meddled_with_is_taken_up_again(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the store refuses ends one attempt, and not the night: the next begins a second later,
    also of a night that was to be a new one."""
    path = tmp_path / "night.sqlite"

    def meddle() -> bool:
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("INSERT INTO event VALUES (2, 'x', 'x', 'x', '2026-01-01', '{}', NULL)")
        return True

    meddled = False

    def enough() -> bool:
        nonlocal meddled
        meddled = meddled or (begun(path)() and meddle())
        return rows(path, "SELECT count(*) >= 3 FROM event") == [(1,)]

    with peer(name=name, ago=27):
        monitor(asked(lsl(name, store=path), new_night=True), enough)
    assert "UNIQUE constraint failed: event.sequence" in caplog.text
    with closing(NightStore.open(path)) as store:
        types = [event.type for event in events_of(store)]
        assert store.ended()
    assert types[0] == EventType.SESSION_STARTED
    assert types[2] == EventType.SESSION_RESUMED
    assert types[-1] == EventType.SESSION_ENDED


def test_a_night_ended_by_mistake_goes_on_and_a_new_one_begins_if_asked(
    name: str, home: Path
) -> None:
    def n_starts() -> list[object]:
        """How often each night in the folder was begun or gone on with."""
        what = f"type IN ('{EventType.SESSION_STARTED}', '{EventType.SESSION_RESUMED}')"
        nights = sorted(home.glob("*.sqlite"))
        return [n for path in nights for (n,) in rows(path, f"SELECT sum({what}) FROM event")]

    with peer(name=name):
        monitor(asked(lsl(name)), lambda: n_starts() == [1])
        monitor(asked(lsl(name)), lambda: n_starts() == [2])
        monitor(asked(lsl(name), new_night=True), lambda: n_starts() == [2, 1])
    assert n_starts() == [2, 1]


def test_nothing_comes(name: str, home: Path) -> None:
    with pytest.raises(InputError, match=r"nothing came within 0.3 s \(waiting for an LSL stream"):
        monitor(asked(lsl(name), wait_s=0.3))
    assert list(home.iterdir()) == []


def test_told_to_stop_before_anything_came(name: str, home: Path) -> None:
    monitor(asked(lsl(name)), lambda: True)
    assert list(home.iterdir()) == []


def test_a_channel_that_is_not_there(name: str, home: Path) -> None:
    with peer(name=name), pytest.raises(InputError, match="there is no channel 'Cz'"):
        monitor(asked(lsl(name, channels=("Cz",))))
    assert list(home.iterdir()) == []


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that a live night cannot be kept in."""
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
        monitor(asked(lsl("gone", store=stores / store)))


def test_the_night_of_another_source_is_not_gone_on_with(name: str, tmp_path: Path) -> None:
    path = tmp_path / "night.sqlite"
    with peer(name=name):
        monitor(asked(lsl(name, store=path)), begun(path))
    with pytest.raises(InputError, match="is not a night of this source"):
        monitor(asked(lsl("another", store=path)))
    with pytest.raises(InputError, match="is not a night of this source"):
        monitor(asked(lsl(name, store=path, sleeper="anna")))
    with pytest.raises(InputError, match="exists already; for --new-night choose another --store"):
        monitor(asked(lsl(name, store=path), new_night=True))


def test_a_disk_that_is_full_in_the_end_is_said_and_the_night_can_go_on(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "night.sqlite"
    full = disk_of(1)
    try:
        with (
            peer(name=name, ago=33),
            pytest.raises(MonitorError, match=r"night.sqlite failed: .*make room"),
        ):
            monitor(asked(lsl(name, store=path)), has_epochs(path, 1), before_stop=full.__enter__)
    finally:
        full.__exit__(None, None, None)
    with closing(NightStore.open(path)) as store:
        assert not store.ended()
        assert store.n_epochs() == 1
