"""What an LSL stream says of itself: its name, rate, channels and units; which of them are EEG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.errors import InputError
from monitor.types import F32

TEXT = 3
"""LSL's format of markers and other words, ``pylsl.cf_string``."""

MICROVOLTS = {"nv": 1e-3, "uv": 1.0, "mv": 1e3, "v": 1e6}
_PREFIXES = {"micro": "u", "milli": "m", "nano": "n", "µ": "u", "μ": "u", "mc": "u"}
_NOT_EEG = re.compile(
    r"\b(aux\d*|acc\w*|gyro\w*|ppg\w*|eog\w*|emg\w*|ecg\w*|ekg\w*|marker\w*|trigger\w*|"
    r"time\w*|counter\w*|battery\w*|imu\w*|temp\w*|resp\w*|spo2)(?![a-z])",
    re.IGNORECASE,
)
_EEG_TYPES = {"", "eeg", "unknown", "voltage"}


@dataclass(frozen=True, slots=True)
class LslStream:
    """A stream on the network. ``sfreq_hz`` is 0 if irregular; ``unit`` "" if it names none."""

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
    """Which of a stream's channels are EEG: their columns, names, and microvolts a unit (n,)."""

    columns: list[int]
    names: tuple[str, ...]
    scale: F32
    notes: tuple[str, ...]

    def only(self, names: Sequence[str]) -> Layout | None:
        """The channels of these names, in this order; None if one is missing."""
        if not set(names) <= set(self.names):
            return None
        places = [self.names.index(name) for name in names]
        columns = [self.columns[place] for place in places]
        return Layout(columns, tuple(names), self.scale[places], self.notes)


def stream_of(info: Any) -> LslStream:
    """What a pylsl StreamInfo says; its channels are only known if it came from an inlet."""
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


def ambiguous(streams: list[LslStream]) -> str:
    """Which streams match, and the option that tells them apart."""
    options = {"--name": "name", "--source-id": "source_id", "--type": "type"}
    told = [o for o, key in options.items() if len({getattr(s, key) for s in streams}) > 1]
    listed = "; ".join(str(stream) for stream in streams)
    how = f"choose with {told[0]}" if told else "give each sender a name or source id of its own"
    return f"{len(streams)} LSL streams match: {listed}; {how}"


def _channels(xml: str) -> list[dict[str, str]]:
    """Label, type and unit of each channel, "" where the description does not say."""
    root = ET.fromstring(xml)
    told = root.findall("desc/channels/channel")
    count = int(root.findtext("channel_count") or 0)
    empty = ET.Element("channel")
    return [
        {key: (channel.findtext(key) or "").strip() for key in ("label", "type", "unit")}
        for channel in [*told, *[empty] * count][:count]
    ]


def _names(labels: Sequence[str]) -> tuple[str, ...]:
    """Channel names: the labels, made unique; numbers where there are none."""
    names: list[str] = []
    for number, label in enumerate(labels, 1):
        name = label or str(number)
        while name in names:
            name = f"{label or 'channel'}.{number}"
            label = name
        names.append(name)
    return tuple(names)


def layout_of(xml: str, unit: str | None) -> Layout:
    """The EEG channels of a stream. Raises `InputError` if none is left."""
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
    unknown = sorted({text for text in units if microvolts(text) is None})
    notes = []
    if unknown:
        told = f"has the unit {unknown[-1]!r}" if unknown[-1] else "names no unit"
        notes.append(f"LSL stream {stream!r} {told}: taken as microvolts; --unit sets it.")
    scale = np.array([microvolts(text) or 1.0 for text in units], dtype=np.float32)
    return Layout(columns, tuple(names[n] for n in columns), scale, tuple(notes))


def microvolts(text: str) -> float | None:
    """Microvolts a unit, in any spelling of it; None if it is not one of voltage."""
    short = re.sub(r"[\s_-]", "", text.casefold())
    for prefix, letter in _PREFIXES.items():
        short = re.sub(f"^{prefix}(?=v)", letter, short)
    return MICROVOLTS.get(re.sub(r"volts?$", "v", short))
