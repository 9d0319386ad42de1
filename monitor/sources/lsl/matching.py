"""Decide which of the LSL streams in the network is the wanted one.

All functions take pylsl's ``StreamInfo`` objects as ``infos``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitor.config import LslConfig
from monitor.sources.lsl.metadata import LslStream
from monitor.text import clean

STREAMS_SHOWN = 8
"""Number of streams that a message lists."""


def wanted(infos: Sequence[Any], config: LslConfig, night: str) -> list[Any]:
    """Return the streams that the night may use.

    ``night`` is the `identity` of its stream so far: no other will do. If it is "", they are those
    with the user's properties, and if the user gave none, all of type EEG.
    """
    if night:
        return [info for info in infos if identity(info) == night]
    given = {"name": config.name, "type": config.type, "source_id": config.source_id}
    return matching(infos, given if any(given.values()) else {**given, "type": "EEG"})


def identity(info: Any) -> str:
    """Return a text that names the sender of a stream, the same after every restart of it.

    A sender is its name, type and source id, as for liblsl itself; without a source id its name,
    type and host. Its channels and its rate depend on its settings, and are checked apart.
    """
    name, kind, source_id = clean(info.name()), clean(info.type()), clean(info.source_id())
    where = f", source id {source_id!r}" if source_id else f" on {clean(info.hostname())}"
    return f"LSL stream {name!r} of type {kind!r}{where}"


def matching(infos: Sequence[Any], wanted: Mapping[str, str | None]) -> list[Any]:
    """Return the streams with the ``wanted`` properties, in any case.

    Both sides are cleaned: a user names a stream as `sleep-monitor streams` prints it.
    """
    return [
        info
        for info in infos
        if all(
            not value or clean(getattr(info, key)()).casefold() == clean(value).casefold()
            for key, value in wanted.items()
        )
    ]


def eeg_or_all(infos: list[Any]) -> list[Any]:
    """Return the streams of type EEG, or all if there are none.

    Some senders give all streams of a headband (EEG, motion, optics) one name and one source id.
    """
    return [info for info in infos if clean(info.type()).casefold() == "eeg"] or infos


def newest_of_each(infos: Sequence[Any]) -> list[Any]:
    """Return one stream for each sender, the newest one, in order of creation.

    A sender that restarts is listed twice for some seconds.
    """
    newest = {
        (info.name(), info.type(), info.hostname(), info.source_id() or info.uid()): info
        for info in sorted(infos, key=lambda info: info.created_at())
    }
    return list(newest.values())


def ambiguity(streams: Sequence[LslStream]) -> str:
    """Return the message for several streams that match: the list, and an option to choose by."""
    options = {"--name": "name", "--source-id": "source_id", "--type": "type"}
    differing = [
        option
        for option, key in options.items()
        if len({getattr(stream, key) for stream in streams}) > 1
    ]
    listed = "; ".join(map(str, streams[:STREAMS_SHOWN]))
    if len(streams) > STREAMS_SHOWN:
        listed += f"; and {len(streams) - STREAMS_SHOWN} more"
    advice = (
        f"choose with {differing[0]}"
        if differing
        else "give each sender a name or source id of its own"
    )
    return f"{len(streams)} LSL streams match: {listed}; {advice}"


def describe(config: LslConfig) -> str:
    """Return a description of the wanted stream for the screen."""
    given = config.model_dump(include={"name", "type", "source_id"}, exclude_none=True)
    parts = [f"{key.replace('_', ' ')} {value!r}" for key, value in given.items()]
    return f"an LSL stream with {' and '.join(parts)}" if parts else "an LSL stream of type 'EEG'"
