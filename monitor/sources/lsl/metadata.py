"""Read an LSL stream's description: its name, rate, channels and units, and which are EEG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.errors import InputError
from monitor.types import F32
from monitor.units import uv_per_unit

TEXT = 3
"""LSL's format for markers and other texts, ``pylsl.cf_string``."""

_NOT_EEG = re.compile(
    r"\b(aux\d*|acc\w*|gyro\w*|ppg\w*|eog\w*|emg\w*|ecg\w*|ekg\w*|marker\w*|trigger\w*|"
    r"time\w*|counter\w*|battery\w*|imu\w*|temp\w*|resp\w*|spo2)(?![a-z])",
    re.IGNORECASE,
)
_EEG_TYPES = {"", "eeg", "unknown", "voltage"}


@dataclass(frozen=True, slots=True)
class LslStream:
    """A stream in the network.

    ``sfreq_hz`` is 0 for an irregular stream; ``unit`` is "" if it names no unit. ``channels`` are
    known only if the description came from an inlet.
    """

    name: str
    type: str
    source_id: str
    host: str
    channels: tuple[str, ...]
    sfreq_hz: float
    unit: str
    is_eeg: bool

    def __str__(self) -> str:
        source_id = f", source id {self.source_id!r}" if self.source_id else ""
        return f"{self.name!r} of type {self.type!r} on {self.host}{source_id}"


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The EEG channels of a stream.

    ``columns`` are their places in a sample, ``scale`` float32 (n,) the microvolts in one unit,
    ``notes`` sentences for the user.
    """

    columns: list[int]
    names: tuple[str, ...]
    scale: F32
    notes: tuple[str, ...]

    def only(self, names: Sequence[str]) -> Layout | None:
        """Return the layout of the channels ``names``, in this order; None if one is missing."""
        if not set(names) <= set(self.names):
            return None
        places = [self.names.index(name) for name in names]
        columns = [self.columns[place] for place in places]
        return Layout(columns, tuple(names), self.scale[places], self.notes)


def stream_of(info: Any) -> LslStream:
    """Return what a pylsl StreamInfo describes."""
    channels = _channels(info.as_xml())
    units = {channel["unit"] for channel in channels} - {""}
    return LslStream(
        name=info.name(),
        type=info.type(),
        source_id=info.source_id(),
        host=info.hostname(),
        channels=_names([channel["label"] for channel in channels]),
        sfreq_hz=float(info.nominal_srate()),
        unit=" ".join(sorted(units)),
        is_eeg=info.type().casefold() == "eeg" and info.channel_format() != TEXT,
    )


def layout_of(xml: str, unit: str | None) -> Layout:
    """Return the EEG channels in a stream's XML description.

    ``unit`` is the user's unit; it comes before the units in the description. Raises `InputError`
    if no channel is EEG.
    """
    channels = _channels(xml)
    names = _names([channel["label"] for channel in channels])
    columns = [
        n
        for n, channel in enumerate(channels)
        if channel["type"].casefold() in _EEG_TYPES and not _NOT_EEG.search(channel["label"])
    ]
    stream = ET.fromstring(xml).findtext("name")
    if not columns:
        raise InputError(f"LSL stream {stream!r} has no EEG channel, only {', '.join(names)}")
    units = [unit or channels[n]["unit"] for n in columns]
    unknown = sorted({text for text in units if uv_per_unit(text) is None})
    notes = []
    if unknown:
        problem = f"has the unit {unknown[-1]!r}" if unknown[-1] else "names no unit"
        notes.append(f"LSL stream {stream!r} {problem}: taken as microvolts; --unit sets it.")
    scale = np.array([uv_per_unit(text) or 1.0 for text in units], dtype=np.float32)
    return Layout(columns, tuple(names[n] for n in columns), scale, tuple(notes))


def _channels(xml: str) -> list[dict[str, str]]:
    """Return label, type and unit of each channel; "" for what the description lacks."""
    root = ET.fromstring(xml)
    described = root.findall("desc/channels/channel")
    count = int(root.findtext("channel_count") or 0)
    empty = ET.Element("channel")
    return [
        {key: (channel.findtext(key) or "").strip() for key in ("label", "type", "unit")}
        for channel in [*described, *[empty] * count][:count]
    ]


def _names(labels: Sequence[str]) -> tuple[str, ...]:
    """Return distinct channel names: the labels, or numbers for channels without one."""
    names: list[str] = []
    for number, label in enumerate(labels, 1):
        name = label or str(number)
        while name in names:
            name = f"{label or 'channel'}.{number}"
            label = name
        names.append(name)
    return tuple(names)
