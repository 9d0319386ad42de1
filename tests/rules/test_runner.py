"""Rules beside a real night's file: each firing once, whatever stops, hangs or is set."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.clock import ManualClock, Timeline
from monitor.config import MqttConfig, Rule, WayOptions
from monitor.config.ways import NO_WAYS
from monitor.errors import MonitorError
from monitor.night.events import EventType
from monitor.night.live_night import LiveNight
from monitor.night.store import NightStore
from monitor.rules.actions import Actor
from monitor.rules.runner import RuleRunner
from monitor.types import Event, Montage, Session
from tests.rules.scripted import EVENING, Script, in_zone, rule
from tests.sinks.waiting import until
from tests.sinks.ways.broker import free_port

SEVEN = datetime.combine(EVENING.date() + timedelta(days=1), datetime.min.time(), EVENING.tzinfo)
SEVEN += timedelta(hours=7)


class Bedroom:
    """A night's file, a clock, and a program that writes down each firing that it receives.

    No thread runs here: the tests call `RuleRunner.read` and `RuleRunner.tick` themselves.
    """

    def __init__(self, folder: Path, start: datetime = EVENING) -> None:
        self.folder = folder
        self.clock = ManualClock(start)
        self.timeline = Timeline(self.clock)
        self.script = Script(start)
        self.heard_file = folder / "heard"
        self.store = self._open()
        live = LiveNight("lsl:test", Montage.of_one("EEG"), "boot", 0.0, None)
        self.store.begin(self.session, start, self.script.events[0], live)
        self._actors: list[Actor] = []
        self._n_stored = 1

    @property
    def session(self) -> Session:
        return self.script.session

    @property
    def command(self) -> list[str]:
        """A program that adds its standard input to a file."""
        return ["tee", "-a", str(self.heard_file)]

    def runner(self, *rules: Rule, ways: WayOptions = NO_WAYS) -> RuleRunner:
        """Return rules that run, as after a start of the monitor, without a night."""
        self._actors.append(Actor(ways, self.clock))
        return RuleRunner(rules, self._actors[-1], self.clock, in_zone())

    def begun(self, *rules: Rule, ways: WayOptions = NO_WAYS) -> RuleRunner:
        """Return rules that run in the stored night."""
        runner = self.runner(*rules, ways=ways)
        runner.begin(self.store, self.session, self.timeline)
        return runner

    def sleep(self, runner: RuleRunner, letters: str) -> None:
        """Let epochs pass: the sleeper's thread stores each, and announces what rules did."""
        for letter in letters:
            self.script.sleep(letter)
            self.clock.advance(max(0.0, (self.script.end - self.clock.utc()).total_seconds()))
            self._store_new()
            runner.read()
            runner.tick()
            self.announce(runner)

    def announce(self, runner: RuleRunner) -> None:
        """Announce what the rules did, as the sleeper's thread does."""
        runner.read()
        for event in runner.take():
            self.script.events.append(event)
            self._store_new()

    def wait_until(self, time: datetime, runner: RuleRunner) -> None:
        """Let time pass, minute by minute, without a word from the sleeper's thread."""
        while self.clock.utc() < time:
            self.clock.advance(60.0)
            runner.tick()
            runner.read()

    def restart(self) -> None:
        """Kill the monitor, and open the night's file again."""
        self.store.close()
        self.store = self._open()

    def heard(self, n: int = 1) -> list[dict[str, Any]]:
        """Return the firings that the program received, once there are ``n``."""
        if n:
            until(lambda: len(self._lines()) >= n, f"{n} firings")
        self.settle()
        return [json.loads(line) for line in self._lines()]

    def settle(self) -> None:
        """Wait for the actions that run."""
        until(
            lambda: not [t for t in threading.enumerate() if t.name.startswith("rule ")],
            "the end of the actions",
        )

    def told(self, type_: EventType) -> list[Event]:
        """Return the events of a type in the night's file."""
        return [e for e in self.store.events_after(0, 100_000) if e.type == type_]

    def close(self) -> None:
        for actor in self._actors:
            actor.close()
        self.store.close()

    def _lines(self) -> list[str]:
        if not self.heard_file.exists():
            return []
        return self.heard_file.read_text(encoding="utf-8").splitlines()

    def _open(self) -> NightStore:
        return NightStore.open(self.folder / "night.sqlite", durable=False)

    def _store_new(self) -> None:
        for event in self.script.events[self._n_stored :]:
            self._n_stored += 1
            self.store.write([replace(event, sequence=self._n_stored)])


