"""Leaves marks for the page and for other apps, each once: `MarkDesk`."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from models.reading import UnreadableError, parsed_json
from monitor.clock import Clock
from monitor.errors import InputError
from monitor.night.events import utc_text
from monitor.sinks.mark_sender import leave_mark, make_mark
from monitor.sinks.marks import MAX_NAME, MAX_TEXT
from monitor.text import clean
from monitor.types import Mark

REMEMBERED = 1000
"""Keys of requests that are remembered, so that a repeated request adds nothing."""

AT_ONCE = 8
"""Marks that wait for their answer at once; each waits for some seconds at most."""

LONGEST_KEY = 200
FIELDS = ("kind", "text", "time", "sleeper")

Json = dict[str, Any]


class MarkDesk:
    """Leaves marks on the event server, and returns the monitors' answers.

    A request with the ``key`` of an earlier one gets the answer of that one. Beyond that, a mark of
    the same kind, time and text is one mark for the monitor, also after a restart of this program.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._answers: OrderedDict[str, tuple[Json, Mark, asyncio.Task[Json]]] = OrderedDict()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def leave(self, body: bytes, key: str) -> Json:
        """Leave the mark in the JSON ``body``; return for whom it was recorded or refused.

        Raises `InputError` for a mark that is none, and `MonitorError` if no monitor answers.
        """
        fields = _fields(body)
        if len(key) > LONGEST_KEY or not key.isprintable():
            raise InputError(f"Idempotency-Key must be at most {LONGEST_KEY} letters that print")
        known = self._answers.get(key) if key else None
        if known is not None and known[0] != fields:
            raise InputError("Idempotency-Key was used for another mark: use a new one")
        if known is None or (known[2].done() and known[2].exception() is not None):
            # Repeated after a failure, the mark keeps the time of the first attempt: the monitor
            # knows it again if it has it.
            mark = self._mark(fields) if known is None else known[1]
            known = (fields, mark, asyncio.ensure_future(self._leave(mark, fields)))
            if key:
                self._answers[key] = known
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        # A browser that goes away must not stop a mark that others with this key wait for.
        return await asyncio.shield(known[2])

    async def _leave(self, mark: Mark, fields: Mapping[str, str]) -> Json:
        sleeper = clean(fields.get("sleeper", ""), MAX_NAME)
        async with self._room:
            answers = await asyncio.to_thread(
                leave_mark, self._url, mark, sleeper or None, self._clock
            )
        recorded = sorted(each["sleeper"] for each in answers if each["answer"] == "recorded")
        refused = [
            {"sleeper": clean(each["sleeper"]), "reason": clean(each["reason"])}
            for each in answers
            # A monitor that does not know the sleeper refuses too.
            if each["answer"] == "refused" and (each["session"] or not recorded)
        ]
        return {
            "kind": mark.kind,
            "time": utc_text(mark.time_utc),
            "text": mark.text,
            "recorded": [clean(each) for each in recorded],
            "refused": refused,
        }

    def _mark(self, fields: Mapping[str, str]) -> Mark:
        text = fields.get("text") or None
        if text is not None and len(text) > MAX_TEXT:
            raise InputError(f"a note has at most {MAX_TEXT} letters, got {len(text)}")
        mark = make_mark(fields.get("kind", ""), text, None, self._clock)
        if not (given := fields.get("time", "")):
            return mark
        try:
            time_utc = datetime.fromisoformat(given)
        except ValueError:
            time_utc = None
        if time_utc is None or time_utc.tzinfo is None:
            raise InputError(f"time '{clean(given, 40)}' is not RFC 3339 with an offset or a Z")
        return Mark(mark.kind, time_utc, mark.text)


def _fields(body: bytes) -> dict[str, str]:
    """Return the fields of a mark. Raises `InputError` if ``body`` has none."""
    try:
        value = parsed_json(body.decode())
    except (UnreadableError, UnicodeDecodeError):
        value = None
    if not isinstance(value, dict):
        raise InputError('the body must be JSON such as {"kind": "lights_off"}')
    if unknown := sorted(value.keys() - set(FIELDS)):
        raise InputError(f"unknown field '{clean(unknown[0], 40)}' (known: {', '.join(FIELDS)})")
    given = {key: each for key, each in value.items() if each is not None}
    if not all(isinstance(each, str) for each in given.values()):
        raise InputError("every field of a mark must be a text")
    return given
