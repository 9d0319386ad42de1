"""Publishes what the monitor sees of each sleeper now, between the events: `SleepersKey`.

Events report the electrodes once an epoch, and nothing before a night begins. A page beside the
bed needs both every two seconds. See EVENTS.md.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from models.reading import UnreadableError, parsed_json
from monitor.backoff import Backoff
from monitor.clock import Clock
from monitor.closing import Closing
from monitor.night.events import utc_text
from monitor.night.state import SleeperState
from monitor.night.trouble import Trouble
from monitor.sinks.dashboard.health import electrodes
from monitor.sinks.marks import MAX_NAME
from monitor.sinks.redis_client import PREFIX, Keys, connect
from monitor.text import clean
from monitor.types import ChannelState, Contact, Reason, SignalState

EVERY_S = 2.0
"""Interval of the writes: the electrodes are judged as often."""

KEPT_S = 15
"""The key expires so long after its last write: the monitor is gone, as with a heartbeat."""

MOST_SLEEPERS = 64
MOST_CHANNELS = 64
"""More are not read: another program may have written the key."""


@dataclass(frozen=True, slots=True)
class LastingTrouble:
    """A trouble that lasted so long that the monitor reported it: one sentence, and its start."""

    text: str
    since_utc: datetime


@dataclass(frozen=True, slots=True)
class SleeperNow:
    """A sleeper as the monitor sees them now, in the key.

    ``session`` is "" before the night begins; then ``status`` says what the source does. The other
    fields are those of `NightState` and `SleeperState`.
    """

    sleeper: str
    session: str
    status: str
    failed: bool
    signal: SignalState | None
    channels: tuple[ChannelState, ...]
    last_sample_utc: datetime | None
    unstored: int
    trouble: Trouble | None
    lasting: LastingTrouble | None


class SleepersKey(Closing):
    """Writes the state of all sleepers to the key `Keys.sleepers` of ``url``, every `EVERY_S`.

    - `update` returns at once and never raises: a thread of its own writes.
    - While the server is away nothing is written, and nothing logged: the publisher logs that.
    - It also ends when the main thread ends.
    """

    def __init__(self, url: str, clock: Clock, prefix: str = PREFIX) -> None:
        self._clock = clock
        self._key = Keys(prefix).sleepers
        self._client: Any = connect(url)
        self._newest: tuple[Sequence[SleeperState], Mapping[str, LastingTrouble]] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sleepers key")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def update(
        self, sleepers: Sequence[SleeperState], lasting: Mapping[str, LastingTrouble]
    ) -> None:
        """Take the newest states, and the lasting trouble of those sleepers that have one."""
        self._newest = (sleepers, lasting)

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._client.close()

    def _run(self) -> None:
        backoff = Backoff(first_s=EVERY_S)
        pause_s = 0.1
        while not self._closing.wait(pause_s) and threading.main_thread().is_alive():
            pause_s = EVERY_S
            try:
                if self._newest is not None:
                    self._client.set(self._key, self._as_json(*self._newest), ex=KEPT_S)
                backoff.reset()
            except Exception:  # the server is away or refuses; nothing may end this thread
                self._client.close()
                pause_s = backoff.next_s()

    def _as_json(
        self, sleepers: Sequence[SleeperState], lasting: Mapping[str, LastingTrouble]
    ) -> str:
        rows = [_row(each, lasting.get(each.sleeper)) for each in sleepers]
        return json.dumps({"utc": utc_text(self._clock.utc()), "sleepers": rows})


def _row(state: SleeperState, lasting: LastingTrouble | None) -> dict[str, Any]:
    night = state.night
    return {
        "sleeper": state.sleeper,
        "session": None if night is None else night.session.id,
        "status": state.status,
        "failed": state.failed,
        "signal": None if night is None else night.signal.value,
        "channels": []
        if night is None
        else [
            {"name": each.name, "contact": each.contact.value, "reason": each.reason}
            for each in electrodes(night)
        ],
        "last_sample_utc": _time_text(None if night is None else night.last_sample_utc),
        "unstored": 0 if night is None else night.unstored,
        "trouble": None if night is None else night.trouble,
        "lasting": None
        if lasting is None
        else {"text": lasting.text, "since_utc": utc_text(lasting.since_utc)},
    }


def _time_text(when: datetime | None) -> str | None:
    return None if when is None else utc_text(when)


def read_sleepers(text: str) -> list[SleeperNow]:
    """Return the sleepers in the text of the key; those that can be read, if any."""
    try:
        value = parsed_json(text)
    except UnreadableError:
        return []
    rows = value.get("sleepers") if isinstance(value, dict) else None
    sleepers = []
    for row in (rows if isinstance(rows, list) else [])[:MOST_SLEEPERS]:
        with suppress(ValueError, KeyError, TypeError, AttributeError, OverflowError):
            sleepers.append(_read_row(row))
    return sleepers


def _read_row(row: Mapping[str, Any]) -> SleeperNow:
    lasting = row["lasting"]
    return SleeperNow(
        sleeper=clean(row["sleeper"], MAX_NAME),
        session=row["session"] or "",
        status=clean(row["status"]),
        failed=bool(row["failed"]),
        signal=None if row["signal"] is None else SignalState(row["signal"]),
        channels=tuple(channel_of(each) for each in row["channels"][:MOST_CHANNELS]),
        last_sample_utc=_time(row["last_sample_utc"]),
        unstored=int(row["unstored"]),
        trouble=None if row["trouble"] is None else Trouble(row["trouble"]),
        lasting=None
        if lasting is None
        else LastingTrouble(clean(lasting["text"]), _known_time(lasting["since_utc"])),
    )


def channel_of(row: Mapping[str, Any]) -> ChannelState:
    """Return a channel in the JSON of an event or of the key. Raises ValueError and its kin."""
    reason = None if row["reason"] is None else Reason(row["reason"])
    return ChannelState(clean(row["name"], 60), Contact(row["contact"]), reason, None)


def _time(text: str | None) -> datetime | None:
    return None if text is None else _known_time(text)


def _known_time(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"time {text!r} has no offset")
    return when