@pytest.fixture
def bedroom(tmp_path: Path) -> Iterator[Bedroom]:
    with closing(Bedroom(tmp_path)) as bedroom:
        yield bedroom


def alarm(bedroom: Bedroom, **keys: Any) -> Rule:
    """Return a smart alarm: in light sleep from 06:30 on, at 07:00 whatever happens."""
    chosen = {"stage": "light", "between": ["06:30", "07:00"], "latest": "07:00"}
    return rule(name="wake", **{"command": bedroom.command, **chosen, **keys})


# --- a firing


def test_a_firing_is_carried_out_stored_and_announced(bedroom: Bedroom) -> None:
    runner = bedroom.begun(rule(name="cue", stage="N2", command=bedroom.command))
    bedroom.sleep(runner, "WW2")
    (heard,) = bedroom.heard()
    assert (heard["rule"], heard["stage"], heard["epoch_index"]) == ("cue", "N2", 2)
    assert heard["sample_utc"] == "2026-11-26T22:01:30.000Z"
    (event,) = bedroom.told(EventType.RULE_FIRED)
    assert event.id == heard["id"] == "rule/cue/1"
    assert event.sequence == 5


def test_a_firing_that_is_held_back_is_an_event_with_its_reason(bedroom: Bedroom) -> None:
    runner = bedroom.begun(rule(name="cue", stage="N2", command=bedroom.command, cap=1))
    bedroom.sleep(runner, "2W2")
    assert [e.data["reason"] for e in bedroom.told(EventType.RULE_HELD)] == ["cap"]
    assert len(bedroom.heard()) == 1


def test_after_a_restart_the_rules_know_what_they_did(bedroom: Bedroom) -> None:
    rules = [
        rule(name="cue", stage="N2", command=bedroom.command, cap=3, sham=0.5, seed=1),
        rule(name="rest", stage="N2", command=bedroom.command, refractory="20 min"),
    ]
    runner = bedroom.begun(*rules)
    for _ in range(6):
        bedroom.sleep(runner, "2W")
        bedroom.settle()
        bedroom.restart()
        runner = bedroom.begun(*rules)
    assert len(bedroom.told(EventType.RULE_FIRED)) == len(bedroom.heard()) > 1
    reasons = [(e.data["rule"], e.data["reason"]) for e in bedroom.told(EventType.RULE_HELD)]
    assert reasons.count(("rest", "refractory")) == 5
    assert reasons.count(("cue", "cap")) == 3


def test_a_kill_between_the_firing_and_its_event_loses_and_doubles_nothing(
    bedroom: Bedroom,
) -> None:
    """The sleeper's thread hangs, or the monitor is killed, before the event is numbered."""
    runner = bedroom.begun(alarm(bedroom))
    bedroom.wait_until(SEVEN, runner)
    runner.read()
    bedroom.heard(1)
    assert bedroom.told(EventType.RULE_FIRED) == []
    bedroom.restart()
    again = bedroom.begun(alarm(bedroom))
    bedroom.wait_until(SEVEN + timedelta(minutes=10), again)
    bedroom.announce(again)
    (event,) = bedroom.told(EventType.RULE_FIRED)
    assert (event.data["cause"], event.time) == ("latest", SEVEN)
    assert len(bedroom.heard()) == 1
    assert bedroom.store.unannounced_firings() == []


def test_what_the_rules_did_survives_the_loss_of_the_nights_file(bedroom: Bedroom) -> None:
    runner = bedroom.begun(alarm(bedroom))
    bedroom.wait_until(SEVEN, runner)
    bedroom.heard(1)
    bedroom.store.path.unlink()
    bedroom.store.keep()
    assert bedroom.store.path.name == "night-2.sqlite"
    again = bedroom.begun(alarm(bedroom))
    bedroom.wait_until(SEVEN + timedelta(minutes=5), again)
    assert len(bedroom.heard()) == 1


