"""The events as a stream that a browser follows: `EventStream` (server-sent events).

See https://html.spec.whatwg.org/multipage/server-sent-events.html. Entries without a name are
CloudEvents, each with the id of its entry on the event server. The others have a name and no id:

- ``now``: a sleeper now, again after each change. ``monitor``: if a monitor runs, and who is shown.
- ``beat``: the time, at the start, and whenever nothing happened for `BEAT_S`. A reader that hears
  nothing for longer connects again.
- ``reset``: events are missing, since the reader was away for too long. It reads the night again.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from monitor.clock import Clock
from monitor.night.events import utc_text
from monitor.web.hub import Hub, Place, read_place

BEAT_S = 10.0
"""Interval of the beats."""

MOST_STREAMS = 100
"""Streams that are open at once: a page of fifty tabs, and as many apps."""

AT_ONCE = 1000
"""Events in one piece."""

SEND_S = 30.0
"""A reader that takes nothing for so long has gone, and its stream is closed."""

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventStreams:
    """An ASGI application: one stream of the events of ``hub`` for each request."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._waiting: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        hub.listen(self._wake_from_elsewhere)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            place = _start(scope)
        except ValueError as exc:
            await JSONResponse({"error": str(exc)}, 400)(scope, receive, send)
            return
        if len(self._waiting) >= MOST_STREAMS or self._closed:
            answer = JSONResponse(
                {"error": f"{MOST_STREAMS} readers follow the events already: close one"},
                503,
                {"Retry-After": "5"},
            )
            await answer(scope, receive, send)
            return
        wake = asyncio.Event()
        self._waiting.add(wake)
        sending = asyncio.ensure_future(self._send_all(place, wake, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.discard(wake)
            for task in (sending, leaving):
                task.cancel()
                # A reader that is too slow, or gone, is no fault of the server.
                with suppress(asyncio.CancelledError, TimeoutError, OSError):
                    await task

    def close(self) -> None:
        """End every stream, and begin no other. Call it from any thread."""
        self._closed = True
        self._wake_from_elsewhere()

    def _wake_from_elsewhere(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for each in self._waiting:
            each.set()

    async def _send_all(self, place: Place | None, wake: asyncio.Event, send: Send) -> None:
        await _send_in_time(
            send, {"type": "http.response.start", "status": 200, "headers": _HEADERS}
        )
        sent: dict[str, str] = {}
        text = "retry: 2000\n\n" + self._beat()
        while not self._closed:
            wake.clear()
            # Until the hub has read the events so far, it cannot know what a reader has missed.
            pieces = ""
            if self._hub.has_caught_up:
                pieces, place = self._news(place, sent)
            if text := text + pieces:
                body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
                await _send_in_time(send, body)
            text = ""
            if pieces:
                continue
            try:
                async with asyncio.timeout(BEAT_S):
                    await wake.wait()
            except TimeoutError:
                text = self._beat()
        await _send_in_time(send, {"type": "http.response.body", "body": b""})

    def _beat(self) -> str:
        return _entry(json.dumps({"utc": utc_text(self._clock.utc())}), "beat")

    def _news(self, place: Place | None, sent: dict[str, str]) -> tuple[str, Place]:
        """Return what is new after ``place`` (None: nothing yet), and the place after it."""
        if place is None:
            place = self._hub.newest()
        events, missing = self._hub.events_after(place, AT_ONCE)
        pieces = [_entry("{}", "reset")] if missing else []
        pieces += [_entry(event.text, place=event.id) for event in events]
        if events:
            place = events[-1].place
        elif missing:
            place = self._hub.newest()
        # The state now follows the events that lead to it.
        if len(events) < AT_ONCE:
            parts = self._hub.parts()
            for key in sent.keys() - parts.keys():
                del sent[key]
            for key, text in parts.items():
                if sent.get(key) != text:
                    sent[key] = text
                    pieces.append(_entry(text, "now" if key else "monitor"))
        return "".join(pieces), place


def _start(scope: Scope) -> Place | None:
    """Return the place after which a stream begins; None: now. Raises ValueError if it is none."""
    given = Headers(scope=scope).get("last-event-id")
    if not given:
        after = parse_qs(scope["query_string"].decode("latin-1")).get("after", [""])
        given = after[0]
    if not given:
        return None
    if (place := read_place(given)) is None:
        raise ValueError(
            "Last-Event-ID (or after=) must be the id of an event, such as 1764288000000-0, or 0-0 "
            "for all events"
        )
    return place


def _entry(data: str, name: str = "", place: str = "") -> str:
    """Return one entry of a stream. A line break in JSON is white space."""
    data = data.replace("\r", " ").replace("\n", " ")
    head = (f"id: {place}\n" if place else "") + (f"event: {name}\n" if name else "")
    return f"{head}data: {data}\n\n"


async def _send_in_time(send: Send, message: Message) -> None:
    async with asyncio.timeout(SEND_S):
        await send(message)


async def _left(receive: Receive) -> None:
    """Return once the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
