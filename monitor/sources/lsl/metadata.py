"""Read an LSL stream's description: its name, rate, channels and units, and which are EEG.

Another program wrote the description. Every text in it is cleaned here (`monitor.text.clean`).
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.errors import InputError
from monitor.text import clean
from monitor.types import F32, MAX_SFREQ_HZ
from monitor.units import uv_per_unit

TEXT = 3
"""LSL's format for markers and other texts, ``pylsl.cf_string``."""

MAX_CHANNELS = 1024
"""Most channels of a stream that is opened. The largest EEG caps have 256 electrodes."""

MAX_LISTED = 100_000
"""Most channels whose names are read, for a list of the streams."""

NAMES_SHOWN = 8
"""Number of channels that a message lists."""

_NOT_EEG = re.compile(
    r"\b(aux\d*|acc\w*|gyro\w*|ppg\w*|eog\w*|emg\w*|ecg\w*|ekg\w*|marker\w*|trigger\w*|"
    r"time\w*|counter\w*|battery\w*|imu\w*|temp\w*|resp\w*|spo2)(?![a-z])",
    re.IGNORECASE,
)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));")
_EEG_TYPES = {"", "eeg", "unknown", "voltage"}


class UnreadableStreamError(InputError):
    """A stream's description cannot be used. The search goes on with the other streams."""


@dataclass(frozen=True, slots=True)
class LslStream:
    """A stream in the network.

    ``sfreq_hz`` is 0 for an irregular stream, NaN if LSL cannot read its description; ``unit`` is
    "" if it names no unit. ``channels`` are known only if the description came from an inlet.
    ``problem`` is why it must not be opened, or "".
    """

    name: str
    type: str
    source_id: str
    host: str
    channels: tuple[str, ...]
    sfreq_hz: float
    unit: str
    is_eeg: bool
    problem: str = ""

    @property
    def rate_text(self) -> str:
        """The declared rate in words."""
        if math.isnan(self.sfreq_hz):
            return "NaN or inf"
        return f"{self.sfreq_hz:g} Hz" if self.sfreq_hz else "irregular"

    def __str__(self) -> str:
        if not self.host:
            return self.name
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


def unusable(info: Any) -> str:
    """Return why the stream of a pylsl StreamInfo must not be opened, or ""."""
    if not info.uid():
        return (
            "LSL cannot read its description: the rate that it declares is NaN or infinite; "
            "correct it in the sender"
        )
    sfreq_hz, count = float(info.nominal_srate()), info.channel_count()
    # liblsl reserves memory for minutes of samples by this rate, before any sample comes.
    if not 0.0 <= sfreq_hz <= MAX_SFREQ_HZ:  # NaN, too
        return f"it declares {sfreq_hz:g} Hz, and {MAX_SFREQ_HZ:g} Hz is the limit"
    if not 1 <= count <= MAX_CHANNELS:
        return f"it declares {count} channels, and {MAX_CHANNELS} is the limit"
    return ""


def stream_of(info: Any) -> LslStream:
    """Return what a pylsl StreamInfo describes; no channels if they cannot be read."""
    problem, channels = unusable(info), []
    if not info.uid():
        # liblsl replaces a description with a rate that is no number by an error of its parser.
        return LslStream("(unreadable)", "", "", "", (), math.nan, "", False, problem)
    try:
        if info.channel_count() <= MAX_LISTED:
            channels = _channels(_parsed(info.as_xml()))
    except UnreadableStreamError as exc:
        problem = problem or str(exc)
    units = {channel["unit"] for channel in channels} - {""}
    kind = clean(info.type())
    return LslStream(
        name=clean(info.name()),
        type=kind,
        source_id=clean(info.source_id()),
        host=clean(info.hostname()),
        channels=_names([channel["label"] for channel in channels]),
        sfreq_hz=float(info.nominal_srate()),
        unit=clean(" ".join(sorted(units))),
        is_eeg=kind.casefold() == "eeg" and info.channel_format() != TEXT,
        problem=problem,
    )


def layout_of(xml: str, unit: str | None, unit_option: str = "; --unit sets it") -> Layout:
    """Return the EEG channels in a stream's XML description.

    ``unit`` is the user's unit; it comes before the units in the description. ``unit_option`` ends
    the note about an unknown unit. Raises `InputError` if no channel is EEG, and
    `UnreadableStreamError` if the description is no XML.
    """
    description = _parsed(xml)
    channels = _channels(description)
    names = _names([channel["label"] for channel in channels])
    columns = [
        n
        for n, channel in enumerate(channels)
        if channel["type"].casefold() in _EEG_TYPES and not _NOT_EEG.search(channel["label"])
    ]
    stream = clean(description.findtext("name") or "")
    if not columns:
        raise InputError(f"LSL stream {stream!r} has no EEG channel, only {listing(names)}")
    units = [unit or channels[n]["unit"] for n in columns]
    unknown = sorted({text for text in units if uv_per_unit(text) is None})
    notes = []
    if unknown:
        problem = f"has the unit {unknown[-1]!r}" if unknown[-1] else "names no unit"
        notes.append(f"LSL stream {stream!r} {problem}: taken as microvolts{unit_option}.")
    scale = np.array([uv_per_unit(text) or 1.0 for text in units], dtype=np.float32)
    return Layout(columns, tuple(names[n] for n in columns), scale, tuple(notes))


def listing(names: Sequence[str]) -> str:
    """Return the first of ``names`` and the number of the others."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _parsed(xml: str) -> ET.Element:
    """Parse the description. Raises `UnreadableStreamError` if it is no XML.

    liblsl writes control characters as references ("&#27;"), which no XML may contain. They become
    question marks, as in `clean`.
    """
    text = _NO_XML.sub("?", _REFERENCE.sub(_allowed, xml))
    try:
        return ET.fromstring(text)
    except ET.ParseError as exc:
        raise UnreadableStreamError(f"its description is no XML ({exc})") from exc


def _allowed(reference: re.Match[str]) -> str:
    """Return a reference to a character as it is, or "?" if XML forbids the character."""
    number = int(reference[1], 16) if reference[1] else int(reference[2])
    legal = number <= 0x10FFFF and not _NO_XML.match(chr(number))
    return reference[0] if legal else "?"


def _channels(description: ET.Element) -> list[dict[str, str]]:
    """Return label, type and unit of each channel; "" for what the description lacks."""
    described = description.findall("desc/channels/channel")
    text = description.findtext("channel_count") or "0"
    if not re.fullmatch("[0-9]{1,10}", text):
        raise UnreadableStreamError(f"its number of channels is {clean(text)!r}")
    count = min(int(text), MAX_LISTED)
    channels = [
        {key: clean(channel.findtext(key) or "") for key in ("label", "type", "unit")}
        for channel in described[:count]
    ]
    return channels + [{"label": "", "type": "", "unit": ""}] * (count - len(channels))


def _names(labels: Sequence[str]) -> tuple[str, ...]:
    """Return distinct channel names: the labels, or numbers for channels without one."""
    names: list[str] = []
    taken: set[str] = set()
    for number, label in enumerate(labels, 1):
        name = label or str(number)
        while name in taken:
            name = f"{label or 'channel'}.{number}"
            label = name
        names.append(name)
        taken.add(name)
    return tuple(names)
