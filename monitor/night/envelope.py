"""Reads the envelope of an event, which all types share. Imports no numpy: apps read it too."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypedDict
from urllib.parse import unquote

from models.reading import UnreadableError, parsed_json
from monitor.text import clean

SOURCE_PREFIX = "/sleep-monitor/"

LONGEST_JSON = 1_000_000
"""Letters of an event that is read. The longest that the monitor writes has 10,000: 64 channels."""

LONGEST_NAME = 1000
"""Letters of an id, type or source that is read."""


class Mode(StrEnum):
    """LIVE: a headband, now. REPLAY: a recording, at any speed."""

    LIVE = "live"
    REPLAY = "replay"


class Envelope(TypedDict):
    """The fields of a `monitor.types.Event`."""

    sequence: int
    id: str
    type: str
    source: str
    time: datetime
    data: dict[str, Any]


def envelope(text: str) -> Envelope:
    """Return the fields of the event in ``text``, a CloudEvents 1.0 JSON text.

    Another program may have written the text. Raises ValueError, in one line, that names what is
    missing or wrong.
    """
    try:
        if len(text) > LONGEST_JSON:
            raise ValueError(f"{len(text)} letters are more than {LONGEST_JSON}")
        fields: dict[str, Any] = parsed_json(text, finite=True)
        time, data = datetime.fromisoformat(fields["time"]), fields["data"]
        if time.tzinfo is None or not isinstance(data, dict):
            raise ValueError("time must carry its offset and data must be an object")
        return Envelope(
            sequence=_sequence(fields["sequence"]),
            id=_name(fields, "id"),
            type=_name(fields, "type"),
            source=_name(fields, "source"),
            time=time.astimezone(UTC),
            data=data,
        )
    except UnreadableError as exc:
        raise ValueError(f"not an event of this monitor: its text {clean(str(exc))}") from exc
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        reason = clean(f"{type(exc).__name__}: {exc}")
        raise ValueError(f"not an event of this monitor: {reason}") from exc


def session_of(source: str) -> str:
    """Return the id of the session whose events have this ``source``."""
    return unquote(source.removeprefix(SOURCE_PREFIX))


def _name(fields: dict[str, Any], name: str) -> str:
    text = fields[name]
    if not isinstance(text, str) or not 1 <= len(text) <= LONGEST_NAME:
        raise ValueError(f"{name} must be a text of 1 to {LONGEST_NAME} letters")
    return text


def _sequence(text: object) -> int:
    if not isinstance(text, str) or re.fullmatch("[0-9]{1,15}", text) is None:
        raise ValueError("sequence must be a text of 1 to 15 digits")
    return int(text)
