"""List the LSL streams in the network."""

from __future__ import annotations

from contextlib import suppress

from monitor.lsl_library import absent, load_pylsl
from monitor.sources.lsl.metadata import LslStream, stream_of, unusable

MAX_OPENED = 60
"""Streams whose channels are read. One that does not answer takes a second."""


def list_streams(wait_s: float) -> list[LslStream]:
    """Return all streams that answer within ``wait_s``, EEG first.

    Beyond `MAX_OPENED` streams their channels stay unknown. Raises `InputError` if liblsl cannot be
    loaded.
    """
    pylsl = load_pylsl()
    streams = []
    for number, info in enumerate(pylsl.resolve_streams(wait_s)):
        # The answer to a search holds no channels: only an inlet receives the full description.
        # Opening one of a hostile rate would reserve gigabytes.
        if number < MAX_OPENED and not unusable(info):
            with suppress(*absent(pylsl)):
                info = pylsl.StreamInlet(info, max_buflen=1, recover=False).info(timeout=1.0)
        streams.append(stream_of(info))
    return sorted(streams, key=lambda stream: (not stream.is_eeg, stream.name, stream.source_id))
