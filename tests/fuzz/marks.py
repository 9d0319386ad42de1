"""Marks that apps leave on a real server: kinds, times, texts, names, and entries that are none."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any, Self

from monitor.clock import SystemClock
from monitor.sinks.marks import MAX_TEXT, MarkReader
from monitor.sinks.redis_client import Keys, connect
from monitor.sinks.redis_server import RedisServer
from monitor.types import Mark, MarkKind
from tests.fuzz import nasty
from tests.fuzz.bounds import check_line
from tests.fuzz.case import Case, Kind
from tests.signals import START

FILE = "marks.json"
LAST = "the last mark of the case"
LIMIT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class MarksCase(Case):
    """Entries of the stream, and the marks that must come of them, in this order."""

    entries: Sequence[Mapping[str, str]]
    marks: Sequence[tuple[Mark, str]]


class MarksKind(Kind):
    """Entries that other programs leave where marks are expected. One reader reads all cases."""

    name = "marks"

    def __init__(self) -> None:
        self._server = RedisServer(port=0)
        self._client: Any = None
        self._reader: MarkReader | None = None
        self._minute = 29_000_000

    def __enter__(self) -> Self:
        self._server.start()
        self._client = connect(self._server.url)
        since_utc = START - timedelta(days=1)
        self._reader = MarkReader(self._server.url, since_utc=since_utc, clock=SystemClock())
        self._reader.start()
        return self

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._client.close()
        self._server.stop()

    def generate(self, random: Random) -> MarksCase:
        entries: list[dict[str, str]] = []
        marks: list[tuple[Mark, str]] = []
        story = []
        for _ in range(random.randrange(1, 12)):
            fields, mark, sleeper = _mark(random)
            if random.random() < 0.5:
                marks.append((mark, sleeper))
            else:
                key = random.choice(("kind", "time", "text", "sleeper"))
                fields[key] = random.choice((nasty.number, nasty.text, _odd_time))(random)
                if random.random() < 0.1:
                    del fields[key]
                story.append(f"{key} is {fields.get(key)!r:.50}")
            entries.append(fields)
        return MarksCase(
            story=", ".join(story)[:1000],
            files={FILE: json.dumps(entries, indent=1).encode()},
            sound=True,
            entries=entries,
            marks=marks,
        )

    def check(self, case: MarksCase, folder: Path) -> None:
        # The reader takes so many marks a minute. The ids of the entries are times: each case has
        # a minute of its own.
        self._minute += 1
        last = {"kind": "note", "time": START.isoformat(), "text": LAST, "sleeper": "anna"}
        for number, fields in enumerate((*case.entries, last), 1):
            sent = {key: value.encode("utf-8", "replace") for key, value in fields.items()}
            self._client.xadd(Keys().marks, sent, id=f"{self._minute * 60_000}-{number}")
        taken = self._taken()
        for mark, sleeper in taken:
            check_line(f"'{mark.text}' '{sleeper}'", "a mark", MAX_TEXT + 100)
            assert mark.time_utc.tzinfo is not None, f"{mark} is at no time"
            assert mark.text is None or mark.kind is MarkKind.NOTE, "a mark has a text"
        left = list(taken)
        for each in case.marks:
            assert each in left, f"{each} is not in {left!r:.500}"
            left = left[left.index(each) + 1 :]
        assert len(taken) <= len(case.entries), "there are more marks than entries"

    def _taken(self) -> list[tuple[Mark, str]]:
        """Return the marks of this case; they end with `LAST`."""
        assert self._reader is not None
        taken: list[tuple[Mark, str]] = []
        end_s = time.monotonic() + LIMIT_S
        while not taken or taken[-1][0].text != LAST:
            assert time.monotonic() < end_s, f"the last mark did not come, only {taken!r:.300}"
            taken += [(left.mark, left.sleeper) for left in self._reader.take()]
            time.sleep(0.0005)
        return taken[:-1]


def _mark(random: Random) -> tuple[dict[str, str], Mark, str]:
    """Return the fields of a sound entry, its mark, and the sleeper whom it is for."""
    kind = random.choice(list(MarkKind))
    at = START + timedelta(milliseconds=random.randrange(30_000_000))
    text = random.choice(("woke up", "Größe 😀", "a=b; 50 %")) if kind is MarkKind.NOTE else None
    sleeper = random.choice(("", "anna", "b 2"))
    spelling = random.choice(
        (
            at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            at.isoformat(),
            at.astimezone(timezone(timedelta(hours=2))).isoformat(),
        )
    )
    fields = {"kind": kind.value, "time": spelling, "text": text or "", "sleeper": sleeper}
    return fields, Mark(kind, at, text), sleeper


def _odd_time(random: Random) -> str:
    year = random.choice((1, 1969, 2026, 9999))
    offset = random.choice(("Z", "", "+23:59", "-23:59", "+99:00"))
    return f"{datetime(year, 1, 1, 0, 0, 1).isoformat()}{offset}"
