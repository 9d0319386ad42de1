"""Checks of the ways out: MQTT, HTTP, OSC, LSL."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from monitor.config import HttpConfig, LslOutConfig, MqttConfig, OscConfig, Settings
from monitor.doctor.finding import Finding, ok, problem, warning
from monitor.errors import InputError, one_line
from monitor.lsl_library import load_pylsl
from monitor.sinks.ways import LIMIT_S, MqttSender, OscSender, WayError


def ways_out(settings: Settings) -> Iterator[Finding]:
    """Check that the peer of each way takes a connection. Nothing is sent to it."""
    checks: list[Callable[[], str]] = []
    if (mqtt := settings.mqtt) is not None:
        checks.append(lambda: _mqtt(mqtt))
    if (http := settings.http) is not None:
        checks.append(lambda: _http(http))
    if (osc := settings.osc) is not None:
        checks.append(lambda: _osc(osc))
    if (lsl := settings.lsl_out) is not None:
        checks.append(lambda: _lsl(lsl))
    if not checks:
        yield ok("none but Redis")
    for check in checks:
        try:
            yield ok(check())
        except WayError as exc:
            yield warning(str(exc), "start it, or correct its table; a night keeps its events")
        except InputError as exc:  # a package is missing
            yield problem("cannot be used", str(exc))


def _mqtt(config: MqttConfig) -> str:
    with MqttSender(config) as sender:
        sender.connect()
        return f"{sender.name} takes the connection"


def _http(config: HttpConfig) -> str:
    parts = urlsplit(config.url.get_secret_value())
    host, port = str(parts.hostname), parts.port or {"http": 80, "https": 443}[parts.scheme]
    try:
        socket.create_connection((host, port), LIMIT_S).close()
    except (OSError, UnicodeError) as exc:
        raise WayError(f"HTTP at {host} does not answer ({one_line(exc)})") from exc
    return f"HTTP at {host} takes the connection"


def _lsl(config: LslOutConfig) -> str:
    load_pylsl()
    return f"LSL as {config.name}"


def _osc(config: OscConfig) -> str:
    with OscSender(config) as sender:
        sender.connect()
        return f"{sender.name}: who listens there gives no answer"
