"""Open an LSL stream and find its EEG channels."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from monitor.errors import InputError
from monitor.lsl_library import absent
from monitor.sources.lsl.metadata import (
    TEXT,
    Layout,
    LslStream,
    UnreadableStreamError,
    layout_of,
    stream_of,
    unusable,
)
from monitor.types import MIN_SFREQ_HZ

BUFFER_S = 360
"""Seconds of samples that liblsl keeps while nobody polls."""

BUFFER_BYTES = 256 * 2**20
"""Largest memory for these samples. A stream of many channels gets fewer seconds."""

CHUNK_BYTES = 32 * 2**20
"""Largest memory for the samples of one pull."""

CHUNK_MIN = 256
"""Least number of samples in a pull, for streams that state no rate or a low one."""


@dataclass(slots=True, eq=False)
class JoinedStream:
    """A stream that is being received.

    - ``uid``: LSL's identifier of this outlet; it changes when the sender restarts.
    - ``chunk_size``: samples that are pulled at most at a time.
    - ``correction_s``: add it to a stamp to bring it to this machine's LSL clock.
    """

    stream: LslStream
    uid: str
    inlet: Any
    layout: Layout
    chunk_size: int
    correction_s: float = 0.0

    def measure_clock(self, pylsl: Any) -> bool:
        """Measure ``correction_s`` anew; return False if the sender does not answer."""
        with suppress(*absent(pylsl)):
            self.correction_s = self.inlet.time_correction(timeout=0.5)
            return True
        return False


def join(pylsl: Any, info: Any, unit: str | None, before: JoinedStream | None) -> JoinedStream:
    """Open the stream that ``info`` (a pylsl StreamInfo) describes.

    ``unit`` is the user's unit of the samples. ``before`` is the stream of the night so far, if
    any: the channels are then those of ``before``, in its order.

    Raises `InputError` for a stream that is not EEG, and for one without the channels or the rate
    of ``before``; `UnreadableStreamError` for a description that cannot be used. Raises
    `library.absent` exceptions if the sender does not answer. Takes up to 4 s.
    """
    stream = stream_of(info)
    if problem := unusable(info):
        raise UnreadableStreamError(problem)
    if info.channel_format() == TEXT or 0 < stream.sfreq_hz < MIN_SFREQ_HZ:
        problem = f"{stream.sfreq_hz:g} Hz" if stream.sfreq_hz else "text"
        raise InputError(
            f"LSL stream {stream} is no EEG: it is {problem}, not {MIN_SFREQ_HZ:.0f} Hz or more"
        )
    sample_bytes = 8 * (1 + info.channel_count())
    # The unit of max_buflen is seconds, and hundreds of samples for an irregular stream.
    buffer, a_unit = (BUFFER_S, stream.sfreq_hz) if stream.sfreq_hz else (10 * BUFFER_S, 100)
    buffer = max(1, min(buffer, int(BUFFER_BYTES / (a_unit * sample_bytes))))
    inlet = pylsl.StreamInlet(info, max_buflen=buffer, recover=True)
    full = inlet.info(timeout=2.0)
    if problem := unusable(full) or _contradiction(info, full):
        raise UnreadableStreamError(problem)
    stream, layout = stream_of(full), layout_of(full.as_xml(), unit)
    if before is not None:
        same = layout.only(before.layout.names)
        if same is None or stream.sfreq_hz != before.stream.sfreq_hz:
            raise InputError(
                "it is back with other channels or another rate: restore its settings, or begin "
                "another night with --new-night"
            )
        layout = same
    inlet.open_stream(timeout=2.0)
    chunk_size = min(max(CHUNK_MIN, int(4 * stream.sfreq_hz)), CHUNK_BYTES // sample_bytes)
    return JoinedStream(stream, info.uid(), inlet, layout, chunk_size)


def _contradiction(info: Any, full: Any) -> str:
    """Return in what the full description differs from the answer to the search, or ""."""
    found = (info.nominal_srate(), info.channel_count(), info.channel_format())
    described = (full.nominal_srate(), full.channel_count(), full.channel_format())
    return "" if found == described else "its description contradicts what it announced"
