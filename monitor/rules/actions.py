"""Carries out what a rule does: a program, a sound, or a message by MQTT, HTTP, LSL or OSC.

Each action runs in a thread of its own and has a time limit, so that none waits for another, and
nothing else waits for any. Commands come from the configuration file alone, never from the network.
"""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitor.child_programs import PLAYER_NAMES, end_program, sound_command
from monitor.clock import Clock
from monitor.closing import Closing
from monitor.config import HttpConfig, Rule, WayOptions
from monitor.errors import InputError, MonitorError, one_line
from monitor.lsl_library import load_pylsl
from monitor.sinks.ways import LslMarkerSender, MqttSender, OscSender, WebhookSender
from monitor.types import Event

MOST_ACTIONS = 16
"""Actions that run at once. More than this is a rule in a loop. An alarm is never held back."""

RECORD_S = 2.0
"""An action waits so long for its firing to be on disk, so that it happens once. On a disk that
hangs it then happens nevertheless: an alarm that rings twice is better than none."""

END_S = 3.0
"""Time for actions to end when the run ends. A live night must end within 10 s."""

NAMES = ("command", "sound", "mqtt", "http", "lsl", "osc")
"""The actions, by the key of a rule."""

_log = logging.getLogger(__name__)


def check_actions(rules: Sequence[Rule], ways: WayOptions) -> None:
    """Raise `InputError` for an action that cannot work on this machine. Connects to nothing."""
    for rule in rules:
        where = f"rule '{rule.name}'"
        if rule.command and shutil.which(rule.command[0]) is None:
            raise InputError(f"{where}: command: there is no program '{rule.command[0]}'")
        if rule.sound is not None:
            if not rule.sound.is_file():
                raise InputError(f"{where}: sound: there is no file {rule.sound}")
            if sound_command(rule.sound) is None:
                raise InputError(
                    f"{where}: sound: none of {PLAYER_NAMES} is installed; name your player with "
                    "command = [...]"
                )
        if rule.mqtt is not None and ways.mqtt is None:
            raise InputError(f"{where}: mqtt: there is no table [mqtt] that names the broker")
        if rule.osc is not None and ways.osc is None:
            raise InputError(f"{where}: osc: there is no table [osc] that names the host")
        if rule.http is not None and rule.http.url is None and ways.http is None:
            raise InputError(f"{where}: http: give its url, or a table [http]")
        if rule.lsl is not None:
            load_pylsl()
        if rule.latest is not None and not (rule.command or rule.sound or rule.dry_run):
            _log.warning(
                "The alarm '%s' needs the network: a sound or a command rings without it, too",
                rule.name,
            )


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """A firing to be carried out. ``event`` has no number yet; ``stored``: it is on disk."""

    rule: Rule
    event: Event
    sleeper: str
    stored: threading.Event = field(default_factory=threading.Event)

    def message(self) -> str:
        """Return the firing as JSON on one line: the payload, and a command's standard input."""
        fields = {"id": self.event.id, "time": self.event.time.isoformat(), "sleeper": self.sleeper}
        return json.dumps(fields | self.event.data, ensure_ascii=False)


Failed = Callable[[Order, str, str], None]
"""Is called with the order, the name of its action and the reason if the action fails."""


