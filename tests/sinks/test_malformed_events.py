"""Events that another program wrote: one line for people, a counted word, never a traceback."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest
from rich.console import Console

from monitor.clock import ManualClock
from monitor.night.events import from_json, to_json
from monitor.sinks.redis_client import connect, safe_text, safe_url
from monitor.sinks.redis_server import RedisServer
from monitor.sinks.watch import watch
from tests.sinks.peers import KEYS, events
from tests.sinks.waiting import until

GOOD = json.loads(to_json(events(1, 1)[0]))


def text(**changes: Any) -> str:
    return json.dumps(GOOD | changes)


NO_EVENTS = {
    "not JSON": "hello",
    "nested": "[" * 100_000,
    "nested data": to_json(events(1, 1)[0]).replace('"W":', '"W":' + "[" * 20_000),
    "time without a zone": text(time="2026-01-01T22:00:00"),
    "end of the calendar": text(time="9999-12-31T23:59:59-14:00"),
    "huge sequence": text(sequence=10**30),
    "endless sequence": text(sequence=float("inf")),
    "digits": text(sequence="9" * 5000),
    "a type that is no text": text(type={"a": 1}),
    "an empty id": text(id=""),
    "a huge source": text(source="/" * 5000),
    "not a number": text(data={"confidence": float("nan")}),
    "too long": text(data={"x": "y" * 2_000_000}),
    "data as a list": text(data=[]),
    "an integer of 400 digits": text(data=GOOD["data"] | {"epoch_index": 10**400}),
    "a number that is no float": text(data={"confidence": 0}).replace('e": 0', 'e": 1e999'),
    "a key twice": text().replace('{"spec', '{"id": "other", "spec'),
}
ODD_EVENTS = {
    "no track": text(data={}),
    "wrong types": text(data={"stage": 3, "track": 5, "epoch_index": "x", "confidence": []}),
    "huge numbers": text(data=GOOD["data"] | {"epoch_index": 2**62, "confidence": 1e308}),
    "a mark of a number": text(type="sleep-monitor.mark.v1", data={"kind": 3, "text": "x"}),
    "a list of nothing": text(type="sleep-monitor.channels.v1", data={"channels": [None]}),
    "control letters": text(
        type="sleep-monitor.mark.v1", data={"kind": "note", "text": "a\x1b[31m\nb\u009bc\u202e"}
    ),
    "half a letter": text(type="sleep-monitor.mark.v1", data={"kind": "note", "text": "\ud800"}),
    "a source of control letters": text(
        type="sleep-monitor.session.resumed.v1",
        source="/sleep-monitor/%1B%0A",
        data={"epoch_index": 1},
    ),
    "a type of control letters": text(type="\x1b]0;x\x07"),
}


@pytest.mark.parametrize("name", NO_EVENTS)
def test_what_is_no_event_is_named_in_one_line(name: str) -> None:
    with pytest.raises(ValueError, match="not an event of this monitor") as caught:
        from_json(NO_EVENTS[name])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("as_json", [False, True], ids=["lines", "JSON"])
def test_watch_outlives_every_malformed_event(server: RedisServer, as_json: bool) -> None:
    client: Any = connect(server.url)
    odd = list(ODD_EVENTS.values())
    for number, event in enumerate([*NO_EVENTS.values(), *odd, text()]):
        if event in odd or event == text():
            event = (
                json.dumps(json.loads(event) | {"id": f"odd/{number}"}, ensure_ascii=False)
                if ("ud800" not in event)
                else event
            )
        client.xadd(KEYS.events, {"event": event})
    client.xadd(KEYS.events, {b"event": b"\xff\xfe", b"\xff": b"x"})
    client.close()
    out, notices, stop = io.StringIO(), io.StringIO(), threading.Event()
    watcher = threading.Thread(
        target=watch,
        args=(Console(file=out, width=200), Console(file=notices), ManualClock()),
        kwargs={"url": server.url, "as_json": as_json, "stop": stop},
    )
    watcher.start()
    try:
        until(lambda: len(out.getvalue().splitlines()) >= len(odd) + 1, "a line for each event")
        until(lambda: bool(notices.getvalue()), "the word about the others")
    finally:
        stop.set()
        watcher.join(10)
    lines = out.getvalue().split("\n")[:-1]
    assert len(lines) == len(odd) + 1
    assert all(line.isprintable() for line in lines)
    if as_json:
        assert all(json.loads(line)["specversion"] == "1.0" for line in lines)
    assert notices.getvalue().startswith("skipped 18 entries of sleep-monitor:events: not an event")
    assert notices.getvalue().count("\n") == 1


def test_passwords_are_masked_however_they_are_written() -> None:
    assert safe_url("redis://secret@host") == "redis://***@host"
    for url in (
        "redis://:s%40cret@host",
        "redis://host?password=s%40cret",
        "redis://s%40cret@host",
    ):
        assert safe_text(ValueError("no s@cret, no s%40cret"), url) == "ValueError: no ***, no ***"
    assert safe_text(ValueError("\x1b[31m"), "redis://host").isprintable()
