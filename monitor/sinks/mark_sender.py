"""Leaves a mark on the server and prints for whom it was recorded. See EVENTS.md."""

from __future__ import annotations

import json
from typing import Any

import redis
from rich.console import Console

from monitor.clock import Clock
from monitor.errors import InputError, MonitorError
from monitor.night.events import EventType, from_json, session_id_of, utc_text
from monitor.sinks.deadline import Deadline
from monitor.sinks.marks import BLOCK_S, KEPT, READ_TIMEOUT_S, note_text
from monitor.sinks.redis_client import PREFIX, Keys, connect, safe_text, safe_url
from monitor.types import Mark, MarkKind

WAIT_S = 5.0
"""Time limit for the monitors to record a mark."""


def send_mark(
    console: Console,
    url: str,
    kind: MarkKind,
    text: str | None,
    sleeper: str | None,
    clock: Clock,
    *,
    wait_s: float = WAIT_S,
    prefix: str = PREFIX,
) -> None:
    """Leave a mark, made now, for the monitors at ``url``; print for whom it was recorded.

    ``sleeper`` None means all sleepers. Raises `InputError` if ``url`` is wrong or a mark that is
    not a note has a text, and `MonitorError` if the server does not answer or no monitor recorded
    the mark within ``wait_s``.
    """
    if text and kind is not MarkKind.NOTE:
        raise InputError(f"only a note has a text: sleep-monitor mark note {text!r}")
    keys = Keys(prefix)
    mark = Mark(kind, clock.utc(), note_text(text))
    fields = {
        "kind": kind.value,
        "time": utc_text(mark.time_utc),
        "text": mark.text or "",
        "sleeper": sleeper or "",
    }
    client: Any = connect(url, timeout_s=READ_TIMEOUT_S)
    try:
        running = _running_sessions(client, keys)
        wanted = {session for session, name in running.items() if sleeper in (None, "", name)}
        # Read before the mark is left, so that the answer to it comes after this entry.
        newest = client.xrevrange(keys.events, count=1)
        client.xadd(keys.marks, fields, maxlen=KEPT, approximate=True)
        last = newest[0][0] if newest else "0-0"
        recorded = _wait_for_records(client, keys, fields, wanted, last, Deadline(clock, wait_s))
    except (redis.RedisError, OSError) as exc:
        raise MonitorError(
            f"the mark was not sent: no answer from {safe_url(url)} ({safe_text(exc, url)})."
            f" Start the monitor first, or pass the --redis URL that it uses"
        ) from None
    finally:
        client.close()
    if not recorded:
        names = ", ".join(sorted({name or "one sleeper" for name in running.values()}))
        raise MonitorError(
            f"no running monitor recorded the mark (monitored at {safe_url(url)} now:"
            f" {names or 'nobody'}). It waits there: a monitor that continues this night takes it"
            f" when it starts"
        )
    _print_recorded(console, mark, recorded)


def _print_recorded(console: Console, mark: Mark, sleepers: set[str]) -> None:
    """Print a line for each sleeper for whom the mark was recorded."""
    label = mark.kind.value.replace("_", " ").capitalize()
    when = mark.time_utc.astimezone()
    for name in sorted(sleepers):
        person = f" for {name}" if name else ""
        console.print(
            f"{label} at {when:%H:%M:%S}, recorded{person}", markup=False, highlight=False
        )


def _running_sessions(client: Any, keys: Keys) -> dict[str, str]:
    """Return the sessions that have a heartbeat, each with its sleeper."""
    running = {}
    for key in client.scan_iter(match=keys.heartbeat("*"), count=1000):
        # A heartbeat that expired since the scan is None.
        beat = json.loads(client.get(key) or "{}")
        if "session" in beat:
            running[str(beat["session"])] = str(beat.get("sleeper", ""))
    return running


def _wait_for_records(
    client: Any,
    keys: Keys,
    sent: dict[str, str],
    wanted: set[str],
    last: str,
    deadline: Deadline,
) -> set[str]:
    """Return the sleepers for whom the mark ``sent`` was recorded after entry ``last``.

    Waits until all sessions in ``wanted`` have recorded it, and at least one, or until
    ``deadline``.
    """
    found: dict[str, str] = {}
    while not found or not wanted <= found.keys():
        block_s = min(BLOCK_S, deadline.left_s)
        if block_s <= 0:
            break
        answer = client.xread({keys.events: last}, count=500, block=max(1, round(1000 * block_s)))
        if not answer:
            deadline.waited(block_s)
        for entry, fields in answer[0][1] if answer else []:
            last = entry
            if fields.get("type") != EventType.MARK:
                continue
            event = from_json(fields["event"])
            recorded = (event.data["kind"], utc_text(event.time), event.data["text"] or "")
            if recorded == (sent["kind"], sent["time"], sent["text"]):
                session = session_id_of(event)
                found[session] = client.hget(keys.last(session), "sleeper") or ""
    return set(found.values())
