"""A night so far in the values that a home or an app shows, folded from its events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from models.contract import Stage
from monitor.night.events import EventType, utc_text
from monitor.night.statistics import EPOCH_MIN
from monitor.types import Event, MarkKind, Track

UNSCORED = "unscored"
"""The word for the stage of an epoch without one."""

UNKNOWN = "unknown"
"""The contact of an electrode that was not judged yet."""


def is_asleep(stage: str | None) -> bool | None:
    """Return True for N1, N2, N3 and R; None for an unscored epoch: nobody knows."""
    return None if stage is None else stage != Stage.W


class NightSoFar:
    """The state of a night after the events that `add` was given, in order."""

    def __init__(self, channels: tuple[str, ...]) -> None:
        self._live: dict[str, Any] = {}  # the newest prediction of the live track
        self._time: datetime | None = None
        self._asleep: dict[int, tuple[datetime, bool]] = {}  # start and newest stage of each epoch
        self._lights: dict[str, datetime] = {}
        self._signal = "waiting"
        self._contacts = dict.fromkeys(channels, UNKNOWN)
        self._scored = False  # True once an epoch could be scored
        self._ended = False

    def add(self, event: Event) -> None:
        """Take the next event of the session."""
        data = event.data
        match event.type:
            case EventType.STAGE:
                self._ended = False
                start_utc = datetime.fromisoformat(data["start_utc"])
                # Revisions come after the live prediction of their epoch, the best one last.
                self._asleep[data["epoch_index"]] = start_utc, bool(is_asleep(data["stage"]))
                self._scored |= data["stage"] is not None
                if data["track"] == Track.LIVE:
                    self._live, self._time = data, event.time
            case EventType.SIGNAL:
                self._signal = data["state"]
            case EventType.CHANNELS:
                self._contacts |= {each["name"]: each["contact"] for each in data["channels"]}
            case EventType.MARK if data["kind"] != MarkKind.NOTE:
                self._lights[data["kind"]] = event.time
            case EventType.SESSION_RESUMED:
                self._ended = False
            case EventType.SESSION_ENDED:
                self._ended = True

    def values(self) -> dict[str, Any]:
        """Return the state, ready for JSON. None: unknown."""
        live = self._live
        stage = live.get("stage")
        confidence = live.get("confidence")
        return {
            "stage": stage or UNSCORED,
            "reason": live.get("reason"),
            "confidence_percent": None if confidence is None else round(100.0 * confidence, 1),
            "asleep": _switch(None if self._ended else is_asleep(stage)),
            "in_bed": _switch(self._in_bed()),
            "tst_min": self._tst_min(),
            "sleep_as_android": live.get("sleep_as_android"),
            "signal": self._signal,
            "electrodes": self._contacts,
            "time": None if self._time is None else utc_text(self._time),
            "ended": self._ended,
        }

    @property
    def _lights_on(self) -> datetime | None:
        """The time of lights on, if it follows lights off."""
        on, off = (self._lights.get(kind) for kind in (MarkKind.LIGHTS_ON, MarkKind.LIGHTS_OFF))
        return None if on is not None and off is not None and on <= off else on

    def _in_bed(self) -> bool:
        # Without a mark, the first epoch that could be scored shows that the band is on the head.
        begun = MarkKind.LIGHTS_OFF in self._lights or self._scored
        return begun and self._lights_on is None and not self._ended

    def _tst_min(self) -> float:
        off, on = self._lights.get(MarkKind.LIGHTS_OFF), self._lights_on
        counted = [
            asleep
            for start_utc, asleep in self._asleep.values()
            # An epoch counts from the one in which the light went off to the one before it went on.
            if (off is None or (off - start_utc).total_seconds() < 60.0 * EPOCH_MIN)
            and (on is None or (on - start_utc).total_seconds() >= 60.0 * EPOCH_MIN)
        ]
        return sum(counted) * EPOCH_MIN


def _switch(value: bool | None) -> str | None:
    return None if value is None else "ON" if value else "OFF"
