"""`follow` and `afollow` with a real server: every fresh stage once, no history, no silence."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from models.contract import Stage
from monitor.client import Back, Gone, StagedEpoch, afollow, follow
from monitor.client.following import ENDED, RESUMED, STAGE, STARTED
from monitor.clock import ManualClock, SystemClock
from monitor.errors import InputError, MonitorError
from monitor.night.envelope import Mode
from monitor.night.events import EventType, session_started, stage_event
from monitor.sinks.event_log import MemoryEventLog
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import RedisServer
from tests.client.apps import App
from tests.client.nights import Night
from tests.sinks.peers import KEYS, a_session, publishing, scored
from tests.sinks.waiting import until


def clients_reading(url: str) -> int:
    client: Any = connect(url)
    try:
        return sum(each["cmd"] == "xread" for each in client.client_list())
    finally:
        client.close()


both = pytest.mark.parametrize("kind", ["sync", "async"])


@both
def test_yields_each_stage_as_it_comes(server: RedisServer, kind: str) -> None:
    night = Night()
    with night.on(server.url), App(kind, server.url, clock=night.clock) as app:
        for n, stage in enumerate(Stage):
            night.stage(stage)
            app.wait(n + 1)
    assert [epoch.stage for epoch in app.epochs] == list(Stage)
    assert app.epochs[2] == StagedEpoch(
        session="night-1",
        sleeper="",
        mode="live",
        id="stage/2/live/0",
        track="live",
        epoch_index=2,
        revision=0,
        final=True,
        start_utc=night.session.start_utc + timedelta(seconds=60),
        end_utc=night.session.start_utc + timedelta(seconds=90),
        stage=Stage.N2,
        reason=None,
        confidence=0.8,
        probabilities=(0.05, 0.05, 0.8, 0.05, 0.05),
        model="test 1.0",
        age_s=app.epochs[2].age_s,
    )
    assert all(abs(epoch.age_s) <= 30.0 for epoch in app.epochs)
    assert app.error is None


def test_the_app_chooses_track_confidence_and_unscored(server: RedisServer) -> None:
    night = Night()
    options: dict[str, Any] = {"clock": night.clock, "fresh_s": None}
    with (
        night.on(server.url),
        App("sync", server.url, track="revised", **options) as revised,
        App("sync", server.url, min_confidence=0.8, **options) as sure,
        App("sync", server.url, unscored=True, **options) as all_of_them,
    ):
        night.stage(Stage.N2)
        night.stage(Stage.N3, confidence=0.79)
        night.stage(None)
        night.stage(Stage.R, confidence=0.9)
        all_of_them.wait(4)
        sure.wait(2)
        revised.wait(3)
    assert sure.indices == [0, 3]
    assert (revised.indices, {epoch.track for epoch in revised.epochs}) == ([0, 1, 3], {"revised"})
    unscored = all_of_them.epochs[2]
    assert (unscored.stage, unscored.reason, unscored.confidence) == (None, "flat", None)


@both
def test_history_is_no_news_unless_it_is_asked_for(server: RedisServer, kind: str) -> None:
    night = Night()
    with night.on(server.url):
        night.stage(*[Stage.N2] * 10)
        night.wait()
        # The server got all of them just now: their own time counts.
        with App(kind, server.url, fresh_s=60.0, clock=night.clock) as app:
            night.stage(Stage.R)
            until(lambda: 10 in app.indices, "the new stage")
        with App(kind, server.url, fresh_s=None, clock=night.clock) as logger:
            logger.wait(11)
    assert app.indices == [7, 8, 9, 10] or app.indices == [8, 9, 10]
    assert logger.indices == list(range(11))


def test_a_stage_that_was_sent_late_is_no_news(server: RedisServer) -> None:
    night = Night()
    with night.on(server.url), App("sync", server.url, clock=night.clock) as app:
        night.stage()
        app.wait(1)
        server.stop()
        night.stage(*[Stage.N2] * 20)
        server.start()
        night.wait()
        night.stage()
        until(lambda: 21 in app.indices, "the new stage")
    assert not set(app.indices) & set(range(1, 18))


def test_what_is_left_out_is_logged(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    night, late = Night(), ManualClock(Night().session.start_utc + timedelta(hours=1))
    with night.on(server.url), App("sync", server.url, clock=late) as app:
        until(lambda: clients_reading(server.url) == 1, "the app to read")
        night.stage(Stage.N2, Stage.N3)
        until(lambda: bool(caplog.messages), "the line")
    assert app.epochs == []
    assert caplog.messages == [
        "left out epoch 0 of night-1: it is 3570 s old. It was sent late, or the clocks of the "
        "machines differ"
    ]


def test_a_stage_that_the_app_was_too_busy_for_is_no_news(server: RedisServer) -> None:
    night = Night()
    with night.on(server.url):
        night.stage()
        night.wait()
        got = []
        for epoch in follow(server.url, clock=night.clock):
            got.append(epoch.epoch_index)
            if len(got) == 1:
                night.stage(*[Stage.N2] * 5)
                night.wait()
            if got[-1] == 5:
                break
    assert got in ([0, 3, 4, 5], [0, 4, 5])


@both
def test_a_server_that_lost_its_data_doubles_nothing(server: RedisServer, kind: str) -> None:
    night = Night()
    with night.on(server.url), App(kind, server.url, clock=night.clock, fresh_s=1e6) as app:
        night.stage(*[Stage.N2] * 5)
        app.wait(5)
        for _ in range(2):
            server.stop()
            night.stage()
            server.start()
            night.stage()
            night.wait()
        until(lambda: 8 in app.indices, "the last stage")
    assert app.indices == list(range(9))


def test_a_night_that_is_over_is_no_reason_for_a_warning(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    night = Night()
    with night.on(server.url):
        night.stage(*[Stage.N2] * 3)
        night.end()
        night.wait()
    night.clock.advance(3600.0)
    with App("sync", server.url, clock=night.clock) as app:
        app.wait_for_changes(1)
    assert (app.epochs, caplog.messages) == ([], [])


# Restarts of the app


def test_the_position_goes_on_where_the_loop_ended(server: RedisServer, tmp_path: Path) -> None:
    night, path = Night(), tmp_path / "position.json"

    def take(n: int) -> list[int]:
        options: dict[str, Any] = {"clock": night.clock, "fresh_s": 1e6, "position": path}
        return [epoch.epoch_index for epoch in islice(follow(server.url, **options), n)]

    with night.on(server.url):
        night.stage(*[Stage.N2] * 4)
        night.wait()
        assert take(3) == [0, 1, 2]
        night.stage(*[Stage.N2] * 4)
        night.wait()
        assert take(2) == [3, 4]
        server.stop()  # empty: the monitor sends the night again
        server.start()
        night.wait()
        assert take(3) == [5, 6, 7]


def test_a_position_that_is_older_than_the_limit_yields_no_history(
    server: RedisServer, tmp_path: Path
) -> None:
    night = Night()
    options: dict[str, Any] = {"clock": night.clock, "position": tmp_path / "position"}
    with night.on(server.url):
        night.stage()
        night.wait()
        assert next(follow(server.url, **options)).epoch_index == 0
        night.stage(*[Stage.N2] * 9)
        night.wait()
        assert next(follow(server.url, **options)).epoch_index in (7, 8)


APP = """
import sys
from monitor.client import follow
for epoch in follow(sys.argv[1], position=sys.argv[2], fresh_s=None):
    print(epoch.epoch_index, flush=True)
