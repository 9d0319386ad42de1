"""The current state of a session as a flat hash, for apps that need a value and not a stream."""

from __future__ import annotations

import json

from monitor.night.events import EventType, session_id_of, utc_text
from monitor.types import Event, MarkKind, Track


def with_event(last: dict[str, str], event: Event) -> dict[str, str]:
    """Return the state after ``event``, given the state ``last`` before it.

    All values are text. Null is the empty text. EVENTS.md lists the fields.
    """
    after = {
        **last,
        "session": session_id_of(event),
        "sequence": str(event.sequence),
        "updated_utc": utc_text(event.time),
    }
    data = event.data
    match event.type:
        case EventType.SESSION_STARTED:
            after["state"] = "started"
            after["started_utc"] = _text(data["start_utc"])
            after["derivation"] = _text(data["derivation"])
            # Night stores of earlier versions hold events without this field.
            after["sleeper"] = _text(data.get("sleeper"))
        case EventType.SESSION_RESUMED:
            after["state"] = "started"
            after["resumed_utc"] = utc_text(event.time)
        case EventType.STAGE:
            # Revisions of earlier epochs come between live events of later ones. The newest epoch
            # of each track stays.
            prefix = "live" if data["track"] == Track.LIVE else "revised"
            if int(data["epoch_index"]) >= int(last.get(f"{prefix}_epoch_index") or 0):
                names = ("epoch_index", "stage", "reason", "confidence", "sleep_as_android")
                after |= {f"{prefix}_{name}": _text(data[name]) for name in names}
                after[f"{prefix}_utc"] = utc_text(event.time)
            after["state"] = "started"
        case EventType.SIGNAL:
            after["signal"] = _text(data["state"])
            after["signal_reason"] = _text(data["reason"])
        case EventType.CHANNELS:
            after["channels"] = json.dumps(data["channels"], ensure_ascii=False)
        case EventType.DERIVATION:
            after["derivation"] = _text(data["derivation"])
        case EventType.MARK if data["kind"] != MarkKind.NOTE:
            after[f"{data['kind']}_utc"] = utc_text(event.time)
        case EventType.SESSION_ENDED:
            after["state"] = "ended"
            worn = data.get("worn") or {}
            after["worn_start_utc"] = _text(worn.get("start_utc"))
            after["worn_end_utc"] = _text(worn.get("end_utc"))
    return after


def _text(value: object) -> str:
    return "" if value is None else str(value)
