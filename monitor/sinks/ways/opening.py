"""Opens the ways out that the user configured."""

from __future__ import annotations

from monitor.clock import Clock
from monitor.config import WayOptions
from monitor.lsl_library import load_pylsl
from monitor.sinks.event_log import EventLog
from monitor.sinks.ways.carrier import Carrier
from monitor.sinks.ways.lsl import LslWay
from monitor.sinks.ways.mqtt_way import MqttWay
from monitor.sinks.ways.osc import OscWay
from monitor.sinks.ways.way import CarriedNight, Way, check_package
from monitor.sinks.ways.webhook import WebhookWay


def check_ways(options: WayOptions) -> None:
    """Raise `InputError` if a package or library that a way needs is not there."""
    if options.mqtt is not None:
        check_package("paho.mqtt", "mqtt", "[mqtt]")
    if options.osc is not None:
        check_package("pythonosc", "osc", "[osc]")
    if options.lsl_out is not None:
        load_pylsl()


def open_ways(
    options: WayOptions, night: CarriedNight, log: EventLog, clock: Clock
) -> list[Carrier]:
    """Return a carrier of ``log`` for each way; they are not started."""
    ways: list[Way] = []
    if options.mqtt is not None:
        ways.append(MqttWay(options.mqtt, night, log, clock))
    if options.http is not None:
        ways.append(WebhookWay(options.http, night, clock))
    if options.osc is not None:
        ways.append(OscWay(options.osc, night))
    if options.lsl_out is not None:
        ways.append(LslWay(options.lsl_out, night, log))
    return [Carrier(log, way, clock) for way in ways]
