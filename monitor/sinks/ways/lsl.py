"""Sends markers as an LSL stream, for LabRecorder, MNE-LSL and others."""

from __future__ import annotations

import pylsl

from monitor.closing import Closing
from monitor.errors import one_line
from monitor.sinks.ways.way import WayError
from monitor.text import clean


class LslMarkerSender(Closing):
    """A stream of type "Markers": one text a marker, at an irregular rate.

    ``source_id`` must be the same after a restart: a recorder then goes on with the stream. LSL
    gives no receipt: a marker reaches those who are connected when it is sent.
    """

    def __init__(self, name: str, source_id: str) -> None:
        self.name = f"the LSL stream {clean(name)}"
        self._stream_name = name
        self._source_id = source_id
        self._outlet: pylsl.StreamOutlet | None = None

    def connect(self) -> None:
        """Offer the stream on the network. Raises `WayError` if that fails."""
        if self._outlet is not None:
            return
        info = pylsl.StreamInfo(
            self._stream_name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, self._source_id
        )
        try:
            self._outlet = pylsl.StreamOutlet(info)
        except (OSError, RuntimeError) as exc:
            raise WayError(f"{self.name} cannot be offered ({clean(one_line(exc))})") from exc

    def send(self, text: str, stamp_s: float | None = None) -> None:
        """Send a marker. ``stamp_s``: its time on LSL's clock; None: now."""
        self.connect()
        assert self._outlet is not None
        self._outlet.push_sample([text], pylsl.local_clock() if stamp_s is None else stamp_s)

    def close(self) -> None:
        """Withdraw the stream."""
        self._outlet = None