class Actor(Closing):
    """Carries out the actions of one sleeper's rules. `carry_out` never waits.

    `close` gives running actions `END_S`, then ends the programs that still run.
    """

    def __init__(self, ways: WayOptions, clock: Clock, sleeper: str = "") -> None:
        self._ways = ways
        self._clock = clock
        self._name = f"sleep-monitor-rules{f'-{sleeper}' if sleeper else ''}"
        self._lock = threading.Lock()
        self._running: dict[threading.Thread, subprocess.Popen[bytes] | None] = {}
        self._markers: LslMarkerSender | None = None
        self._perform: Mapping[str, Callable[[Order], None]] = {
            "command": lambda order: self._run(order, order.rule.command),
            "sound": self._play,
            "mqtt": self._publish,
            "http": self._post,
            "lsl": self._mark,
            "osc": self._send_osc,
        }

    def prepare(self, rules: Sequence[Rule]) -> None:
        """Offer the LSL stream of the rules that need it: a recorder must find it in time."""
        if self._markers is None and any(rule.lsl is not None for rule in rules):
            self._markers = LslMarkerSender(self._name, f"{self._name}@{socket.gethostname()}")
            try:
                self._markers.connect()
            except MonitorError as exc:  # it is tried again at each marker
                _log.warning("%s", exc)

    def carry_out(self, order: Order, failed: Failed) -> None:
        """Begin every action of the rule."""
        for name in NAMES:
            if getattr(order.rule, name) in (None, ()):
                continue
            thread = threading.Thread(
                target=self._carry_out_one,
                args=(name, order, failed),
                name=f"rule {order.rule.name}: {name}",
                daemon=True,
            )
            with self._lock:
                full = len(self._running) >= MOST_ACTIONS and order.rule.latest is None
                if not full:
                    self._running[thread] = None
                    thread.start()
            if full:
                failed(order, name, f"not begun: {MOST_ACTIONS} actions run already")

    def close(self) -> None:
        """Give running actions some time, then end their programs."""
        deadline_s = self._clock.monotonic_s() + END_S
        for thread in list(self._running):
            thread.join(max(0.0, deadline_s - self._clock.monotonic_s()))
        with self._lock:
            left = [each for each in self._running.values() if each is not None]
        for process in left:
            end_program(process)
        if self._markers is not None:
            self._markers.close()

    def _carry_out_one(self, name: str, order: Order, failed: Failed) -> None:
        order.stored.wait(RECORD_S)
        try:
            self._perform[name](order)
        except Exception as exc:  # no action may end the night
            failed(order, name, one_line(exc))
        finally:
            with self._lock:
                self._running.pop(threading.current_thread(), None)

    def _run(self, order: Order, command: Sequence[str]) -> None:
        """Run a program without a shell; raise `MonitorError` if it fails."""
        limit_s = order.rule.limit.total_seconds()
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # A group of its own: Ctrl-C in the terminal ends the night and not the alarm, and
                # at the limit the programs that it started end with it.
                start_new_session=True,
                cwd=Path.home(),
            )
        except (OSError, ValueError) as exc:
            raise MonitorError(f"{command[0]} cannot be started: {one_line(exc)}") from exc
        with self._lock:
            self._running[threading.current_thread()] = process
        try:
            process.communicate(order.message().encode() + b"\n", timeout=limit_s)
        except subprocess.TimeoutExpired:
            end_program(process)
            raise MonitorError(f"{command[0]} was ended after {limit_s:g} s") from None
        if process.returncode != 0:
            raise MonitorError(f"{command[0]} ended with status {process.returncode}")

    def _play(self, order: Order) -> None:
        assert order.rule.sound is not None
        command = sound_command(order.rule.sound)
        if command is None:
            raise MonitorError("no program that plays sounds is installed")
        self._run(order, command)

    def _publish(self, order: Order) -> None:
        action = order.rule.mqtt
        assert action is not None and self._ways.mqtt is not None
        payload = order.message() if action.payload is None else action.payload
        with MqttSender(self._ways.mqtt) as sender:
            sender.send(action.topic, payload, retain=action.retain)
            sender.flush()

    def _post(self, order: Order) -> None:
        action = order.rule.http
        assert action is not None
        own = None if action.url is None else HttpConfig(url=action.url)
        config = self._ways.http or own
        assert config is not None
        url = None if action.url is None else action.url.get_secret_value()
        body = order.message() if action.body is None else action.body
        with WebhookSender(config, self._clock) as sender:
            sender.send(f"{order.event.source}/{order.event.id}", body, url=url)

    def _mark(self, order: Order) -> None:
        assert order.rule.lsl is not None and self._markers is not None
        self._markers.send(order.rule.lsl)

    def _send_osc(self, order: Order) -> None:
        action = order.rule.osc
        assert action is not None and self._ways.osc is not None
        with OscSender(self._ways.osc) as sender:
            sender.send(action.address, *action.values)
