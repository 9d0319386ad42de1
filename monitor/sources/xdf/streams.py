"""The streams of an XDF file by their headers, and which of them are EEG or markers."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.errors import InputError
from monitor.sources.channel_names import is_eeg
from monitor.sources.lsl.metadata import MAX_CHANNELS, Layout, layout_of, listing
from monitor.text import clean
from monitor.types import MAX_SFREQ_HZ, MIN_SFREQ_HZ

NUMBERS = {"float32", "double64", "int8", "int16", "int32", "int64"}
"""Formats of samples. The one besides is "string", for markers."""


@dataclass(frozen=True, slots=True)
class XdfStream:
    """A stream, by its header.

    ``layout`` has its EEG channels; None if it has none, or if its header cannot be used.
    """

    number: int
    name: str
    type: str
    format: str
    n_channels: int
    sfreq_hz: float
    layout: Layout | None

    def __str__(self) -> str:
        rate = f", {self.sfreq_hz:g} Hz" if self.sfreq_hz else ""
        return f"{self.name!r} (type {self.type!r}{rate})"

    @property
    def is_marker(self) -> bool:
        """True for texts, and for numbers that come at no rate and are called markers."""
        called = self.type.casefold() in {"markers", "marker", "events", "event", "stim"}
        return self.format == "string" or (called and not self.sfreq_hz and self.format in NUMBERS)

    @property
    def may_be_eeg(self) -> bool:
        """True for numbers with EEG channels, at a rate that can be staged or an unknown one."""
        fast = not self.sfreq_hz or MIN_SFREQ_HZ <= self.sfreq_hz <= MAX_SFREQ_HZ
        return self.layout is not None and self.format in NUMBERS and not self.is_marker and fast


def eeg_streams(streams: Mapping[int, XdfStream]) -> list[XdfStream]:
    """Return the streams of type EEG; without any, those whose channels have names of electrodes.

    They are in the order of the file.
    """
    able = [each for each in streams.values() if each.may_be_eeg]
    of_type = [each for each in able if each.type.casefold() == "eeg"]
    return of_type or [
        each for each in able if each.layout and any(is_eeg(name) for name in each.layout.names)
    ]


def stream_of(number: int, xml: str) -> XdfStream | None:
    """Return the stream with this header; None if it is no header of a stream."""
    try:
        info = ET.fromstring(xml)
        n_channels = int(info.findtext("channel_count") or "0")
        sfreq_hz = float(info.findtext("nominal_srate") or "0")
    except (ET.ParseError, ValueError):
        return None
    if not 1 <= n_channels <= MAX_CHANNELS or not 0.0 <= sfreq_hz < float("inf"):
        return None
    try:
        layout = layout_of(xml, None, unit_option="")
    except InputError:
        layout = None
    return XdfStream(
        number,
        name=clean(info.findtext("name") or "") or f"stream {number}",
        type=clean(info.findtext("type") or ""),
        format=info.findtext("channel_format") or "",
        n_channels=n_channels,
        sfreq_hz=sfreq_hz,
        layout=layout,
    )


def labels_of(streams: list[XdfStream]) -> list[str]:
    """Return what the channels of each stream are called after: nothing if it is the only one."""
    if len(streams) == 1:
        return [""]
    names = [each.name for each in streams]
    return [
        each.name if names.count(each.name) == 1 else f"{each.name} {each.number}"
        for each in streams
    ]


def none_is_eeg(streams: Mapping[int, XdfStream]) -> str:
    """Return the reason why no stream can be staged, for a message."""
    if not streams:
        return "holds no stream"
    return f"holds no stream of EEG, only {listing([str(each) for each in streams.values()])}"
