"""The stages as XML: as the National Sleep Research Resource (NSRR) and Profusion have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from models.contract import EPOCH_S
from monitor.exports import stage_codes
from monitor.exports.exported import PROGRAM, ExportedNight, mark_text


def nsrr_xml(night: ExportedNight) -> Iterator[bytes]:
    """Yield NSRR annotations: an event for each epoch and mark. Damaged epochs have none.

    Luna refuses times before the start: such marks are left out.
    """
    root = Element("PSGAnnotation")
    SubElement(root, "SoftwareVersion").text = f"{PROGRAM} {night.record.stored.version}"
    SubElement(root, "EpochLength").text = f"{EPOCH_S:g}"
    events = SubElement(root, "ScoredEvents")
    start = _event(events, "", "Recording Start Time", 0.0, night.duration_s)
    SubElement(start, "ClockTime").text = f"{night.start:%d.%m.%y %H.%M.%S.%f}"
    for index, stage in enumerate(night.stages):
        if index not in night.damaged:
            concept = stage_codes.NSRR[stage]
            _event(events, "Stages|Stages", concept, EPOCH_S * index, EPOCH_S)
    for mark in night.marks_within:
        at_s = night.seconds(mark.time_utc)
        _event(events, "Technician Notes|Technician Notes", mark_text(mark), at_s, 0.0)
    yield _file(root, night)


def profusion_xml(night: ExportedNight) -> Iterator[bytes]:
    """Yield a Compumedics Profusion file: a code for each epoch, from the first one on."""
    root = Element("CMPStudyConfig")
    SubElement(root, "EpochLength").text = f"{EPOCH_S:g}"
    events = SubElement(root, "ScoredEvents")
    for mark in night.marks_within:
        event = SubElement(events, "ScoredEvent")
        SubElement(event, "Name").text = mark_text(mark)
        SubElement(event, "Start").text = _seconds(night.seconds(mark.time_utc))
        SubElement(event, "Duration").text = "0"
    stages = SubElement(root, "SleepStages")
    for stage in night.stages:
        SubElement(stages, "SleepStage").text = stage_codes.PROFUSION[stage]
    yield _file(root, night)


def _event(parent: Element, kind: str, concept: str, start_s: float, length_s: float) -> Element:
    event = SubElement(parent, "ScoredEvent")
    SubElement(event, "EventType").text = kind
    SubElement(event, "EventConcept").text = concept
    SubElement(event, "Start").text = _seconds(start_s)
    SubElement(event, "Duration").text = _seconds(length_s)
    return event


def _seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _file(root: Element, night: ExportedNight) -> bytes:
    ElementTree.indent(root, " ")
    # In a comment "--" is forbidden; in JSON a hyphen may be written by its number.
    made = json.dumps(night.provenance).replace("--", "-\\u002d")
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- {made} -->\n'
    body: bytes = ElementTree.tostring(root, encoding="utf-8")
    return head.encode() + body + b"\n"
