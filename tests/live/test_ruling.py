"""Rules in a live run: at an epoch, and an alarm though nothing else works."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from monitor.clock import Clock, ManualClock, SystemClock
from monitor.config import LiveOptions, LslConfig, Rule, SleeperOptions
from monitor.errors import InputError, MonitorError
from monitor.live import run as live_run
from monitor.live import run_live
from monitor.live.ruling import rule_runners
from monitor.night.events import EventType
from monitor.night.store import NightStore
from monitor.sources.scripted import ScriptedSource
from tests.live.hanging import HangingSource
from tests.nights import events_of
from tests.rules.scripted import rule
from tests.signals import pink_noise_uv
from tests.sinks.waiting import until

RATE_HZ = 100.0
ANY_STAGE = ["awake", "asleep"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the user a folder of nights; after the test no thread runs on."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before, "the end of all threads")


def options(store: Path, *rules: Rule, **others: Any) -> LiveOptions:
    sleeper = SleeperOptions(LslConfig(source_id="nobody-has-this-id"), store=store)
    chosen: dict[str, Any] = {"no_redis": True, "dashboard": False, **others}
    return LiveOptions((sleeper,), rules=rules, **chosen)


@contextmanager
def running(
    chosen: LiveOptions, clock: Clock, *sources: Callable[..., Any]
) -> Iterator[list[MonitorError]]:
    """Run live nights in another thread until the block ends; the list receives its error."""
    stop, errors = threading.Event(), list[MonitorError]()

    def run() -> None:
        try:
            run_live(chosen, Console(file=io.StringIO()), clock, stop, *sources)
        except MonitorError as exc:
            errors.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield errors
    finally:
        stop.set()
        thread.join()


def soon(seconds: float = 2.0) -> dict[str, Any]:
    """Return the latest time of an alarm that rings soon, on the local clock."""
    at = datetime.now() + timedelta(seconds=seconds)
    return {"latest": at.time().replace(microsecond=0)}


def test_a_rule_fires_at_an_epoch_and_stands_in_the_night(tmp_path: Path) -> None:
    path, heard = tmp_path / "night.sqlite", tmp_path / "heard"
    stop = threading.Event()

    class NightClock(ManualClock):
        """A clock that runs as fast as the computer and stands still at the end of the night."""

        def sleep(self, duration_s: float) -> None:
            if self.monotonic_s() < 65.0:
                self.advance(duration_s)
            else:
                if heard.exists():
                    stop.set()
                time.sleep(0.01)

    signal_uv = pink_noise_uv(round(70 * RATE_HZ))
    cue = rule(name="cue", stage=ANY_STAGE, command=["tee", str(heard)])
    run_live(
        options(path, cue, rule(name="quiet", stage=ANY_STAGE, dry_run=True), backend="torch"),
        Console(file=io.StringIO()),
        NightClock(),
        stop,
        lambda config, timeline, offset_s, known: ScriptedSource(
            timeline, signal_uv, RATE_HZ, ("AF7",)
        ),
    )
    firing = json.loads(heard.read_text())
    with closing(NightStore.open(path)) as store:
        events = events_of(store)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    (fired,) = [event for event in events if event.type == EventType.RULE_FIRED]
    assert (fired.data["epoch_index"], firing["epoch_index"]) == (0, 0)
    assert fired.data["sample_utc"] == firing["sample_utc"]
    held = [event for event in events if event.type == EventType.RULE_HELD]
    assert [(each.data["rule"], each.data["reason"]) for each in held] == [("quiet", "dry_run")]


def test_an_alarm_rings_though_the_sleepers_thread_hangs(tmp_path: Path) -> None:
    heard, path = tmp_path / "heard", tmp_path / "night.sqlite"
    opened: list[HangingSource] = []

    def open_source(*given: Any) -> HangingSource:
        opened.append(HangingSource(*given))
        return opened[-1]

    alarm = rule(name="wake", command=["touch", str(heard)], **soon(3.0))
    with running(options(path, alarm, backend="torch"), SystemClock(), open_source):
        until(lambda: bool(opened) and opened[0].hangs.is_set(), "the source to hang")
        until(heard.exists, "the alarm")
        opened[0].let_go.set()
    with closing(NightStore.open(path)) as store:
        (fired,) = [each for each in events_of(store) if each.type == EventType.RULE_FIRED]
    assert fired.data["cause"] == "latest"


def test_an_alarm_rings_though_no_headband_is_there(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    alarm = rule(name="wake", command=["touch", str(heard)], **soon())
    with running(options(tmp_path / "night.sqlite", alarm), SystemClock()):
        until(heard.exists, "the alarm")


def test_an_alarm_rings_though_the_monitor_has_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The headband does not come within `--wait`, and nobody sits at the screen any more."""
    monkeypatch.setattr(live_run, "AT_THE_SCREEN_S", 0.0)
    heard = tmp_path / "heard"
    alarm = rule(name="wake", command=["touch", str(heard)], **soon(3.0))
    chosen = options(tmp_path / "night.sqlite", alarm, wait_s=0.2)
    with running(chosen, SystemClock()) as errors:
        until(heard.exists, "the alarm")
        until(lambda: bool(errors), "the end of the run")
    assert "nothing came within 0.2 s" in str(errors[0])


def test_a_rule_whose_arm_has_expired_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = rule(stage="N2", arm={"until": "2026-01-01T12:00:00"})
    with ExitStack() as stack:
        rule_runners(options(tmp_path / "night.sqlite", old), SystemClock(), stack)
    assert "The rule 'a rule' does nothing: its arm expired 2026-01-01 12:00:00" in caplog.text


def test_a_rule_that_cannot_act_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "night.sqlite"
    with pytest.raises(InputError, match="command: there is no program 'no-such-program'"):
        run_live(
            options(path, rule(stage="N2", command=["no-such-program"])),
            Console(file=io.StringIO()),
            SystemClock(),
            threading.Event(),
        )
    assert not path.exists()
