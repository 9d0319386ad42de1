"""Each action with a real peer: a program, a broker, a web server, an OSC server, an LSL inlet."""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.clock import SystemClock
from monitor.config import HttpConfig, MqttConfig, OscConfig, Rule, WayOptions
from monitor.errors import InputError
from monitor.night.events import rule_event
from monitor.rules import actions
from monitor.rules.actions import MOST_ACTIONS, Actor, Order, check_actions
from tests.rules.scripted import Script, rule
from tests.sinks.waiting import until
from tests.sinks.ways.broker import Broker, Subscriber, mosquitto
from tests.sinks.ways.listener import Listener
from tests.sinks.ways.receiver import Receiver

SCRIPT = Script().sleep("2")
FIRING = {"rule": "a rule", "stage": "N2", "epoch_index": 0, "sleeper": "anna"}


class Failures(list[tuple[str, str]]):
    """Records the actions that failed, and why."""

    def __call__(self, order: Order, action: str, reason: str) -> None:
        self.append((action, reason))


def order(acting: Rule) -> Order:
    """Return a firing of the rule, which is on disk."""
    (decision,) = SCRIPT.decide(acting)
    made = Order(acting, rule_event(SCRIPT.session, 0, decision), "anna")
    made.stored.set()
    return made


def carry_out(actor: Actor, acting: Rule) -> Failures:
    """Carry out a firing, wait for its actions, and return what failed."""
    failures = Failures()
    actor.carry_out(order(acting), failures)
    until(lambda: not running(), "the end of the actions")
    return failures


def running() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("rule ")]


@pytest.fixture
def actor() -> Iterator[Actor]:
    with Actor(WayOptions(), SystemClock(), "anna") as actor:
        yield actor


def acts(**keys: Any) -> Rule:
    return rule(**{"stage": "N2", "command": [], **keys})


# --- programs


def test_a_program_runs_without_a_shell_and_reads_the_firing(actor: Actor, tmp_path: Path) -> None:
    name = tmp_path / "$(touch x); *"
    assert carry_out(actor, acts(command=["tee", str(name)])) == []
    assert json.loads(name.read_text()).items() >= FIRING.items()
    assert list(tmp_path.iterdir()) == [name]


def test_a_program_that_fails_is_told(actor: Actor) -> None:
    assert carry_out(actor, acts(command=["false"])) == [("command", "false ended with status 1")]
    missing = carry_out(actor, acts(command=["/no/such/program"]))
    assert missing[0][1].startswith("/no/such/program cannot be started: FileNotFoundError")


def test_a_program_that_does_not_end_is_ended_with_its_children(
    actor: Actor, tmp_path: Path
) -> None:
    late = tmp_path / "late"
    command = ["sh", "-c", f"(sleep 0.6; touch '{late}') & sleep 30"]
    began_s = time.monotonic()
    failures = carry_out(actor, acts(command=command, limit="0.2 s"))
    assert failures == [("command", "sh was ended after 0.2 s")]
    time.sleep(0.7)
    assert not late.exists()
    assert time.monotonic() - began_s < 5.0


def test_a_program_that_runs_at_the_end_of_the_night_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actions, "END_S", 0.1)
    with Actor(WayOptions(), SystemClock()) as actor:
        actor.carry_out(order(acts(command=["sleep", "60"])), Failures())
        until(lambda: bool(running()), "the program")
    until(lambda: not running(), "the end of the program")


def test_a_rule_in_a_loop_is_bounded_and_an_alarm_is_not(actor: Actor, tmp_path: Path) -> None:
    failures = Failures()
    slow = acts(command=["sleep", "1"])
    for _ in range(MOST_ACTIONS + 2):
        actor.carry_out(order(slow), failures)
    heard = tmp_path / "heard"
    actor.carry_out(order(acts(command=["touch", str(heard)], latest="07:00")), failures)
    until(heard.exists, "the alarm")
    assert failures == [("command", "not begun: 16 actions run already")] * 2


