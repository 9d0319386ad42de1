"""What another app would do: follow the events of a server, those already there first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import redis
from rich.console import Console
from rich.text import Text

from monitor.backoff import Backoff
from monitor.errors import MonitorError
from monitor.night.events import EventType, from_json, session_id_of
from monitor.sinks.redis_client import PREFIX, Keys, connect, safe_text, safe_url
from monitor.sinks.redis_server import DEFAULT_URL
from monitor.types import Event

BLOCK_S = 0.5
READ_TIMEOUT_S = 5.0
REMEMBERED = 200_000
"""Ids kept to drop repeats: twice what the stream holds."""


class Follower:
    """The events of a server: first those already there, then as they come.

    - Iterating gives (event, its JSON text) for ever, or until ``stop`` is set. A repeated
      event is given once; but a session that ended and then starts again is a replay that is run
      anew, and given anew.
    - A server that is away or restarts is waited for; ``notice`` is told once that it went, and
      once that it returned. With ``wait_limit_s``, MonitorError after that long away.
    - Raises MonitorError if the server refuses the login, InputError if ``url`` is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        notice: Callable[[str], None],
        wait_limit_s: float | None = None,
        stop: threading.Event | None = None,
        prefix: str = PREFIX,
    ) -> None:
        self._url = url
        self._notice = notice
        self._wait_limit_s = wait_limit_s
        self._stop = stop or threading.Event()
        self._stream = Keys(prefix).events
        self._client: Any = connect(url, timeout_s=READ_TIMEOUT_S)
        self._last_entry = "0-0"
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._ended: set[str] = set()

    def __iter__(self) -> Iterator[tuple[Event, str]]:
        backoff = Backoff(first_s=0.1, longest_s=2.0)
        away_since_s: float | None = None
        connected = False
        try:
            while not self._stop.is_set():
                try:
                    if not connected:
                        self._rewind_if_lost()
                    entries = self._read()
                except redis.AuthenticationError as exc:
                    raise MonitorError(
                        f"{safe_url(self._url)} refuses the login: {safe_text(exc, self._url)}"
                    ) from None
                except (redis.RedisError, OSError) as exc:
                    connected = False
                    now_s = time.monotonic()
                    if away_since_s is None:
                        away_since_s = now_s
                        self._notice(f"no events from {self._describe(exc)}; waiting for it")
                    if self._wait_limit_s is not None and (
                        now_s - away_since_s >= self._wait_limit_s
                    ):
                        raise MonitorError(
                            f"no event server in {self._wait_limit_s:g} s at {self._describe(exc)}."
                            f" Is a monitor running, and with this --redis URL?"
                        ) from None
                    self._stop.wait(backoff.next_s())
                    continue
                if away_since_s is not None:
                    self._notice(f"{safe_url(self._url)} is there")
                connected, away_since_s = True, None
                backoff.reset()
                for text in entries:
                    event = self._new_event(text)
                    if event is not None:
                        yield event, text
        finally:
            self._client.close()

    def _read(self) -> list[str]:
        answer = self._client.xread(
            {self._stream: self._last_entry}, count=500, block=round(1000 * BLOCK_S)
        )
        entries = answer[0][1] if answer else []
        if entries:
            self._last_entry = entries[-1][0]
        return [fields.get("event", "") for _, fields in entries]

    def _rewind_if_lost(self) -> None:
        """Begin again on a server whose stream is empty or behind: it lost what was read."""
        newest = self._client.xrevrange(self._stream, count=1)
        if not newest or _entry_id(newest[0][0]) < _entry_id(self._last_entry):
            self._last_entry = "0-0"

    def _new_event(self, text: str) -> Event | None:
        try:
            event = from_json(text)
        except ValueError as exc:
            self._notice(f"skipped an entry of {self._stream}: {exc}")
            return None
        key = (event.source, event.id)
        if key in self._seen:
            if event.type != EventType.SESSION_STARTED:
                return None
            name = session_id_of(event)
            if event.source not in self._ended:
                self._notice(f"{name} is sent again; what was shown is left out")
                return None
            self._notice(f"{name} begins anew")
            self._seen = OrderedDict((k, None) for k in self._seen if k[0] != event.source)
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        if event.type == EventType.SESSION_ENDED:
            self._ended.add(event.source)
        else:
            self._ended.discard(event.source)
        return event

    def _describe(self, exc: Exception) -> str:
        return f"{safe_url(self._url)} ({safe_text(exc, self._url)})"


