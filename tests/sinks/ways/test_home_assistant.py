"""The announcement to Home Assistant: keys that its documentation names, templates that render.

A real Home Assistant core (2024.3) accepted these messages: see monitor/MEASURED.md.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from models.contract import Stage
from monitor.sinks.ways.home_assistant import announcements
from monitor.sinks.ways.so_far import NightSoFar
from tests.sinks.peers import unscored
from tests.sinks.ways.carrying import NightLog

jinja2 = pytest.importorskip("jinja2")

COMMON = {
    "availability_topic",
    "device",
    "device_class",
    "entity_category",
    "expire_after",
    "icon",
    "json_attributes_topic",
    "name",
    "origin",
    "state_topic",
    "unique_id",
    "value_template",
}
KEYS = {
    "sensor": COMMON | {"options", "state_class", "unit_of_measurement"},
    "binary_sensor": COMMON,
}
"""Keys of the MQTT sensor and binary sensor, from www.home-assistant.io/integrations/sensor.mqtt/
and binary_sensor.mqtt/, as far as the monitor uses them."""

TOPIC = re.compile(r"homeassistant/(\w+)/[a-zA-Z0-9_-]+/([a-zA-Z0-9_-]+)/config")
CHANNELS = ("AF7", "AF8 \"x\" '{{1}}' \\")


def found(channels: tuple[str, ...] = CHANNELS) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return component and payload of each entity, by its object id."""
    entities = {}
    for topic, payload in announcements("homeassistant", "a/b/anna", "anna", channels).items():
        match = TOPIC.fullmatch(topic)
        assert match is not None, topic
        entities[match[2]] = (match[1], json.loads(payload))
    return entities


def test_each_entity_has_documented_keys_and_an_id_of_its_own() -> None:
    entities = found()
    assert list(entities) == [
        *("stage", "confidence", "asleep", "in_bed", "tst", "signal"),
        *("electrode_1", "electrode_2"),
    ]
    for component, payload in entities.values():
        assert payload.keys() <= KEYS[component]
        assert payload["state_topic"] == "a/b/anna/state"
    assert len({payload["unique_id"] for _, payload in entities.values()}) == len(entities)


def test_a_single_channel_has_no_contact_of_its_own() -> None:
    assert "electrode_1" not in found(("EEG",))


@pytest.mark.parametrize("begun", [False, True])
def test_the_templates_find_their_value_in_the_state(begun: bool) -> None:
    log, so_far = NightLog(), NightSoFar(CHANNELS)
    if begun:
        log.stages(0, 0, Stage.N3)
    for event in log.events_after(0, 10):
        so_far.add(event)
    state = json.loads(json.dumps(so_far.values()))
    shown = {}
    for object_id, (component, payload) in found().items():
        template = jinja2.Template(payload["value_template"])
        shown[object_id] = template.render(value_json=state)
        if "options" in payload:
            assert shown[object_id] in payload["options"]
        elif component == "binary_sensor":
            assert shown[object_id] in ("ON", "OFF", "None")  # None: unknown
    assert shown["stage"] == ("N3" if begun else "unscored")
    assert shown["confidence"] == ("80.0" if begun else "None")
    assert shown["electrode_2"] == "unknown"
    assert shown["tst"] == ("0.5" if begun else "0.0")


def test_an_unscored_epoch_shows_neither_asleep_nor_awake() -> None:
    log, so_far = NightLog(), NightSoFar(())
    log.add(unscored(0))
    for event in log.events_after(0, 10):
        so_far.add(event)
    assert (
        jinja2.Template(found()["asleep"][1]["value_template"]).render(value_json=so_far.values())
        == "None"
    )
