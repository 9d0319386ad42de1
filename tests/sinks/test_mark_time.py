"""The time of a mark that was made a while ago, in the spellings that people use."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from monitor.errors import InputError
from monitor.sinks.mark_time import parse_time

NOW = datetime(2026, 11, 28, 1, 30, tzinfo=UTC)  # 02:30 in Berlin


pytestmark = pytest.mark.usefixtures("berlin")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("23:10", "2026-11-27T22:10:00+00:00"),
        ("2:10", "2026-11-28T01:10:00+00:00"),
        ("02:30:00", "2026-11-28T01:30:00+00:00"),
        ("02:30:01", "2026-11-27T01:30:01+00:00"),
        ("2026-11-27 23:10", "2026-11-27T22:10:00+00:00"),
        ("2026-11-27T23:10:05", "2026-11-27T22:10:05+00:00"),
        ("2026-11-27T23:10:00Z", "2026-11-27T23:10:00+00:00"),
        ("2026-11-27 23:10+05:30", "2026-11-27T17:40:00+00:00"),
        ("2026-10-25 02:30", "2026-10-25T01:30:00+00:00"),  # it came twice
    ],
)
def test_a_time_of_day_is_the_last_one(text: str, utc: str) -> None:
    assert parse_time(text, NOW).isoformat() == utc


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2026-11-28 03:00", "is in the future: it is 02:30 now"),
        ("2026-03-29 02:30", "does not exist: the clock was put forward"),
        *((text, "is no time: write 23:10") for text in ("", "25:00", "now", "23", "2026-11-27")),
        *(
            (text, "is no time")
            for text in ("2026-13-01 10:00", "\u0662\u0663:\u0661\u0660", "23:10\x1b[2J")
        ),
        ("9999-12-31T23:59:59-09:00", "is no time"),
    ],
)
def test_what_is_no_past_time_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        parse_time(text, NOW)
    assert str(caught.value).isprintable()