def test_epochs_of_an_outage_never_fire(bedroom: Bedroom) -> None:
    cue = rule(name="cue", stage="N2", command=bedroom.command)
    runner = bedroom.begun(cue)
    bedroom.sleep(runner, "W")
    bedroom.clock.advance(600.0)  # the disk was full, or the monitor away
    bedroom.script.sleep("2" * 10)
    bedroom.sleep(runner, "W")
    assert bedroom.heard(0) == []
    assert [e.data["reason"] for e in bedroom.told(EventType.RULE_HELD)] == ["stale"]
    bedroom.restart()
    bedroom.clock.advance(300.0)
    runner = bedroom.begun(cue)
    runner.read()
    assert bedroom.heard(0) == []


# --- an alarm, whatever happens


def rang_at(bedroom: Bedroom) -> list[str]:
    """Return the times at which the alarm rang, on the night's clock."""
    return [f"{datetime.fromisoformat(each['time']):%H:%M}" for each in bedroom.heard()]


def test_an_alarm_rings_without_a_scored_epoch(bedroom: Bedroom) -> None:
    runner = bedroom.begun(alarm(bedroom))
    bedroom.sleep(runner, "?" * (9 * 120 + 30))
    assert rang_at(bedroom) == ["07:00"]


def test_an_alarm_rings_though_no_headband_ever_appeared(tmp_path: Path) -> None:
    with closing(Bedroom(tmp_path)) as bedroom:
        runner = bedroom.runner(alarm(bedroom))
        bedroom.wait_until(SEVEN + timedelta(minutes=30), runner)
        assert rang_at(bedroom) == ["07:00"]


def test_an_alarm_that_rang_before_the_night_was_found_rings_once(bedroom: Bedroom) -> None:
    """The monitor was restarted at 06:58, and finds the headband at 07:05."""
    runner = bedroom.begun(alarm(bedroom))
    bedroom.sleep(runner, "3")
    bedroom.restart()
    bedroom.clock.advance(9 * 3600.0 - 150.0)
    runner = bedroom.runner(alarm(bedroom))
    bedroom.wait_until(SEVEN + timedelta(minutes=5), runner)
    runner.begin(bedroom.store, bedroom.session, bedroom.timeline)
    bedroom.wait_until(SEVEN + timedelta(minutes=9), runner)
    assert rang_at(bedroom) == ["07:00"]
    bedroom.announce(runner)
    assert len(bedroom.told(EventType.RULE_FIRED)) == 1


def test_an_alarm_rings_though_the_headband_died(bedroom: Bedroom) -> None:
    runner = bedroom.begun(alarm(bedroom))
    bedroom.sleep(runner, "23" * 20)
    bedroom.wait_until(SEVEN + timedelta(minutes=30), runner)
    assert rang_at(bedroom) == ["07:00"]


def test_an_alarm_rings_though_its_network_is_dead(bedroom: Bedroom) -> None:
    lamp = {"topic": "lamp/set", "payload": "ON"}
    ways = WayOptions(mqtt=MqttConfig(host="127.0.0.1", port=free_port()))
    runner = bedroom.begun(alarm(bedroom, mqtt=lamp), ways=ways)
    bedroom.wait_until(SEVEN, runner)
    runner.read()
    assert rang_at(bedroom) == ["07:00"]
    bedroom.announce(runner)
    (failed,) = bedroom.told(EventType.RULE_FAILED)
    assert failed.data["action"] == "mqtt"
    assert "MQTT at 127.0.0.1" in failed.data["reason"]


def test_an_alarm_rings_once_though_the_monitor_is_restarted(bedroom: Bedroom) -> None:
    runner = bedroom.begun(alarm(bedroom))
    for minutes in (-40, -5, 5, 20):
        bedroom.wait_until(SEVEN + timedelta(minutes=minutes), runner)
        bedroom.announce(runner)
        bedroom.settle()
        bedroom.restart()
        runner = bedroom.begun(alarm(bedroom))
    assert rang_at(bedroom) == ["07:00"]