def watch(
    console: Console,
    notices: Console,
    *,
    url: str = DEFAULT_URL,
    as_json: bool = False,
    wait_limit_s: float | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Print the events of ``url``, one line each, until Ctrl-C or ``stop``.

    Events go to ``console``, as CloudEvents JSON if ``as_json``; what happens to the connection
    goes to ``notices``, so that the former can be piped.
    """

    def notice(text: str) -> None:
        notices.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    sleepers: dict[str, str] = {}
    try:
        for event, text in Follower(url, notice=notice, wait_limit_s=wait_limit_s, stop=stop):
            if event.type == EventType.SESSION_STARTED:
                sleepers[event.source] = str(event.data.get("sleeper", ""))
            if as_json:
                console.out(text, highlight=False)
            else:
                line = event_line(event, sleepers.get(event.source, ""))
                console.print(Text(line, _style(event)), soft_wrap=True)
    except KeyboardInterrupt:
        # How one leaves a program that runs for ever; nothing is left to do.
        return


def event_line(event: Event, sleeper: str = "") -> str:
    """One line for people; times are UTC, as on the recording's clock."""
    try:
        what = _DESCRIBE[event.type](event)
    except (KeyError, TypeError):
        # A type of a later version, or not quite an event: there it is, all the same.
        what = event.type
    return f"{event.time:%H:%M:%S}  " + (f"{sleeper}: " if sleeper else "") + what


def _describe_stage(event: Event) -> str:
    data = event.data
    stage = "?" if data["stage"] is None else data["stage"]
    detail = (
        f"unscored: {data['reason']}" if data["stage"] is None else f"{data['confidence']:4.0%}"
    )
    track = data["track"]
    if track != "live":
        track += f" {data['revision']}" + (", final" if data["final"] else "")
    return f"epoch {data['epoch_index']:4d}  {stage:2}  {detail}  ({track})"


def _describe_started(event: Event) -> str:
    data = event.data
    return f"session {session_id_of(event)} started: {data['source']}, {data['derivation']}"


def _describe_resumed(event: Event) -> str:
    return f"session {session_id_of(event)} resumed with epoch {event.data['epoch_index']}"


def _describe_channels(event: Event) -> str:
    return "contact: " + ", ".join(
        f"{channel['name']} {channel['contact']}"
        + (f" ({channel['reason']})" if channel["reason"] else "")
        for channel in event.data["channels"]
    )


def _describe_derivation(event: Event) -> str:
    data = event.data
    why = f"{data['previous']}: {data['reason']}" if data["reason"] else "the preferred one"
    return f"{data['derivation']} staged from epoch {data['epoch_index']} on ({why})"


def _describe_backend(event: Event) -> str:
    data = event.data
    return (
        f"{data['backend']} runs the network from epoch {data['epoch_index']} on: {data['reason']}"
    )


def _describe_signal(event: Event) -> str:
    reason = event.data["reason"]
    return f"signal {event.data['state']}" + (f": {reason}" if reason else "")


def _describe_mark(event: Event) -> str:
    kind, text = event.data["kind"].replace("_", " "), event.data["text"]
    return f"mark: {kind}" + (f": {text}" if text else "")


def _describe_ended(event: Event) -> str:
    statistics, epochs = event.data["statistics"], event.data["epochs"]
    efficiency = statistics["se_percent"]
    worn = event.data.get("worn")
    return (
        f"session {session_id_of(event)} ended: {epochs['total']} epochs, "
        f"{epochs['unscored']} unscored, TST {statistics['tst_min']:g} min"
        + ("" if efficiency is None else f", SE {efficiency:.0f} % ({statistics['bounds']})")
        + (f", worn {worn['start_utc'][11:19]} to {worn['end_utc'][11:19]}" if worn else "")
    )


_DESCRIBE: dict[str, Callable[[Event], str]] = {
    EventType.SESSION_STARTED: _describe_started,
    EventType.SESSION_RESUMED: _describe_resumed,
    EventType.STAGE: _describe_stage,
    EventType.SIGNAL: _describe_signal,
    EventType.CHANNELS: _describe_channels,
    EventType.DERIVATION: _describe_derivation,
    EventType.BACKEND: _describe_backend,
    EventType.MARK: _describe_mark,
    EventType.SESSION_ENDED: _describe_ended,
}


def _style(event: Event) -> str:
    if event.type == EventType.STAGE:
        return "dim" if event.data["track"] != "live" else ""
    return "bold"


def _entry_id(text: str) -> tuple[int, int]:
    milliseconds, _, count = text.partition("-")
    return int(milliseconds), int(count)
