"""An alert goes by every way that is set, as a real program; a way that fails harms nothing."""

from __future__ import annotations

import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.alerts import Alert, AlertWays, ways
from monitor.alerts.watch import TroubleKind
from monitor.config import AlertConfig
from monitor.errors import InputError
from tests.sinks.waiting import until

TEXT = "anna: No signal; $(touch bad) `id` \"quoted\" 'text'"
ALERT = Alert("anna", TroubleKind.LINK, TEXT, datetime(2026, 1, 1, tzinfo=UTC))


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
    with AlertWays(AlertConfig(command=command)) as told:
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
    with AlertWays(AlertConfig(sound=sound)) as told:
        told.tell(ALERT)
        until(notes.exists, "the sound to be played")
    assert notes.read_text().splitlines() == ["-q", str(sound)]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has osascript")
def test_a_notification_is_shown_on_the_screen(tmp_path: Path, installed: Path) -> None:
    notes = tmp_path / "notes"
    noting(installed / "notify-send", notes)
    with AlertWays(AlertConfig(desktop=True)) as told:
        told.tell(ALERT)
        until(notes.exists, "the notification")
    assert notes.read_text().splitlines()[-2:] == ["Sleep monitor", TEXT]


def test_every_way_tells_once(tmp_path: Path, installed: Path) -> None:
    notes, sound = tmp_path / "notes", tmp_path / "bell.wav"
    sound.write_bytes(b"RIFF")
    for name in ("notify-send", "paplay", "say"):
        program(installed / name, f"open({str(notes)!r}, 'a').write({name!r} + '\\n')")
    config = AlertConfig(command=("say", "{text}"), sound=sound, desktop=True)
    with AlertWays(config) as told:
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
    with AlertWays(config) as told:
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
    with AlertWays(AlertConfig(command=(str(script),))) as told:
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
    ],
)
def test_what_is_missing_is_named_in_the_evening(
    installed: Path, config: AlertConfig, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        AlertWays(config)


def test_a_sound_without_a_player_is_refused(tmp_path: Path, installed: Path) -> None:
    sound = tmp_path / "bell.wav"
    sound.write_bytes(b"RIFF")
    with pytest.raises(InputError, match="no program to play it is installed"):
        AlertWays(AlertConfig(sound=sound))