def test_an_alarm_rings_late_if_the_monitor_was_away_at_its_time(bedroom: Bedroom) -> None:
    bedroom.clock.advance(9 * 3600.0 + 900.0)
    runner = bedroom.begun(alarm(bedroom))
    runner.tick()
    assert rang_at(bedroom) == ["07:15"]


@pytest.mark.parametrize(
    ("set_at", "by", "rings"),
    [
        # Put forward over its time: at once. Put back: at its time by the night's own clock.
        (timedelta(hours=-1), timedelta(hours=2), "06:01"),
        (timedelta(hours=-1), timedelta(hours=-2), "07:00"),
        (timedelta(hours=-1), timedelta(days=-400), "07:00"),
        (timedelta(hours=-8), timedelta(days=30), "07:00"),
        (timedelta(minutes=10), timedelta(hours=-1), "07:00"),
    ],
)
def test_an_alarm_rings_once_though_the_clock_is_set(
    bedroom: Bedroom, set_at: timedelta, by: timedelta, rings: str
) -> None:
    runner = bedroom.begun(alarm(bedroom))
    bedroom.wait_until(SEVEN + set_at, runner)
    bedroom.clock.set_utc(bedroom.clock.utc() + by)
    for _ in range(600):
        bedroom.clock.advance(60.0)
        runner.tick()
        runner.read()
    assert rang_at(bedroom) == [rings]


class HangingFile:
    """A night's file on a disk that hangs once the night has begun."""

    def __init__(self, store: NightStore) -> None:
        self._store = store
        self.let_go = threading.Event()

    def events_after(self, sequence: int, limit: int) -> list[Event]:
        return self._store.events_after(sequence, limit)

    def unannounced_firings(self) -> list[Event]:
        return []

    def note_firing(self, event: Event) -> None:
        self.let_go.wait()


def test_an_alarm_rings_though_the_disk_and_the_sleepers_thread_hang(bedroom: Bedroom) -> None:
    file = HangingFile(bedroom.store)
    actor = Actor(WayOptions(), bedroom.clock)
    runner = RuleRunner([alarm(bedroom)], actor, bedroom.clock, in_zone(), tick_s=0.01)
    runner.begin(file, bedroom.session, bedroom.timeline)
    runner.start()
    bedroom.clock.advance(9 * 3600.0)
    assert rang_at(bedroom) == ["07:00"]
    file.let_go.set()
    runner.close()


def test_a_file_that_cannot_be_written_is_told_once_and_the_event_is_kept(
    bedroom: Bedroom, caplog: pytest.LogCaptureFixture
) -> None:
    class FullDisk(HangingFile):
        def note_firing(self, event: Event) -> None:
            raise MonitorError("the disk is full")

    runner = bedroom.runner(rule(name="cue", stage="N2", every="30 s", command=bedroom.command))
    runner.begin(FullDisk(bedroom.store), bedroom.session, bedroom.timeline)
    bedroom.sleep(runner, "222")
    assert len(bedroom.heard(3)) == 3
    assert len(bedroom.told(EventType.RULE_FIRED)) == 3
    assert caplog.text.count("the disk is full") == 1


def test_a_rule_of_the_clock_needs_no_headband(bedroom: Bedroom) -> None:
    lights = rule(name="lights", between=["22:30", "23:00"], command=bedroom.command)
    runner = bedroom.runner(lights)
    bedroom.wait_until(EVENING + timedelta(hours=3), runner)
    assert rang_at(bedroom) == ["22:30"]


def test_an_alarm_that_cannot_ring_any_more_is_named_at_the_end(
    bedroom: Bedroom, caplog: pytest.LogCaptureFixture
) -> None:
    runner = bedroom.begun(alarm(bedroom))
    assert runner.waits_for_alarm
    runner.close()
    assert "The alarm 'wake' at 07:00 does not ring: the monitor has ended" in caplog.text
