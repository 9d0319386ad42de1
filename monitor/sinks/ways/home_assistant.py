"""The announcement of a sleeper to Home Assistant: MQTT discovery.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery: one retained message for each
entity, at PREFIX/COMPONENT/NODE/OBJECT/config.
"""

from __future__ import annotations

import json
import re
from typing import Any

from models.contract import STAGES
from monitor.config import monitor_version
from monitor.sinks.ways.so_far import UNKNOWN, UNSCORED
from monitor.types import Contact, SignalState

EXPIRES_S = 120
"""Home Assistant shows a stage as unavailable if no newer one comes for so long: four epochs."""


def announcements(
    prefix: str, base: str, sleeper: str, channels: tuple[str, ...]
) -> dict[str, str]:
    """Return the discovery messages of a sleeper, by their topics.

    ``base`` is the first part of the sleeper's topics. ``channels``: those of the headband; a
    single one has no contact of its own, for the signal says the same.
    """
    node = re.sub("[^A-Za-z0-9_-]", "_", base)
    found = {}
    for component, object_id, keys in _entities(channels):
        payload = {
            **keys,
            "unique_id": f"{node}_{object_id}",
            "state_topic": f"{base}/state",
            "device": {
                "identifiers": [node],
                "name": f"Sleep of {sleeper}" if sleeper else "Sleep",
                "manufacturer": "sleep-monitor",
                "sw_version": monitor_version(),
            },
            "origin": {"name": "sleep-monitor", "sw_version": monitor_version()},
        }
        if object_id == "stage":  # its attributes show the reason and the time
            payload["json_attributes_topic"] = f"{base}/state"
        if object_id != "tst":  # after the night it stays to be seen
            payload["availability_topic"] = f"{base}/availability"
        found[f"{prefix}/{component}/{node}/{object_id}/config"] = json.dumps(payload)
    return found


def _entities(channels: tuple[str, ...]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return component, object id and own keys of each entity."""
    entities: list[tuple[str, str, dict[str, Any]]] = [
        (
            "sensor",
            "stage",
            {
                "name": "Stage",
                "icon": "mdi:sleep",
                **_choice("stage", [*(stage.value for stage in STAGES), UNSCORED]),
                "expire_after": EXPIRES_S,
            },
        ),
        (
            "sensor",
            "confidence",
            {
                "name": "Confidence",
                "icon": "mdi:percent",
                "value_template": "{{ value_json.confidence_percent }}",
                "unit_of_measurement": "%",
                "state_class": "measurement",
                "expire_after": EXPIRES_S,
            },
        ),
        (
            "binary_sensor",
            "asleep",
            {
                "name": "Asleep",
                "icon": "mdi:power-sleep",
                "value_template": "{{ value_json.asleep }}",
                "expire_after": EXPIRES_S,
            },
        ),
        (
            "binary_sensor",
            "in_bed",
            {
                "name": "In bed",
                "device_class": "occupancy",
                "value_template": "{{ value_json.in_bed }}",
            },
        ),
        (
            "sensor",
            "tst",
            {
                "name": "Total sleep time",
                "device_class": "duration",
                "unit_of_measurement": "min",
                "state_class": "measurement",
                "value_template": "{{ value_json.tst_min }}",
            },
        ),
        (
            "sensor",
            "signal",
            {
                "name": "Signal",
                "entity_category": "diagnostic",
                **_choice("signal", [state.value for state in SignalState]),
            },
        ),
    ]
    if len(channels) > 1:
        entities += [_electrode(number, name) for number, name in enumerate(channels, start=1)]
    return entities


def _electrode(number: int, name: str) -> tuple[str, str, dict[str, Any]]:
    keys = {
        "name": f"Electrode {name}",
        "entity_category": "diagnostic",
        # A string in JSON is one in Jinja, whatever letters the name has.
        **_choice(f"electrodes[{json.dumps(name)}]", [*(c.value for c in Contact), UNKNOWN]),
    }
    return "sensor", f"electrode_{number}", keys


def _choice(key: str, options: list[str]) -> dict[str, Any]:
    return {
        "device_class": "enum",
        "options": options,
        "value_template": f"{{{{ value_json.{key} }}}}",
    }
