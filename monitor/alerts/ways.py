"""Tells a person of an alert: a command, a sound, a notification, MQTT, HTTP: `AlertWays`.

Each way runs in a thread of its own, with a time limit: no way delays the night or another way.
Commands run without a shell, as the user.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Self

from monitor.alerts.watch import Alert
from monitor.child_programs import PLAYER_NAMES, end_program, sound_command
from monitor.clock import Clock
from monitor.closing import Closing
from monitor.config import AlertConfig, HttpConfig, MqttConfig, WayOptions
from monitor.errors import InputError, one_line
from monitor.night.events import utc_text
from monitor.sinks.ways import MqttSender, WebhookSender
from monitor.text import clean

LIMIT_S = 30.0
"""Time limit of a command, a sound and a notification."""

MOST_AT_ONCE = 8
"""Alerts in progress; further ones are only logged. A command that hangs ends after `LIMIT_S`."""

END_S = 2.0
"""Time limit for alerts in progress at the end of the night."""

TEXT = "{text}"
"""Stands for the sentence in an argument of the command."""

TITLE = "Sleep monitor"

_log = logging.getLogger(__name__)

PAUSES_S = (5.0, 30.0)
"""Pauses before a broker or a server that is away is tried again; then the alert by it is lost."""

Command = list[str]
Way = Callable[[Alert], None]


class AlertWays(Closing):
    """The ways that ``config`` names.

    `tell` returns at once and never raises; a way that fails is logged. Raises `InputError` if a
    program or a file that a way needs is missing: better in the evening than at 3 am.
    """

    def __init__(self, config: AlertConfig, ways: WayOptions, clock: Clock) -> None:
        self._closing = threading.Event()
        self._ways = [*_programs(config), *self._messages(config, ways, clock)]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def tell(self, alert: Alert) -> None:
        """Tell of ``alert`` by every way."""
        _log.warning("%s", alert.text)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for name, way in self._ways:
            if len(self._threads) >= MOST_AT_ONCE:
                _log.warning("The alert goes not by %s: earlier ones are still in progress", name)
                continue
            # A daemon: it must not keep a monitor that ends.
            thread = threading.Thread(target=way, args=[alert], name=f"alert {name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Wait a little for alerts in progress."""
        self._closing.set()
        for thread in self._threads:
            thread.join(END_S)

    def _messages(
        self, config: AlertConfig, ways: WayOptions, clock: Clock
    ) -> list[tuple[str, Way]]:
        """Return the ways over the network that ``config`` names."""
        found: list[tuple[str, Way]] = []
        if config.mqtt:
            if ways.mqtt is None:
                raise InputError("[alert] mqtt needs the table [mqtt], with the broker's host")
            sender = partial(_publish, ways.mqtt, clock)
            found.append(("MQTT", partial(self._send, "MQTT", sender)))
        if config.http:
            if ways.http is None:
                raise InputError("[alert] http needs the table [http], with a URL")
            found.append(("HTTP", partial(self._send, "HTTP", partial(_post, ways.http, clock))))
        return found

    def _send(self, name: str, sender: Way, alert: Alert) -> None:
        """Send ``alert``; try again after each of `PAUSES_S`, and log it if all fails."""
        for pause_s in (*PAUSES_S, None):
            try:
                sender(alert)
                return
            except Exception as exc:  # the peer is away, or refuses
                if pause_s is None or self._closing.wait(pause_s):
                    _log.warning("The alert by %s failed: %s", name, one_line(exc))
                    return


def alert_json(alert: Alert) -> str:
    """Return ``alert`` as the JSON that other programs get."""
    return json.dumps(
        {
            "sleeper": alert.sleeper,
            "kind": alert.kind.value,
            "text": alert.text,
            "since_utc": utc_text(alert.since_utc),
        },
        ensure_ascii=False,
    )


def _publish(config: MqttConfig, clock: Clock, alert: Alert) -> None:
    with closing(MqttSender(config, clock=clock)) as sender:
        # Not retained: an old alert would be told to everybody who connects later.
        sender.send(f"{config.topic}/alert", alert_json(alert))
        sender.flush()


def _post(config: HttpConfig, clock: Clock, alert: Alert) -> None:
    body = alert_json(alert)
    # The same for each attempt: the server knows the message again.
    message_id = f"alert-{hashlib.sha256(body.encode()).hexdigest()[:32]}"
    with closing(WebhookSender(config, clock)) as sender:
        sender.send(message_id, body)


def _programs(config: AlertConfig) -> list[tuple[str, Way]]:
    """Return the ways that run a program, each with its name."""

    def way(name: str, command: Callable[[str], Command]) -> tuple[str, Way]:
        return name, lambda alert: _run(name, command(alert.text))

    ways: list[tuple[str, Way]] = []
    if config.command:
        program, *arguments = config.command
        found = _found(str(Path(program).expanduser()), "[alert] command")
        ways.append(
            way("command", lambda text: [found, *(e.replace(TEXT, text) for e in arguments)])
        )
    if config.sound is not None:
        player = _player(config.sound)
        ways.append(way("sound", lambda text: player))
    if config.desktop:
        ways.append(way("desktop", _notifier()))
    return ways


def _found(program: str, place: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise InputError(f"{place}: there is no program '{clean(program)}' to run")
    return found


def _player(sound: Path) -> Command:
    if not sound.is_file():
        raise InputError(f"[alert] sound: there is no file {sound}")
    if (command := sound_command(sound)) is None:
        raise InputError(
            f"[alert] sound: no program to play it is installed (one of {PLAYER_NAMES})"
        )
    return command


def _notifier() -> Callable[[str], Command]:
    if sys.platform == "darwin":
        found = _found("osascript", "[alert] desktop")
        # The text is an argument, and no part of the script.
        script = (
            "on run argv\ndisplay notification (item 1 of argv) with title (item 2 of argv)\nend"
        )
        return lambda text: [found, "-e", script, text, TITLE]
    notify = _found("notify-send", "[alert] desktop (install libnotify)")
    return lambda text: [notify, "--urgency=critical", "--app-name", TITLE, TITLE, text]


def _run(name: str, command: Command) -> None:
    """Run a command to its end or its limit; log it if it fails."""
    # A file and no pipe: a program that the command leaves behind would hold a pipe open.
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                # Ctrl-C in the terminal is for the monitor. The group can be ended as a whole.
                start_new_session=True,
            )
            status = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            end_program(process)
            _log.warning("The alert by %s was ended after %.0f s: %s", name, LIMIT_S, command[0])
            return
        except (OSError, ValueError) as exc:
            _log.warning("The alert by %s failed: %s", name, clean(str(exc)))
            return
        if status != 0:
            errors.seek(0)
            why = clean(errors.read(2000).decode(errors="replace")) or f"status {status}"
            _log.warning("The alert by %s failed: %s", name, why)