"""


def test_an_app_that_is_killed_misses_nothing(server: RedisServer, tmp_path: Path) -> None:
    night = Night()
    out = tmp_path / "out"
    with night.on(server.url):
        for round_ in range(3):
            with out.open("ab") as file:
                app = subprocess.Popen(
                    [sys.executable, "-c", APP, server.url, str(tmp_path / "position")],
                    stdout=file,
                )
            night.stage(*[Stage.N2] * 10)
            want = 10 * round_ + 5
            until(lambda want=want: len(out.read_text().splitlines()) >= want, "some epochs")
            app.kill()
            app.wait()
        with App(
            "sync", server.url, position=tmp_path / "position", fresh_s=None, clock=night.clock
        ) as rest:
            until(lambda: rest.indices[-1:] == [29], "the last epoch")
    got = [int(line) for line in out.read_text().splitlines()] + rest.indices
    assert sorted(set(got)) == list(range(30))
    # Only the epoch that was in the app's hands when it died may come again.
    assert len(got) <= 30 + 3


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 2}', '{"version":1,"entry":"x","sessions":{}}', "\0"]
)
def test_a_damaged_position_is_named_and_not_used(
    server: RedisServer, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    night, path = Night(), tmp_path / "position.json"
    path.write_text(content)
    with night.on(server.url):
        night.stage()
        night.wait()
        assert next(follow(server.url, clock=night.clock, position=path)).epoch_index == 0
    assert str(path) in caplog.messages[0]
    assert json.loads(path.read_text())["sessions"] == {"night-1": [2, "stage/0/live/0"]}


@pytest.mark.parametrize("name", ["", "none/position", "\0"])
def test_a_position_that_cannot_be_kept_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="the position cannot be kept in"):
        follow(position=tmp_path / name)


# The monitor's presence


@both
def test_tells_when_the_monitor_is_dead_and_when_it_is_back(server: RedisServer, kind: str) -> None:
    night = Night()
    # The app's clock is another one: the monitor is silent on it, and alive on its own.
    app_clock = ManualClock(night.session.start_utc)
    with App(kind, server.url, clock=app_clock) as app:
        app.wait_for_changes(1)
        with night.on(server.url):
            until(lambda: app_clock.advance(1.0) or len(app.changes) == 2, "the monitor")
        app_clock.advance(10.0)
        assert len(app.changes) == 2
        app_clock.advance(10.0)
        app.wait_for_changes(3)
        night.clock.advance(60.0)
        with night.on(server.url):
            until(lambda: app_clock.advance(1.0) or len(app.changes) == 4, "the monitor again")
    assert app.changes == [
        Gone(f"no monitor sends to {server.url}"),
        Back("night-1", ""),
        Gone("no heartbeat for 15 s"),
        Back("night-1", ""),
    ]


def test_a_short_restart_of_the_server_is_no_absence(server: RedisServer) -> None:
    night = Night()
    app_clock = ManualClock(night.session.start_utc)
    with night.on(server.url), App("sync", server.url, clock=app_clock) as app:
        night.stage()
        app.wait(1)
        server.stop()
        night.clock.advance(10.0)
        app_clock.advance(10.0)
        server.start()
        night.wait()
        night.clock.advance(20.0)
        night.stage()
        app.wait(2)
    assert app.changes == []


def test_a_server_that_is_away_is_a_monitor_that_is_gone(server: RedisServer) -> None:
    night = Night()
    app_clock = ManualClock(night.session.start_utc)
    with night.on(server.url), App("sync", server.url, clock=app_clock) as app:
        night.stage()
        app.wait(1)
        server.stop()

        def gone() -> bool:
            app_clock.advance(1.0)  # again and again: the app may not have noticed yet
            return bool(app.changes)

        until(gone, "the app to notice")
    assert app.changes == [Gone(f"no answer from {server.url}")]


def test_the_end_of_the_night_is_told_at_once(server: RedisServer) -> None:
    night, app_clock = Night(), ManualClock()
    with night.on(server.url), App("sync", server.url, fresh_s=None, clock=app_clock) as app:
        night.stage()
        app.wait(1)
        night.end()
        app.wait_for_changes(1)
        # The heartbeats that still come do not bring it back.
        night.clock.advance(5.0)
        with Night("night-2", clock=night.clock).on(server.url):
            until(lambda: app_clock.advance(1.0) or len(app.changes) == 2, "the next night")
    assert app.changes == [Gone("the night has ended"), Back("night-2", "")]


# Sleepers, replays, clocks


def test_one_of_several_sleepers(server: RedisServer) -> None:
    anna, ben = Night("a", "anna"), Night("b", "ben")
    ben.clock = anna.clock
    with (
        anna.on(server.url),
        ben.on(server.url, heartbeat_ttl_s=1),
        App("sync", server.url, sleeper="ben", fresh_s=None, clock=ManualClock()) as app,
        App("sync", server.url, fresh_s=None, clock=ManualClock()) as everyone,
    ):
        anna.stage(Stage.N3)
        ben.stage(Stage.R)
        app.wait(1)
        everyone.wait(2)
        ben.end()
        app.wait_for_changes(1)
        assert everyone.changes == []
    assert [(epoch.sleeper, epoch.stage) for epoch in app.epochs] == [("ben", "R")]
    assert {epoch.sleeper for epoch in everyone.epochs} == {"anna", "ben"}
    assert app.changes == [Gone("the night has ended")]


def test_a_sleeper_is_known_when_the_start_of_the_night_is_gone(server: RedisServer) -> None:
    night = Night("a", "anna")
    client: Any = connect(server.url)
    with night.on(server.url):
        night.stage(Stage.N3)
        night.wait()
        client.xtrim(KEYS.events, maxlen=1, approximate=False)
        night.stage(Stage.R)
        night.wait()
        found = next(follow(server.url, sleeper="anna", clock=night.clock))
    client.close()
    assert (found.sleeper, found.mode, found.stage) == ("anna", "live", "R")


def test_a_replay_is_no_night_unless_it_is_asked_for(server: RedisServer) -> None:
    live, replay = Night("live"), Night("replay")
    with (
        App("sync", server.url, clock=live.clock) as app,
        # Of a replay the time of sending counts, on the machine's clock.
        App("sync", server.url, replays=True) as trial,
        replay.on(server.url, Mode.REPLAY),
    ):
        trial.wait_for_changes(1)
        replay.stage(*[Stage.N2] * 5)
        trial.wait(5)
        assert (app.epochs, len(app.changes)) == ([], 1)  # not there, from the start
        with live.on(server.url):
            live.stage(Stage.R)
            app.wait(1)
    assert [epoch.session for epoch in app.epochs] == ["live"]
    assert {epoch.mode for epoch in trial.epochs} == {"replay"}


def test_a_replay_that_is_run_again_is_yielded_again(server: RedisServer) -> None:
    replay = Night("replay")
    with App("sync", server.url, replays=True) as app:
        for round_ in (1, 2):
            replay = Night("replay")
            with replay.on(server.url, Mode.REPLAY):
                replay.stage(*[Stage.N2] * 3)
                replay.end()
                replay.wait()
                app.wait(3 * round_)
            client: Any = connect(server.url)
            client.delete(KEYS.events, KEYS.published("replay"))
            client.close()
    assert app.indices == [0, 1, 2] * 2


class Fast(SystemClock):
    """A machine whose clock is three hours fast."""

    def utc(self) -> datetime:
        return super().utc() + timedelta(hours=3)


def test_clocks_that_differ_make_no_stage_stale(server: RedisServer) -> None:
    """The heartbeat has the time on the night's clock."""
    clock = SystemClock()
    start_utc = clock.utc() - timedelta(seconds=60)
    session, log = replace(a_session(), start_utc=start_utc), MemoryEventLog()
    log.append(session_started(session, 1))
    with (
        publishing(log, server.url, clock=clock, heartbeat_s=0.1) as publisher,
        App("sync", server.url, clock=Fast()) as app,
    ):
        for n in range(100):
            log.append(stage_event(session, 2 + n, scored(1)))  # it ends about now
            publisher.notify()
            clock.sleep(0.1)
            if app.epochs:
                break
    assert n > 1
    assert abs(app.epochs[0].age_s) < 12.0


