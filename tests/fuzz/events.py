"""Entries of the event stream, printed by `watch` from a real server."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Self

from rich.console import Console

from models.contract import STAGES
from monitor.clock import SystemClock
from monitor.night.events import (
    mark_event,
    session_resumed,
    session_started,
    signal_event,
    stage_event,
    to_json,
)
from monitor.sinks.redis_client import Keys, connect
from monitor.sinks.redis_server import RedisServer
from monitor.sinks.watch import watch
from monitor.types import Event, MarkKind, SignalState
from tests.fuzz import nasty
from tests.fuzz.bounds import check_line
from tests.fuzz.case import Case, Kind
from tests.sinks.peers import a_session, scored

FILE = "events.json"
LAST = "the last entry of the case"
LONGEST_EVENT_LINE = 2100


@dataclass(frozen=True, kw_only=True)
class EventsCase(Case):
    """Entries of the stream. ``sound_texts`` are those that must be printed, in this order."""

    entries: Sequence[str]
    sound_texts: Sequence[str]


class EventsKind(Kind):
    """Entries that other programs write where events are expected."""

    name = "events"

    def __init__(self) -> None:
        self._server = RedisServer(port=0)
        self._client: Any = None
        self._cases = 0

    def __enter__(self) -> Self:
        self._server.start()
        self._client = connect(self._server.url)
        return self

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._server.stop()

    def generate(self, random: Random) -> EventsCase:
        entries, sound, story = [], [], []
        for number, event in enumerate(_events(random)):
            text = to_json(event)
            if random.random() < 0.4:
                entries.append(text)
                sound.append(text)
            else:
                broken, change = _broken(random, text)
                entries.append(broken)
                story.append(f"{number}: {change}")
        content = json.dumps(entries, indent=1).encode()
        return EventsCase(
            story=", ".join(story)[:1000],
            files={FILE: content},
            sound=True,
            entries=entries,
            sound_texts=sound,
        )

    def check(self, case: EventsCase, folder: Path) -> None:
        stream = Keys().events
        self._client.delete(stream)
        for text in case.entries:
            self._client.xadd(stream, {"event": text.encode("utf-8", "replace")})
        last = mark_event(a_session("end"), 1, MarkKind.NOTE, time=a_session().start_utc, text=LAST)
        self._client.xadd(stream, {"event": to_json(last)})
        stop = threading.Event()
        shown, notices = _Lines(stop), _Lines(threading.Event())
        self._cases += 1
        as_json = self._cases % 2 == 0
        watch(
            Console(file=shown, width=100_000),
            Console(file=notices, width=100_000),
            SystemClock(),
            url=self._server.url,
            as_json=as_json,
            wait_limit_s=2.0,
            stop=stop,
        )
        lines = shown.getvalue().splitlines()
        for line in notices.getvalue().splitlines():
            check_line(line, "a notice")
        for line in lines:
            check_line(line, "an event's line", 10**6 if as_json else LONGEST_EVENT_LINE)
        assert len(lines) <= len(case.entries) + 1, "an event has more than one line"
        for text in case.sound_texts:
            wanted = text if as_json else _mark_of_line(json.loads(text))
            at = next((n for n, line in enumerate(lines) if wanted in line), None)
            assert at is not None, f"{wanted!r:.200} is not printed after {lines!r:.300}"
            lines = lines[at + 1 :]


class _Lines(io.StringIO):
    """Text that sets ``stop`` when the last entry is written."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def write(self, text: str) -> int:
        if LAST in text:
            self._stop.set()
        return super().write(text)


def _mark_of_line(event: dict[str, Any]) -> str:
    """Return a part of the line for ``event`` that no other event of the case has."""
    data = event["data"]
    if "epoch_index" in data and "stage" in data:
        return f"epoch {data['epoch_index']:4d}  {data['stage']}"
    if "text" in data:
        return f"mark: note: {data['text']}"
    return {"state": f"signal {data.get('state')}"}.get(
        "state" if "state" in data else "", "session"
    )


def _events(random: Random) -> list[Event]:
    session = a_session(f"night-{random.randrange(10**9)}")
    events = [session_started(session, 1)]
    for number in range(2, random.randrange(4, 9)):
        time = session.start_utc + timedelta(seconds=30 * number)
        match random.randrange(4):
            case 0:
                text = f"note {number}"
                events.append(mark_event(session, number, MarkKind.NOTE, time=time, text=text))
            case 1:
                state = SignalState.LOST
                events.append(signal_event(session, number, state, time=time, epoch_index=number))
            case 2:
                events.append(session_resumed(session, number, time=time, epoch_index=number))
            case _:
                events.append(stage_event(session, number, scored(number, random.choice(STAGES))))
    return events


def _broken(random: Random, text: str) -> tuple[str, str]:
    """Return another text in the place of an event, which may still be one."""
    fields = json.loads(text)
    match random.randrange(6):
        case 0 | 1 | 2:
            part = random.choice((fields, fields["data"]))
            key = random.choice(list(part))
            value: Any = random.choice((*nasty.VALUES, *nasty.TEXTS, [], {}, [{}], {"a": [1]}))
            part[key] = value
            if random.random() < 0.2:
                del part[key]
            # LAST must not appear by chance, and surrogates travel as escapes.
            return json.dumps(fields), f"{key} is {value!r:.50}"
        case 3:
            changed, story = nasty.changed(random, text.encode())
            return changed.decode("utf-8", "replace"), story
        case 4:
            depth = random.choice((10, 2000, 100_000))
            fields["data"]["more"] = "@"
            deep = "[" * depth + "]" * depth
            return json.dumps(fields).replace('"@"', deep), f"{depth} lists deep"
        case _:
            value = random.choice(
                ("", "null", "[]", "1", "9" * 5000, "NaN", "{}", nasty.text(random))
            )
            return value.encode("utf-8", "replace").decode(), f"the entry {value!r:.40}"