def test_a_sound_is_played_by_a_program_that_is_installed(
    actor: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = tmp_path / "played"
    player = tmp_path / "paplay"
    player.write_text(f'#!{sys.executable}\nimport sys\nopen("{played}", "w").write(sys.argv[1])')
    player.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    bell = tmp_path / "bell.wav"
    bell.touch()
    chime = acts(sound=str(bell))
    check_actions([chime], WayOptions())
    assert carry_out(actor, chime) == []
    assert played.read_text() == str(bell)


# --- messages


@pytest.mark.skipif(mosquitto() is None, reason="apt-get install mosquitto")
def test_a_message_by_mqtt(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        broker.start()
        ways = WayOptions(mqtt=MqttConfig(host="127.0.0.1", port=broker.port))
        with Subscriber(broker.port) as lamp, Actor(ways, SystemClock(), "anna") as actor:
            plain = acts(mqtt={"topic": "lamp/set", "payload": "ON", "retain": True})
            assert carry_out(actor, plain) == []
            assert carry_out(actor, acts(mqtt={"topic": "sleep/rule"})) == []
            until(lambda: len(lamp.messages) == 2, "both messages")
        assert lamp.on("lamp/set") == ["ON"]
        assert json.loads(lamp.on("sleep/rule")[0]).items() >= FIRING.items()


def test_a_post_to_its_own_url_or_to_that_of_the_night() -> None:
    with Receiver() as hook, Receiver() as night:
        ways = WayOptions(http=HttpConfig(url=night.url, secret="not known"))  # type: ignore[arg-type]
        with Actor(ways, SystemClock(), "anna") as actor:
            assert carry_out(actor, acts(http={"url": hook.url, "body": "wake up"})) == []
            assert carry_out(actor, acts(http={})) == []
        with Actor(WayOptions(), SystemClock()) as actor:
            assert carry_out(actor, acts(http={"url": hook.url})) == []
        assert hook.posts[0].body == "wake up"
        assert json.loads(night.posts[0].body).items() >= FIRING.items()
        assert "webhook-signature" in night.posts[0].headers


def test_a_web_server_that_refuses_is_told_without_its_secret(actor: Actor) -> None:
    with Receiver() as hook:
        hook.answers = [500]
        ((action, reason),) = carry_out(actor, acts(http={"url": hook.url}))
    assert action == "http"
    assert "500" in reason
    assert "not-to-be-seen" not in reason


def test_a_message_by_osc() -> None:
    with Listener() as app:
        with Actor(WayOptions(osc=OscConfig(port=app.port)), SystemClock()) as actor:
            assert carry_out(actor, acts(osc={"address": "/cue", "values": [1, 0.5, "a"]})) == []
            until(lambda: bool(app.messages), "the message")
        assert app.messages == [("/cue", (1, 0.5, "a"))]


def test_a_marker_by_lsl_in_a_stream_that_is_there_before() -> None:
    import pylsl

    sleeper = f"anna-{uuid.uuid4().hex[:8]}"
    cue = acts(lsl="cue")
    with Actor(WayOptions(), SystemClock(), sleeper) as actor:
        actor.prepare([cue])
        (info,) = pylsl.resolve_byprop("name", f"sleep-monitor-rules-{sleeper}", timeout=10.0)
        inlet = pylsl.StreamInlet(info)
        inlet.open_stream(timeout=10.0)
        assert carry_out(actor, cue) == []
        sample, stamp_s = inlet.pull_sample(timeout=10.0)
        inlet.close_stream()
    assert sample == ["cue"]
    assert abs(pylsl.local_clock() - stamp_s) < 5.0


# --- before the night


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"command": ["no-such-program"]}, "command: there is no program 'no-such-program'"),
        ({"sound": "/no/bell.wav"}, "sound: there is no file /no/bell.wav"),
        ({"mqtt": {"topic": "a"}}, "mqtt: there is no table [mqtt] that names the broker"),
        ({"osc": {"address": "/a"}}, "osc: there is no table [osc] that names the host"),
        ({"http": {}}, "http: give its url, or a table [http]"),
    ],
)
def test_an_action_that_cannot_work_is_refused_before_the_night(
    keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as raised:
        check_actions([acts(**keys)], WayOptions())
    assert str(raised.value) == f"rule 'a rule': {message}"


def test_an_alarm_that_needs_the_network_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    check_actions([acts(latest="07:00", http={"url": "http://a.org"})], WayOptions())
    assert "The alarm 'a rule' needs the network" in caplog.text