def test_the_heartbeat_has_the_sleeper_also_after_a_restart(server: RedisServer) -> None:
    night = Night("a", "anna")
    client: Any = connect(server.url)
    for _ in range(2):
        with night.on(server.url):
            night.wait()
            until(lambda: client.exists(KEYS.heartbeat("a")) == 1, "the heartbeat")
            assert json.loads(client.get(KEYS.heartbeat("a")))["sleeper"] == "anna"
        client.delete(KEYS.heartbeat("a"))
    client.close()


# Errors


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "http://example.org"}, "is not valid"),
        ({"url": "redis://:s3cret@:x"}, "is not valid"),
        ({"track": "Live"}, "track must be one of live, revised, got 'Live'"),
        ({"min_confidence": 80}, "min_confidence must be 0 to 1, got 80"),
        ({"fresh_s": 0}, "fresh_s must be above 0"),
        ({"fresh_s": float("nan")}, "fresh_s must be above 0"),
    ],
)
@pytest.mark.parametrize("function", [follow, afollow])
def test_a_wrong_argument_is_refused_at_the_call(
    function: Any, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        function(**options)
    assert "s3cret" not in str(caught.value)


@both
def test_a_wrong_password_is_one_clear_error(kind: str) -> None:
    with RedisServer(0, password="right") as server:
        url = server.url.replace("right", "s3cret")
        with App(kind, url) as app:
            until(lambda: app.error is not None, "the error")
    assert isinstance(app.error, MonitorError)
    assert "refuses this user: AuthenticationError" in str(app.error)
    assert "s3cret" not in str(app.error)


@both
def test_no_server_is_an_error_only_after_the_limit(server: RedisServer, kind: str) -> None:
    server.stop()
    with App(kind, server.url, wait_s=0.2) as app:
        until(lambda: app.error is not None, "the error")
    assert isinstance(app.error, MonitorError)
    assert str(app.error).startswith(f"no event server in 0.2 s at {server.url} (")
    assert app.changes == [Gone(f"no answer from {server.url}")]


@both
def test_a_server_that_comes_later_is_waited_for(server: RedisServer, kind: str) -> None:
    server.stop()
    night = Night()
    with App(kind, server.url, clock=night.clock) as app:
        app.wait_for_changes(1)
        server.start()
        with night.on(server.url):
            night.stage()
            app.wait(1)
            app.wait_for_changes(2)
    assert app.changes[:2] == [Gone(f"no answer from {server.url}"), Back("night-1", "")]


def test_entries_of_other_programs_are_skipped(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    night = Night()
    client: Any = connect(server.url)
    bad = {"epoch_index": "x"}, {"stage": "S4"}, {"confidence": 7}, {"start_utc": None}
    with night.on(server.url), App("sync", server.url, clock=night.clock) as app:
        night.stage()
        app.wait(1)
        (_, entry), *_ = client.xrevrange(KEYS.events, count=2)[1:]
        event = json.loads(entry["event"])
        client.xadd(KEYS.events, {"event": "[" * 99_999})
        client.xadd(KEYS.events, {"other": "field"})
        for n, change in enumerate(bad):
            wrong = {**event, "sequence": str(n + 1), "source": "/sleep-monitor/other"}
            wrong["data"] = event["data"] | change
            client.xadd(KEYS.events, {"event": json.dumps(wrong)})
        client.set(KEYS.heartbeat(), "[1, 2]")
        night.stage()
        app.wait(2)
    client.close()
    assert app.indices == [0, 1]
    assert len([each for each in caplog.messages if "skipped an entry" in each]) == 1


def test_events_that_the_server_holds_no_more_are_counted(
    server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    night = Night()
    client: Any = connect(server.url)
    options: dict[str, Any] = {"fresh_s": None, "position": tmp_path / "p", "clock": night.clock}
    with night.on(server.url):
        night.stage()
        night.wait()
        assert next(follow(server.url, **options)).epoch_index == 0
        night.stage(*[Stage.N2] * 5)
        night.wait()
        client.xtrim(KEYS.events, maxlen=4, approximate=False)
        assert next(follow(server.url, **options)).epoch_index == 4
    client.close()
    assert caplog.messages == ["7 events of night-1 are missing: the server holds them no more"]


def test_the_rights_of_an_app_are_enough() -> None:
    night = Night()
    with RedisServer(0, protected=True) as server, night.on(server.own_url):
        night.stage()
        assert next(follow(server.url, clock=night.clock)).epoch_index == 0


def test_stop_ends_the_loop() -> None:
    stop = threading.Event()
    stop.set()
    with RedisServer(0) as server:
        assert list(follow(server.url, stop=stop)) == []


def test_a_generator_that_is_closed_closes_its_connection(server: RedisServer) -> None:
    night = Night()
    with night.on(server.url):
        night.stage()
        night.wait()
        with closing(follow(server.url, clock=night.clock)) as epochs:
            next(epochs)
        assert list(epochs) == []


def test_a_status_may_be_a_coroutine_function(server: RedisServer) -> None:
    night, changes = Night(), []

    async def status(change: Gone | Back) -> None:
        await asyncio.sleep(0)
        changes.append(change)

    async def run() -> int:
        epochs = afollow(server.url, clock=night.clock, status=status)
        async for epoch in epochs:
            await epochs.aclose()
            return epoch.epoch_index
        raise AssertionError("no epoch")

    with night.on(server.url):
        night.stage()
        night.wait()
        assert asyncio.run(run()) == 0
        night.end()
        night.wait()


def test_a_cancelled_task_ends_at_once_at_every_moment(server: RedisServer) -> None:
    """redis-py loses a cancellation now and then."""

    async def read() -> None:
        async for _ in afollow(server.url):
            raise AssertionError("nobody sends an epoch")

    async def run() -> None:
        tasks = []
        for n in range(150):
            tasks.append(asyncio.create_task(read()))
            await asyncio.sleep(n * 1e-4)
            tasks[-1].cancel()
        done, pending = await asyncio.wait(tasks, timeout=10)
        assert (len(pending), {task.cancelled() for task in done}) == (0, {True})

    asyncio.run(run())


# The import


def test_the_import_needs_no_numpy() -> None:
    program = "import sys; import monitor.client; print([m for m in sys.modules if m in %r])"
    heavy = ["numpy", "scipy", "torch", "onnxruntime", "pylsl", "brainflow", "rich", "pydantic"]
    run = subprocess.run(
        [sys.executable, "-c", program % (heavy,)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"


def test_the_types_of_events_are_those_of_the_monitor() -> None:
    assert [STAGE, STARTED, RESUMED, ENDED] == [
        EventType.STAGE,
        EventType.SESSION_STARTED,
        EventType.SESSION_RESUMED,
        EventType.SESSION_ENDED,
    ]
