"""Sends stages as LSL streams, for LabRecorder, MNE-LSL and others."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from models.contract import EPOCH_S, STAGES
from monitor.closing import Closing
from monitor.config import LslOutConfig
from monitor.errors import one_line
from monitor.lsl_library import load_pylsl
from monitor.night.events import EventType
from monitor.sinks.event_log import EventLog
from monitor.sinks.ways.so_far import UNSCORED
from monitor.sinks.ways.way import (
    LIMIT_S,
    REPLAY,
    CarriedNight,
    WayError,
    is_live_stage,
    position_key,
)
from monitor.text import clean
from monitor.types import Event, MarkKind

NOW = 0.0
"""The time stamp for which liblsl puts its clock's time."""

FLUSH_S = 0.3
"""liblsl drops what it has not sent when a stream ends. It sends within milliseconds."""


class LslMarkerSender(Closing):
    """A stream of type "Markers": one text a marker, at an irregular rate.

    - ``source_id`` must be the same after a restart: a recorder then goes on with the stream.
    - ``about``: names and values for the stream's description.
    - LSL gives no receipt: a marker reaches those who are connected when it is sent.
    """

    def __init__(self, name: str, source_id: str, about: Mapping[str, str] | None = None) -> None:
        pylsl = load_pylsl()
        self.name = f"the LSL stream {clean(name)}"
        self._info = pylsl.StreamInfo(
            name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, source_id
        )
        _describe(self._info, about or {})
        self._outlet: Any = None

    def connect(self) -> None:
        """Offer the stream on the network. Raises `WayError` if that fails."""
        if self._outlet is None:
            self._outlet = _offered(self._info)

    def send(self, text: str, stamp_s: float | None = None) -> None:
        """Send a marker. ``stamp_s``: its time on LSL's clock, above 0; None: now."""
        self.connect()
        assert self._outlet is not None
        self._outlet.push_sample([text], NOW if stamp_s is None else stamp_s)

    def wait_for_listeners(self, limit_s: float) -> None:
        """Wait until somebody listens, for ``limit_s`` at most."""
        assert self._outlet is not None
        self._outlet.wait_for_consumers(limit_s)

    def close(self) -> None:
        """Withdraw the stream."""
        if self._outlet is not None and self._outlet.have_consumers():
            threading.Event().wait(FLUSH_S)
        self._outlet = None


class LslWay:
    """Fulfils `Way`: see WAYS.md for the two streams.

    Each sample is stamped with the start of its epoch, on LSL's clock, however late it is sent. In
    a replay it is stamped with the moment at which it is sent.
    """

    batch = 64
    longest_pause_s = 5.0

    def __init__(self, config: LslOutConfig, night: CarriedNight, log: EventLog) -> None:
        self._night = night
        self._log = log
        name = config.name + ("" if night.is_live else REPLAY)
        name += f"-{night.node}" if night.node else ""
        # Not of the session: a recorder that waits for tomorrow's night finds it by this id.
        source_id = f"{name}@{socket.gethostname()}"
        about = {
            "session": night.session.id,
            "sleeper": night.session.sleeper,
            "mode": "live" if night.is_live else "replay",
            "model": night.session.model,
            "stamp": "start of the epoch" if night.is_live else "when it was sent",
        }
        self._markers = LslMarkerSender(f"{name}-stages", f"{source_id}-stages", about)
        pylsl = load_pylsl()
        self._info = pylsl.StreamInfo(
            f"{name}-probabilities",
            "Probabilities",
            len(STAGES),
            1.0 / EPOCH_S,
            pylsl.cf_float32,
            f"{source_id}-probabilities",
        )
        _describe(self._info, about, [stage.value for stage in STAGES])
        self._outlet: Any = None
        self.name = f"LSL as {clean(name)}"
        self.key = position_key("lsl", name)

    def connect(self) -> None:
        """Offer the streams; after a restart wait for those who listened before it."""
        if self._outlet is not None:
            return
        self._markers.connect()
        self._outlet = _offered(self._info)
        if self._night.is_live and self._log.sent_to(self.key):
            self._markers.wait_for_listeners(LIMIT_S)

    def wants(self, event: Event) -> bool:
        """See `Way.wants`."""
        return event.type == EventType.MARK or is_live_stage(event)

    def send(self, events: Sequence[Event]) -> None:
        """See `Way.send`."""
        assert self._outlet is not None
        for event in events:
            data, is_mark = event.data, event.type == EventType.MARK
            start_utc = event.time if is_mark else datetime.fromisoformat(data["start_utc"])
            stamp_s = self._stamp_s(start_utc)
            if stamp_s <= 0.0:
                # LSL's clock begins when the machine starts: it has no stamps for what was before.
                continue
            if is_mark:
                is_note = data["kind"] == MarkKind.NOTE
                self._markers.send(f"note: {data['text']}" if is_note else data["kind"], stamp_s)
                continue
            self._markers.send(data["stage"] or UNSCORED, stamp_s)
            p = data["probabilities"]
            values = [float("nan") if p is None else float(p[stage]) for stage in STAGES]
            self._outlet.push_sample(values, stamp_s)

    def settle(self) -> None:
        """Do nothing: LSL notices by itself if a stream is gone."""

    def close(self) -> None:
        """See `Way.close`."""
        if self._outlet is not None and self._outlet.have_consumers():
            threading.Event().wait(FLUSH_S)
        self._outlet = None
        self._markers.close()

    def _stamp_s(self, time: datetime) -> float:
        now_utc, lsl_s = self._night.now_utc, float(load_pylsl().local_clock())
        return lsl_s if now_utc is None else lsl_s - (now_utc() - time).total_seconds()


def _offered(info: Any) -> Any:
    try:
        return load_pylsl().StreamOutlet(info)
    except (OSError, RuntimeError) as exc:
        name = clean(info.name())
        raise WayError(f"LSL cannot offer the stream {name} ({clean(one_line(exc))})") from exc


def _describe(info: Any, about: Mapping[str, str], labels: Sequence[str] = ()) -> None:
    description = info.desc()
    for key, value in about.items():
        description.append_child_value(key, value)
    if labels:
        channels = description.append_child("channels")
        for label in labels:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", "probability")
