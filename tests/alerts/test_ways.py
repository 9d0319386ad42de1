"""An alert goes by every way that is set, as a real program; a way that fails harms nothing."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.alerts import Alert, AlertWays, ways
from monitor.alerts.watch import TroubleKind
from monitor.clock import SystemClock
from monitor.config import AlertConfig, HttpConfig, MqttConfig, WayOptions
from monitor.config.ways import NO_WAYS
from monitor.errors import InputError
from tests.sinks.waiting import until
from tests.sinks.ways.broker import Broker, Subscriber, retained
from tests.sinks.ways.conftest import broker
from tests.sinks.ways.receiver import Receiver

__all__ = ["broker"]

TEXT = "anna: No signal; $(touch bad) `id` \"quoted\" 'text'"
NO_PAUSES = (0.05, 0.05)
ALERT = Alert("anna", TroubleKind.LINK, TEXT, datetime(2026, 1, 1, tzinfo=UTC))


def ways_of(config: AlertConfig, peers: WayOptions = NO_WAYS) -> AlertWays:
    return AlertWays(config, peers, SystemClock())


def program(path: Path, body: str) -> Path:
    path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    path.chmod(0o700)
    return path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is alone in PATH: programs that a test puts there are installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def noting(path: Path, notes: Path) -> Path:
    """Return a program that notes its arguments, a line each."""
    return program(path, f"open({str(notes)!r}, 'a').write('\\n'.join(sys.argv[1:]) + '\\n')")


def test_a_command_gets_the_sentence_as_one_argument_and_no_shell(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    command = (str(noting(tmp_path / "tell", notes)), "--say", "{text}", "now: {text}")
    with ways_of(AlertConfig(command=command)) as told:
        told.tell(ALERT)
        until(notes.exists, "the command to run")
    assert notes.read_text().splitlines() == ["--say", TEXT, f"now: {TEXT}"]
    assert not (tmp_path / "bad").exists()


def test_a_sound_is_played_by_the_first_player_that_is_installed(
    tmp_path: Path, installed: Path
) -> None:
    sound, notes = tmp_path / "bell.wav", tmp_path / "notes"
    sound.write_bytes(b"RIFF")
    noting(installed / "aplay", notes)
    with ways_of(AlertConfig(sound=sound)) as told:
        told.tell(ALERT)
        until(notes.exists, "the sound to be played")
    assert notes.read_text().splitlines() == ["-q", str(sound)]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has osascript")
def test_a_notification_is_shown_on_the_screen(tmp_path: Path, installed: Path) -> None:
    notes = tmp_path / "notes"
    noting(installed / "notify-send", notes)
    with ways_of(AlertConfig(desktop=True)) as told:
        told.tell(ALERT)
        until(notes.exists, "the notification")
    assert notes.read_text().splitlines()[-2:] == ["Sleep monitor", TEXT]


def test_every_way_tells_once(tmp_path: Path, installed: Path) -> None:
    notes, sound = tmp_path / "notes", tmp_path / "bell.wav"
    sound.write_bytes(b"RIFF")
    for name in ("notify-send", "paplay", "say"):
        program(installed / name, f"open({str(notes)!r}, 'a').write({name!r} + '\\n')")
    config = AlertConfig(command=("say", "{text}"), sound=sound, desktop=True)
    with ways_of(config) as told:
        told.tell(ALERT)
        until(lambda: notes.exists() and len(notes.read_text().split()) == 3, "three ways")
    assert sorted(notes.read_text().split()) == ["notify-send", "paplay", "say"]


def test_a_command_that_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ways, "LIMIT_S", 0.5)
    notes = tmp_path / "pid"
    body = (
        "import subprocess, time\n"
        f"child = subprocess.Popen([{sys.executable!r}, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(notes)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    config = AlertConfig(command=(str(program(tmp_path / "hang", body)),))
    with ways_of(config) as told:
        began_s = time.monotonic()
        told.tell(ALERT)
        assert time.monotonic() - began_s < 0.3  # the night does not wait
        until(lambda: "was ended after" in caplog.text, "the command to be ended")
    if notes.exists():
        child = int(notes.read_text())
        until(lambda: not _runs(child), "its child to be ended")


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0]
    except OSError:
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return not Path("/proc").exists()


def test_a_command_that_fails_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = program(tmp_path / "fail", "sys.exit('no loudspeaker')")
    with ways_of(AlertConfig(command=(str(script),))) as told:
        told.tell(ALERT)
        until(lambda: "no loudspeaker" in caplog.text, "the failure")
    assert caplog.records[0].levelno == logging.WARNING
    assert caplog.records[0].getMessage() == TEXT  # the log has the alert, whatever happens to it


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (AlertConfig(command=("no-such-program",)), "no program 'no-such-program'"),
        (AlertConfig(sound=Path("/no/bell.wav")), "there is no file /no/bell.wav"),
        (AlertConfig(desktop=True), "there is no program"),
        (AlertConfig(mqtt=True), r"\[alert\] mqtt needs the table \[mqtt\]"),
        (AlertConfig(http=True), r"\[alert\] http needs the table \[http\]"),
    ],
)
def test_what_is_missing_is_named_in_the_evening(
    installed: Path, config: AlertConfig, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        ways_of(config)


def test_a_sound_without_a_player_is_refused(tmp_path: Path, installed: Path) -> None:
    sound = tmp_path / "bell.wav"
    sound.write_bytes(b"RIFF")
    with pytest.raises(InputError, match="no program to play it is installed"):
        ways_of(AlertConfig(sound=sound))


def test_an_alert_goes_to_the_broker_once(broker: Broker) -> None:
    peers = WayOptions(MqttConfig(host="127.0.0.1", port=broker.port), None, None, None)
    with Subscriber(broker.port) as subscriber:
        with ways_of(AlertConfig(mqtt=True), peers) as told:
            told.tell(ALERT)
            until(lambda: bool(subscriber.on("sleep-monitor/alert")), "the alert")
        (payload,) = subscriber.on("sleep-monitor/alert")
    assert json.loads(payload) == {
        "sleeper": "anna",
        "kind": "link",
        "text": TEXT,
        "since_utc": "2026-01-01T00:00:00.000Z",
    }
    assert "sleep-monitor/alert" not in retained(broker.port)  # it is no news later


def test_a_post_that_is_refused_is_sent_again_under_the_same_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ways, "PAUSES_S", NO_PAUSES)
    with Receiver() as receiver:
        receiver.answers = [500, 503]
        peers = WayOptions(None, HttpConfig(url=receiver.url, secret="s"), None, None)  # type: ignore[arg-type]
        with ways_of(AlertConfig(http=True), peers) as told:
            told.tell(ALERT)
            until(lambda: len(receiver.posts) == 1, "the post")
        ids = {post.headers["webhook-id"] for post in (*receiver.posts, *receiver.refused)}
    assert len(receiver.refused) == 2 and len(ids) == 1
    assert "webhook-signature" in receiver.posts[0].headers
    assert json.loads(receiver.posts[0].body)["text"] == TEXT


def test_peers_that_are_away_are_logged_and_the_other_ways_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ways, "PAUSES_S", NO_PAUSES)
    away = MqttConfig(host="127.0.0.1", port=1)
    gone = HttpConfig(url="http://127.0.0.1:1/hook")  # type: ignore[arg-type]
    notes = tmp_path / "notes"
    command = (str(noting(tmp_path / "tell", notes)), "{text}")
    config = AlertConfig(mqtt=True, http=True, command=command)
    with ways_of(config, WayOptions(away, gone, None, None)) as told:
        told.tell(ALERT)
        until(lambda: all(f"by {each} failed" in caplog.text for each in ("MQTT", "HTTP")), "both")
        until(notes.exists, "the command")
