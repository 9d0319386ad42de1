"""The ways out beside Redis: MQTT, HTTP, OSC and LSL. WAYS.md describes them for other apps.

Each is a small class that sends (`MqttSender`, `WebhookSender`, `OscSender`, `LslMarkerSender`),
and a `Way` that carries a night's events with it.
"""

from monitor.sinks.ways.carrier import Carrier
from monitor.sinks.ways.lsl import LslMarkerSender
from monitor.sinks.ways.mqtt import MqttSender
from monitor.sinks.ways.opening import check_ways, open_ways
from monitor.sinks.ways.osc import OscSender
from monitor.sinks.ways.way import LIMIT_S, CarriedNight, WayError
from monitor.sinks.ways.webhook import WebhookSender

__all__ = [
    "LIMIT_S",
    "CarriedNight",
    "Carrier",
    "LslMarkerSender",
    "MqttSender",
    "OscSender",
    "WayError",
    "WebhookSender",
    "check_ways",
    "open_ways",
]
