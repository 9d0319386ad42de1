"""A night at a real MQTT broker: every event once and in order, and a state that is never stale."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from models.contract import Stage
from monitor.config import MqttConfig
from monitor.night.events import channels_event, from_json
from monitor.sinks.ways import MqttSender, WayError
from monitor.sinks.ways.mqtt_way import MqttWay
from monitor.types import ChannelState, Contact, MarkKind, Reason, Track
from tests.sinks.peers import a_session, scored, unscored
from tests.sinks.waiting import until
from tests.sinks.ways.broker import Broker, Subscriber, free_port, mosquitto, retained
from tests.sinks.ways.carrying import NightLog, carrying, night, replayed, until_sent


def config(broker: Broker, **options: Any) -> MqttConfig:
    return MqttConfig(host="127.0.0.1", port=broker.port, **options)


def test_each_event_is_published_once_in_order_as_it_stands_in_the_contract(
    broker: Broker,
) -> None:
    log = NightLog()
    log.stages(0, 199)
    with Subscriber(broker.port) as app, carrying(log, MqttWay(config(broker), night(), log)) as c:
        until_sent(c)
        log.add(scored(200))
        c.notify()
        until(lambda: len(app.sequences()) == 202, "all events")
        events = [from_json(text) for text in app.on("sleep-monitor/sleeper/events")]
    assert events == log.events_after(0, 1000)


def test_the_state_follows_the_night(broker: Broker) -> None:
    log, session = NightLog(), a_session()
    with Subscriber(broker.port) as app, carrying(log, MqttWay(config(broker), night(), log)) as c:

        def after(key: str, value: object) -> dict[str, Any]:
            c.notify()
            until(lambda: app.state().get(key) == value, f"{key} {value}; {app.state()}")
            return app.state()

        log.stages(0, 0, Stage.W)
        assert after("stage", "W")["asleep"] == "OFF"
        log.stages(1, 4, Stage.N2)
        state = after("tst_min", 2.0)
        assert (state["asleep"], state["in_bed"]) == ("ON", "ON")
        assert (state["confidence_percent"], state["sleep_as_android"]) == (80.0, "light_sleep")
        assert state["time"] == "2026-01-01T22:02:30.000Z"
        log.add(unscored(5))
        state = after("stage", "unscored")
        assert state["asleep"] is None and state["reason"] == "flat"  # nobody knows
        assert (state["tst_min"], state["in_bed"]) == (2.0, "ON")
        log.add(scored(4, Stage.W, Track.REVISED))
        assert after("tst_min", 1.5)["stage"] == "unscored"
        log.mark(MarkKind.LIGHTS_OFF, session.epoch_start_utc(2))
        assert after("tst_min", 1.0)["in_bed"] == "ON"
        log.mark(MarkKind.LIGHTS_ON, session.epoch_start_utc(6))
        assert after("in_bed", "OFF")["tst_min"] == 1.0
        log.end(session.epoch_start_utc(6))
        assert after("ended", True)["tst_min"] == 1.0


def test_history_never_appears_in_the_state(broker: Broker) -> None:
    """A subscriber to the state sees the newest epoch at once, not the night in fast motion."""
    log = NightLog()
    log.stages(0, 300, Stage.W)
    log.stages(301, 301, Stage.N3)
    with Subscriber(broker.port) as app, carrying(log, MqttWay(config(broker), night(), log)) as c:
        until_sent(c)
        until(lambda: app.state().get("stage") == "N3", "the state")
    assert [json.loads(text)["stage"] for text in app.on("sleep-monitor/sleeper/state")] == ["N3"]


def test_the_night_before_never_passes_for_tonight(broker: Broker) -> None:
    for session_id, stage in (("night-1", Stage.N2), ("night-2", Stage.W)):
        session = a_session(session_id)
        log = NightLog(session)
        way = MqttWay(config(broker), night(session), log)
        with Subscriber(broker.port) as app, carrying(log, way) as c:
            until_sent(c)
            until(lambda: "online" in app.on("sleep-monitor/sleeper/availability"), "online")
            assert app.state()["stage"] == "unscored"
            log.stages(0, 0, stage)
            c.notify()
            until(lambda stage=stage: app.state()["stage"] == stage, "the stage")


def test_a_broker_that_is_killed_gets_the_rest_in_order_and_none_is_lost(broker: Broker) -> None:
    log = NightLog()
    log.stages(0, 50)
    with Subscriber(broker.port) as app, carrying(log, MqttWay(config(broker), night(), log)) as c:
        until(lambda: len(app.sequences()) == 52, "the first events")
        broker.kill()
        log.stages(51, 150)
        c.notify()
        broker.start()
        until(lambda: app.sequences()[-1:] == [152], "the last event")
    # QoS 1 promises at least once: the broker sends again what this subscriber had not confirmed.
    assert list(dict.fromkeys(app.sequences())) == list(range(1, 153))


def test_ten_minutes_of_outage_are_bridged_from_the_place_that_was_kept(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log, port = NightLog(), free_port()
    missing = MqttConfig(host="127.0.0.1", port=port)
    with carrying(log, MqttWay(missing, night(), log)) as c:
        log.stages(0, 19)  # ten minutes
        c.notify()
        until(lambda: "wait in the night's file" in caplog.text, "the warning")
        assert c.waiting() == 21
    assert len([each for each in caplog.records if each.levelname == "WARNING"]) == 1
    with Subscriber(broker.port) as app, carrying(log, MqttWay(config(broker), night(), log)) as c:
        until_sent(c)
    assert app.sequences() == list(range(1, 22))


def test_a_monitor_that_is_started_again_goes_on_after_the_last_confirmed_event(
    broker: Broker,
) -> None:
    log = NightLog()
    log.stages(0, 9)
    with Subscriber(broker.port) as app:
        with carrying(log, MqttWay(config(broker), night(), log)) as c:
            until_sent(c)
        log.stages(10, 19)
        with carrying(log, MqttWay(config(broker), night(), log)) as c:
            until_sent(c)
            until(lambda: app.state().get("tst_min") == 10.0, "the sleep before the restart")
        assert app.sequences() == list(range(1, 22))


def test_a_broker_that_hangs_delays_nobody_and_gets_the_rest(broker: Broker) -> None:
    log = NightLog()
    way = MqttWay(config(broker), night(), log)
    way._sender._limit_s = 0.3
    with Subscriber(broker.port) as app, carrying(log, way) as c:
        until_sent(c)
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            for index in range(30):
                log.add(scored(index))
                c.notify()  # returns at once
            until(lambda: not way._is_open, "the time limit")
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        until_sent(c)
        until(lambda: app.sequences()[-1:] == [31], "the last event")
        # Sent and not confirmed while it hung: at least once, each repeat with the same id.
        assert sorted(set(app.sequences())) == list(range(1, 32))


def test_a_monitor_that_dies_is_shown_as_offline(broker: Broker) -> None:
    log = NightLog()
    way = MqttWay(config(broker), night(), log)
    topic = "sleep-monitor/sleeper/availability"
    with Subscriber(broker.port) as app:
        with carrying(log, way) as c:
            until_sent(c)
            until(lambda: app.on(topic)[-1:] == ["online"], "online")
            client = way._sender._client
            assert client is not None and client.socket() is not None
            client.socket().close()  # as the kernel does for a process that was killed
            until(lambda: app.on(topic)[-1:] == ["offline"], "the last will")
            c.notify()
            until(lambda: app.on(topic)[-1:] == ["online"], "another connection")
        until(lambda: app.on(topic)[-1:] == ["offline"], "the end in order")
    assert retained(broker.port)[topic] == "offline"


def test_a_replay_has_its_own_topics_and_leaves_nothing_at_the_broker(broker: Broker) -> None:
    log = NightLog()
    log.stages(0, 3)
    with (
        Subscriber(broker.port) as app,
        carrying(log, MqttWay(config(broker), replayed(), log)) as c,
    ):
        until_sent(c)
        topic = "sleep-monitor-replay/sleeper"
        until(lambda: app.state(f"{topic}/state").get("stage") == "N2", "the state")
        assert app.state(f"{topic}/state")["mode"] == "replay"
        assert app.sequences(f"{topic}/events") == [1, 2, 3, 4, 5]
    assert {topic.split("/")[0] for topic, _, _ in app.messages} == {"sleep-monitor-replay"}
    assert retained(broker.port) == {}


def test_sleepers_have_topics_of_their_own(broker: Broker) -> None:
    names = {"anna": "anna", "Zoë B.": "Zo__B__8d2c"}
    with Subscriber(broker.port) as app:
        for name in names:
            session = a_session(sleeper=name)
            log = NightLog(session)
            log.stages(0, 0)
            with carrying(log, MqttWay(config(broker), night(session), log)) as c:
                until_sent(c)
    bases = {topic.split("/")[1] for topic, _, _ in app.messages if topic.endswith("/events")}
    assert len(bases) == 2 and "anna" in bases
    assert all(base.isascii() and " " not in base for base in bases)


def test_a_password_is_needed_where_the_broker_asks_for_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Broker(tmp_path, "allow_anonymous false") as broker:
        broker.start()
        sender = MqttSender(config(broker, username="anna", password="not to be seen"))
        with pytest.raises(WayError, match=r"refuses the connection \(Not authorized\)") as caught:
            sender.connect()
    assert "seen" not in str(caught.value)


@pytest.mark.parametrize("topic", ["a/+/b", "a/#"])
def test_a_topic_that_is_none_is_refused(broker: Broker, topic: str) -> None:
    with MqttSender(config(broker)) as sender, pytest.raises(WayError, match="a/"):
        sender.send(topic, "x")


def test_electrodes_show_their_contact(broker: Broker) -> None:
    session = a_session()
    log = NightLog(session)
    way = MqttWay(config(broker), night(session), log)
    channels = [ChannelState("AF7", Contact.OFF, Reason.FLAT, 0.0)]
    log.append(
        channels_event(
            session,
            2,
            time=session.start_utc + timedelta(seconds=30),
            epoch_index=0,
            channels=channels,
        )
    )
    with Subscriber(broker.port) as app, carrying(log, way):
        until(lambda: app.state().get("electrodes", {}).get("AF7") == "off", "the contact")


# If the certificate is refused, paho leaves the socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_is_used_and_the_certificate_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None or mosquitto() is None:
        pytest.skip("needs mosquitto, and openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    lines = f"allow_anonymous true\ncafile {certificate}\ncertfile {certificate}\nkeyfile {key}"
    with Broker(tmp_path, lines) as broker:
        broker.start()
        sender = MqttSender(config(broker, tls=True))
        with pytest.raises(WayError, match="CERTIFICATE_VERIFY_FAILED"):
            sender.connect()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        sender.send("lamp", "on", retain=True)
        sender.flush()
        sender.close()
