"""Leaves a mark on the server and prints how the monitors answered. See EVENTS.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis
from rich.console import Console

from models.reading import UnreadableError, parsed_json
from monitor.clock import Clock
from monitor.errors import InputError, MonitorError
from monitor.night.envelope import Mode
from monitor.night.events import utc_text
from monitor.sinks.deadline import Deadline
from monitor.sinks.mark_time import parse_time
from monitor.sinks.marks import BLOCK_S, KEPT, MAX_TEXT, READ_TIMEOUT_S
from monitor.sinks.redis_client import PREFIX, Keys, connect, safe_text, safe_url
from monitor.text import clean
from monitor.types import Mark, MarkKind

WAIT_S = 5.0
"""Time limit for the monitors to answer a mark."""

OTHERS_S = 1.0
"""Once a monitor refused the mark for all its sleepers, another monitor may take this long."""


def make_mark(kind: str, text: str | None, at: str | None, clock: Clock) -> Mark:
    """Return the mark that a person asks for, as ``lights-off`` or ``note`` with a text.

    ``at`` is the time of the mark (`parse_time`); None: now. Raises `InputError` that names what is
    wrong.
    """
    try:
        mark_kind = MarkKind(kind.replace("-", "_"))
    except ValueError:
        shown = clean(kind, 40)
        raise InputError(f"a mark is lights-off, lights-on or note, got '{shown}'") from None
    note = clean(text or "", MAX_TEXT)
    if (mark_kind is MarkKind.NOTE) != bool(note):
        raise InputError(
            "only a note has a text, and a note has a text, lights have none: sleep-monitor mark "
            'note "phone rang"'
        )
    time_utc = clock.utc() if at is None else parse_time(at, clock.utc())
    return Mark(mark_kind, time_utc, note or None)


def send_mark(
    console: Console,
    url: str,
    mark: Mark,
    sleeper: str | None,
    clock: Clock,
    *,
    wait_s: float = WAIT_S,
    prefix: str = PREFIX,
) -> None:
    """Leave ``mark`` for the monitors at ``url``; print for whom it was recorded.

    ``sleeper`` None means all sleepers. Raises `InputError` if ``url`` is wrong, and `MonitorError`
    if the server does not answer, a monitor refused the mark, or none answered within ``wait_s``.
    """
    answers = leave_mark(url, mark, sleeper, clock, wait_s=wait_s, prefix=prefix)
    _report(console, mark, answers)


def leave_mark(
    url: str,
    mark: Mark,
    sleeper: str | None,
    clock: Clock,
    *,
    wait_s: float = WAIT_S,
    prefix: str = PREFIX,
) -> list[Mapping[str, str]]:
    """Leave ``mark`` for the monitors at ``url``; return their answers, at least one.

    See `send_mark` for the arguments, and EVENTS.md for the fields of an answer. Raises
    `InputError` if ``url`` is wrong, and `MonitorError` if the server does not answer, or no
    monitor within ``wait_s``.
    """
    keys = Keys(prefix)
    fields = {
        "kind": mark.kind.value,
        "time": utc_text(mark.time_utc),
        "text": mark.text or "",
        "sleeper": sleeper or "",
    }
    client: Any = connect(url, timeout_s=READ_TIMEOUT_S)
    try:
        running = _running_sessions(client, keys)
        wanted = {session for session, name in running.items() if sleeper in (None, "", name)}
        # Read before the mark is left, so that the answers to it come after this entry.
        newest = client.xrevrange(keys.mark_answers, count=1)
        entry = client.xadd(keys.marks, fields, maxlen=KEPT, approximate=True)
        last = newest[0][0] if newest else "0-0"
        answers = _wait_for_answers(client, keys, entry, wanted, last, clock, wait_s)
    except (redis.RedisError, OSError) as exc:
        raise MonitorError(
            f"the mark was not sent: no answer from {safe_url(url)} ({safe_text(exc, url)})."
            f" Start the monitor first, or pass the --redis URL that it uses"
        ) from None
    finally:
        client.close()
    if not answers:
        names = ", ".join(sorted({clean(name) or "one sleeper" for name in running.values()}))
        raise MonitorError(
            f"no running monitor recorded the mark (monitored at {safe_url(url)} now:"
            f" {names or 'nobody'}). It waits there: a monitor that continues this night takes it"
            f" when it starts"
        )
    return answers


def _report(console: Console, mark: Mark, answers: list[Mapping[str, str]]) -> None:
    """Print a line for each sleeper for whom the mark was recorded.

    Raises `MonitorError` with the reason if a session refused it, or if all monitors did.
    """
    label = mark.kind.value.replace("_", " ").capitalize()
    when = f"{mark.time_utc.astimezone():%H:%M:%S}"
    recorded = {answer["sleeper"] for answer in answers if answer["answer"] == "recorded"}
    for name in sorted(recorded):
        person = f" for {clean(name)}" if name else ""
        console.print(f"{label} at {when}, recorded{person}", markup=False, highlight=False)
    for answer in answers:
        # A monitor that does not know the sleeper refuses too: it does not matter if another does.
        if answer["answer"] == "refused" and (answer["session"] or not recorded):
            person = f" for {clean(answer['sleeper'])}" if answer["sleeper"] else ""
            reason = clean(answer["reason"])
            raise MonitorError(f"{label} at {when} was refused{person}: {reason}")


def _running_sessions(client: Any, keys: Keys) -> dict[str, str]:
    """Return the live sessions that have a heartbeat, each with its sleeper.

    A replay takes no marks: its night is over.
    """
    running = {}
    for key in client.scan_iter(match=keys.heartbeat("*"), count=1000):
        # A heartbeat that expired since the scan is None. Another program may have written it.
        try:
            beat = parsed_json(client.get(key) or "{}")
        except (UnreadableError, redis.ResponseError):
            continue
        if isinstance(beat, dict) and "session" in beat and beat.get("mode") != Mode.REPLAY:
            running[str(beat["session"])] = str(beat.get("sleeper", ""))
    return running


def _wait_for_answers(
    client: Any, keys: Keys, entry: str, wanted: set[str], last: str, clock: Clock, wait_s: float
) -> list[Mapping[str, str]]:
    """Return the answers to the mark ``entry`` that come after the entry ``last``.

    Waits until all sessions in ``wanted`` have answered, and at least one, or for ``wait_s``.
    """
    answers: list[Mapping[str, str]] = []
    deadline = Deadline(clock, wait_s)
    while not answers or not wanted <= {answer["session"] for answer in answers}:
        block_s = min(BLOCK_S, deadline.left_s)
        if block_s <= 0:
            break
        read = client.xread(
            {keys.mark_answers: last}, count=500, block=max(1, round(1000 * block_s))
        )
        entries = read[0][1] if read else []
        if not entries:
            deadline.waited(block_s)
            continue
        last = entries[-1][0]
        found = [fields for _, fields in entries if fields.get("mark") == entry and _whole(fields)]
        if found and not answers and not any(fields["session"] for fields in found):
            deadline = Deadline(clock, min(OTHERS_S, deadline.left_s))
        answers += found
    return answers


def _whole(fields: Mapping[str, str]) -> bool:
    """Return True if an entry has all fields of an answer."""
    return {"mark", "session", "sleeper", "answer", "reason"} <= fields.keys()
