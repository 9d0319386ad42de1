"""Each event as one line for people: `event_line`."""

from __future__ import annotations

from collections.abc import Callable

from monitor.night.events import EventType, session_id_of
from monitor.text import clean
from monitor.types import Event

LONGEST_LINE = 2000
"""Letters of a line: the contacts of 64 channels fit."""


def event_line(event: Event, sleeper: str = "") -> str:
    """Return one line for people; times are UTC, as on the recording's clock."""
    try:
        text = _DESCRIBE[event.type](event)
    except Exception:
        # A later version may have sent a type, or fields, that this one does not know, and another
        # program anything at all.
        text = event.type
    text = (f"{sleeper}: " if sleeper else "") + text
    return f"{event.time:%H:%M:%S}  {clean_words(text)}"


def clean_words(text: str) -> str:
    """Return ``text`` as `clean` does, with the blanks that align its columns."""
    return " ".join(clean(word) if word else "" for word in text[:LONGEST_LINE].split(" "))


def _describe_stage(event: Event) -> str:
    data = event.data
    stage = "?" if data["stage"] is None else data["stage"]
    detail = (
        f"unscored: {data['reason']}" if data["stage"] is None else f"{data['confidence']:4.0%}"
    )
    track = data["track"]
    if track != "live":
        track += f" {data['revision']}" + (", final" if data["final"] else "")
    return f"epoch {data['epoch_index']:4d}  {stage:2}  {detail}  ({track})"


def _describe_started(event: Event) -> str:
    data = event.data
    return f"session {session_id_of(event)} started: {data['source']}, {data['derivation']}"


def _describe_resumed(event: Event) -> str:
    return f"session {session_id_of(event)} resumed with epoch {event.data['epoch_index']}"


def _describe_channels(event: Event) -> str:
    return "contact: " + ", ".join(
        f"{channel['name']} {channel['contact']}"
        + (f" ({channel['reason']})" if channel["reason"] else "")
        for channel in event.data["channels"]
    )


def _describe_derivation(event: Event) -> str:
    data = event.data
    why = f"{data['previous']}: {data['reason']}" if data["reason"] else "the preferred one"
    return f"{data['derivation']} staged from epoch {data['epoch_index']} on ({why})"


def _describe_backend(event: Event) -> str:
    data = event.data
    return (
        f"{data['backend']} runs the network from epoch {data['epoch_index']} on: {data['reason']}"
    )


def _describe_signal(event: Event) -> str:
    reason = event.data["reason"]
    return f"signal {event.data['state']}" + (f": {reason}" if reason else "")


def _describe_mark(event: Event) -> str:
    kind, text = event.data["kind"].replace("_", " "), event.data["text"]
    return f"mark: {kind}" + (f": {text}" if text else "")


def _describe_fired(event: Event) -> str:
    data = event.data
    return f"rule {data['rule']} fired ({data['cause']})"


def _describe_held(event: Event) -> str:
    data = event.data
    return f"rule {data['rule']} held back: {data['reason'].replace('_', ' ')} ({data['cause']})"


def _describe_failed(event: Event) -> str:
    data = event.data
    return f"rule {data['rule']}: {data['action']} failed: {data['reason']}"


def _describe_ended(event: Event) -> str:
    statistics, epochs = event.data["statistics"], event.data["epochs"]
    efficiency = statistics["se_percent"]
    worn = event.data.get("worn")
    return (
        f"session {session_id_of(event)} ended: {epochs['total']} epochs, "
        f"{epochs['unscored']} unscored, TST {statistics['tst_min']:g} min"
        + ("" if efficiency is None else f", SE {efficiency:.0f} % ({statistics['bounds']})")
        + (f", worn {worn['start_utc'][11:19]} to {worn['end_utc'][11:19]}" if worn else "")
    )


_DESCRIBE: dict[str, Callable[[Event], str]] = {
    EventType.SESSION_STARTED: _describe_started,
    EventType.SESSION_RESUMED: _describe_resumed,
    EventType.STAGE: _describe_stage,
    EventType.SIGNAL: _describe_signal,
    EventType.CHANNELS: _describe_channels,
    EventType.DERIVATION: _describe_derivation,
    EventType.BACKEND: _describe_backend,
    EventType.MARK: _describe_mark,
    EventType.SESSION_ENDED: _describe_ended,
    EventType.RULE_FIRED: _describe_fired,
    EventType.RULE_HELD: _describe_held,
    EventType.RULE_FAILED: _describe_failed,
}
