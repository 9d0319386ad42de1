"""Builds and reads the events for other apps: CloudEvents 1.0. See monitor/sinks/EVENTS.md.

No event depends on the wall clock or on the speed of the run: the same recording gives the same
events, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from models.contract import EPOCH_S, STAGES, Stage
from monitor.night.decision import Cause, Decision, HeldReason
from monitor.night.envelope import SOURCE_PREFIX, Mode, envelope, session_of
from monitor.night.statistics import SleepStatistics
from monitor.types import (
    ChannelState,
    Event,
    Mark,
    MarkKind,
    Reason,
    SampleLedger,
    Session,
    SignalState,
    StagePrediction,
)

SCHEMA_ID = "urn:sleep-monitor:events:v1"
"""``$id`` of ``events.schema.json``; ``dataschema`` points at an anchor in it."""


class EventType(StrEnum):
    """The types of events. An incompatible change gets a new version and leaves the old type."""

    SESSION_STARTED = "sleep-monitor.session.started.v1"
    SESSION_RESUMED = "sleep-monitor.session.resumed.v1"
    STAGE = "sleep-monitor.stage.v1"
    SIGNAL = "sleep-monitor.signal.v1"
    CHANNELS = "sleep-monitor.channels.v1"
    DERIVATION = "sleep-monitor.derivation.v1"
    BACKEND = "sleep-monitor.backend.v1"
    MARK = "sleep-monitor.mark.v1"
    SESSION_ENDED = "sleep-monitor.session.ended.v1"
    RULE_FIRED = "sleep-monitor.rule.fired.v1"
    RULE_HELD = "sleep-monitor.rule.held.v1"
    RULE_FAILED = "sleep-monitor.rule.failed.v1"


_ANCHORS = {
    EventType.SESSION_STARTED: "session-started",
    EventType.SESSION_RESUMED: "session-resumed",
    EventType.STAGE: "stage",
    EventType.SIGNAL: "signal",
    EventType.CHANNELS: "channels",
    EventType.DERIVATION: "derivation",
    EventType.BACKEND: "backend",
    EventType.MARK: "mark",
    EventType.SESSION_ENDED: "session-ended",
    EventType.RULE_FIRED: "rule-fired",
    EventType.RULE_HELD: "rule-held",
    EventType.RULE_FAILED: "rule-failed",
}
"""The anchor of each type in ``events.schema.json``."""

SLEEP_AS_ANDROID = {
    Stage.W: "awake",
    Stage.N1: "light_sleep",
    Stage.N2: "light_sleep",
    Stage.N3: "deep_sleep",
    Stage.R: "rem",
}
"""The stage names of the app Sleep as Android, which existing automations understand."""


def session_started(session: Session, sequence: int, mode: Mode = Mode.LIVE) -> Event:
    """Return the session's first event, at the start of its epoch grid."""
    data = {
        "session": session.id,
        "mode": mode.value,
        "source": session.source,
        "derivation": session.derivation,
        "start_utc": utc_text(session.start_utc),
        "epoch_s": EPOCH_S,
        "sfreq_hz": session.sfreq_hz,
        "gain": session.gain,
        "model": session.model,
        "channels": list(session.channels),
        "sleeper": session.sleeper,
    }
    return _event(
        session, sequence, EventType.SESSION_STARTED, "session/started", session.start_utc, data
    )


def session_resumed(session: Session, sequence: int, *, time: datetime, epoch_index: int) -> Event:
    """Return the event of a monitor that was started again in the middle of the night.

    ``epoch_index`` is the first epoch that it stages after ``time``.
    """
    path = f"session/resumed/{_offset_ms(session, time)}"
    data = {"session": session.id, "epoch_index": epoch_index}
    return _event(session, sequence, EventType.SESSION_RESUMED, path, time, data)


def stage_event(session: Session, sequence: int, prediction: StagePrediction) -> Event:
    """Return the event of one prediction, at the end of the epoch.

    It leaves out ``latency_s``, which differs from run to run.
    """
    start_utc = session.epoch_start_utc(prediction.epoch_index)
    end_utc = session.epoch_start_utc(prediction.epoch_index + 1)
    p = prediction.probabilities
    data = {
        "epoch_index": prediction.epoch_index,
        "start_utc": utc_text(start_utc),
        "duration_s": EPOCH_S,
        "track": prediction.track.value,
        "revision": prediction.revision,
        "final": prediction.final,
        "stage": None if prediction.stage is None else prediction.stage.value,
        "reason": None if prediction.reason is None else prediction.reason.value,
        "probabilities": None
        if p is None
        else {stage.value: _rounded(value) for stage, value in zip(STAGES, p, strict=True)},
        "confidence": None if prediction.confidence is None else _rounded(prediction.confidence),
        "model": prediction.model,
        "sleep_as_android": None
        if prediction.stage is None
        else SLEEP_AS_ANDROID[prediction.stage],
    }
    path = f"stage/{prediction.epoch_index}/{prediction.track.value}/{prediction.revision}"
    return _event(session, sequence, EventType.STAGE, path, end_utc, data)


def signal_event(
    session: Session,
    sequence: int,
    state: SignalState,
    *,
    time: datetime,
    epoch_index: int,
    reason: Reason | None = None,
) -> Event:
    """Return the event of a signal that is in ``state`` from ``time`` on, on the recording's clock.

    ``epoch_index`` is the epoch that contains the change. The id carries the time and not the
    epoch: a signal can stop, return and stop again within one epoch.
    """
    data = {
        "state": state.value,
        "reason": None if reason is None else reason.value,
        "epoch_index": epoch_index,
    }
    path = f"signal/{_offset_ms(session, time)}/{state.value}"
    return _event(session, sequence, EventType.SIGNAL, path, time, data)


def channels_event(
    session: Session,
    sequence: int,
    *,
    time: datetime,
    epoch_index: int,
    channels: Sequence[ChannelState],
) -> Event:
    """Return the event with the state of each electrode in an epoch that ended at ``time``.

    The first epoch has such an event, and so has each epoch in which a contact or its reason
    changed.
    """
    data = {
        "epoch_index": epoch_index,
        "channels": [
            {
                "name": channel.name,
                "contact": channel.contact.value,
                "reason": None if channel.reason is None else channel.reason.value,
                "std_uv": None if channel.std_uv is None else round(float(channel.std_uv), 1),
            }
            for channel in channels
        ],
    }
    return _event(session, sequence, EventType.CHANNELS, f"channels/{epoch_index}", time, data)


def derivation_event(
    session: Session,
    sequence: int,
    *,
    time: datetime,
    epoch_index: int,
    derivation: str,
    previous: str,
    reason: Reason | None,
) -> Event:
    """Return the event of a change to ``derivation``, staged from epoch ``epoch_index`` on.

    ``reason``: why ``previous`` could not be scored; None: the preferred one is staged again.
    """
    data = {
        "epoch_index": epoch_index,
        "derivation": derivation,
        "previous": previous,
        "reason": None if reason is None else reason.value,
    }
    return _event(session, sequence, EventType.DERIVATION, f"derivation/{epoch_index}", time, data)


def backend_event(
    session: Session,
    sequence: int,
    *,
    time: datetime,
    epoch_index: int,
    backend: str,
    previous: str,
    reason: str,
) -> Event:
    """Return the event of a change to ``backend``, which stages from epoch ``epoch_index`` on.

    ``reason`` is a sentence for people: which backend failed, and how.
    """
    data = {
        "epoch_index": epoch_index,
        "backend": backend,
        "previous": previous,
        "reason": reason,
    }
    return _event(
        session, sequence, EventType.BACKEND, f"backend/{epoch_index}/{backend}", time, data
    )


def mark_event(
    session: Session, sequence: int, kind: MarkKind, *, time: datetime, text: str | None = None
) -> Event:
    """Return the event of a person's mark. The latest mark of a kind counts."""
    path = mark_id(session, Mark(kind, time, text))
    return _event(session, sequence, EventType.MARK, path, time, {"kind": kind.value, "text": text})


def mark_id(session: Session, mark: Mark) -> str:
    """Return the id of a mark's event. Two marks with one id are one mark."""
    path = f"mark/{mark.kind.value}/{_offset_ms(session, mark.time_utc)}"
    if mark.text is not None:
        # Two notes within a millisecond are still two notes.
        path += f"/{hashlib.sha256(mark.text.encode()).hexdigest()[:8]}"
    return path


def session_ended(
    session: Session,
    sequence: int,
    *,
    time: datetime,
    statistics: SleepStatistics,
    revised: Sequence[StagePrediction],
    ledger: SampleLedger,
    worn: tuple[int, int] | None = None,
) -> Event:
    """Return the event of the session's end, with the night in numbers.

    - ``revised``: the newest prediction of each epoch.
    - ``worn``: the first epoch in which the band was worn, and the one after the last; None: never
      worn, or unknown.

    The id carries the number of epochs and the sequence: a night that is resumed and ended again
    within one epoch has two ends.
    """
    reasons = Counter(
        prediction.reason.value for prediction in revised if prediction.reason is not None
    )
    unscored = sum(prediction.stage is None for prediction in revised)
    data = {
        "session": session.id,
        "end_utc": utc_text(time),
        "statistics": asdict(statistics),
        "epochs": {
            "total": len(revised),
            "scored": len(revised) - unscored,
            "unscored": unscored,
            "unscored_reasons": dict(sorted(reasons.items())),
        },
        "samples": asdict(ledger),
        "worn": None
        if worn is None
        else {
            "start_utc": utc_text(session.epoch_start_utc(worn[0])),
            "end_utc": utc_text(session.epoch_start_utc(worn[1])),
            "epochs": worn[1] - worn[0],
        },
    }
    path = f"session/ended/{len(revised)}/{sequence}"
    return _event(session, sequence, EventType.SESSION_ENDED, path, time, data)


def rule_event(session: Session, sequence: int, decision: Decision) -> Event:
    """Return the event of a rule that fired, or was held back."""
    sample = decision.sample_utc
    data = {
        "rule": decision.rule,
        "number": decision.number,
        "occasion": decision.occasion,
        "cause": decision.cause.value,
        "epoch_index": decision.epoch_index,
        "sample_utc": None if sample is None else utc_text(sample),
        "stage": None if decision.stage is None else decision.stage.value,
        "confidence": None if decision.confidence is None else _rounded(decision.confidence),
        "seed": decision.seed,
    }
    path = f"rule/{quote(decision.rule, safe='')}/{decision.number}"
    if decision.reason is None:
        return _event(session, sequence, EventType.RULE_FIRED, path, decision.time_utc, data)
    data["reason"] = decision.reason.value
    return _event(session, sequence, EventType.RULE_HELD, path, decision.time_utc, data)


def rule_failed(
    session: Session, sequence: int, firing: Event, *, action: str, reason: str, time: datetime
) -> Event:
    """Return the event of a ``firing`` whose ``action`` failed; ``reason`` is a sentence."""
    data = {
        "rule": firing.data["rule"],
        "number": firing.data["number"],
        "action": action,
        "reason": reason,
    }
    path = f"{firing.id}/failed/{action}"
    return _event(session, sequence, EventType.RULE_FAILED, path, time, data)


def decision_of(event: Event) -> Decision | None:
    """Return the decision that `rule_event` made an event of; None for another event.

    Raises ValueError, KeyError or TypeError if it is damaged.
    """
    if event.type not in (EventType.RULE_FIRED, EventType.RULE_HELD):
        return None
    data = event.data
    sample, stage, reason = data["sample_utc"], data["stage"], data.get("reason")
    return Decision(
        rule=data["rule"],
        number=data["number"],
        occasion=data["occasion"],
        cause=Cause(data["cause"]),
        reason=None if reason is None else HeldReason(reason),
        time_utc=event.time,
        epoch_index=data["epoch_index"],
        sample_utc=None if sample is None else datetime.fromisoformat(sample),
        stage=None if stage is None else Stage(stage),
        confidence=data["confidence"],
        seed=data["seed"],
    )


def to_json(event: Event) -> str:
    """Return ``event`` as CloudEvents 1.0 JSON on one line. Equal events give equal texts."""
    fields = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": utc_text(event.time),
        "datacontenttype": "application/json",
        "dataschema": f"{SCHEMA_ID}#{_ANCHORS[EventType(event.type)]}",
        # The sequence extension of CloudEvents requires a string that sorts as text.
        "sequence": f"{event.sequence:08d}",
        "data": event.data,
    }
    return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def from_json(text: str) -> Event:
    """Return the event in ``text``, as `to_json` wrote it.

    Another program may have written the text. Raises ValueError, in one line, that names what is
    missing or wrong.
    """
    return Event(**envelope(text))


def source_of(session_id: str) -> str:
    """Return the ``source`` of a session's events, a URI reference."""
    return SOURCE_PREFIX + quote(session_id, safe="")


def session_id_of(event: Event) -> str:
    """Return the id of the session that ``event`` belongs to."""
    return session_of(event.source)


def utc_text(time: datetime) -> str:
    """Return ``time`` in UTC to the nearest millisecond, as RFC 3339 writes it.

    Raises ValueError if ``time`` has no time zone.
    """
    return _to_ms(time).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(
    session: Session,
    sequence: int,
    type_: EventType,
    path: str,
    time: datetime,
    data: dict[str, Any],
) -> Event:
    return Event(sequence, path, type_.value, source_of(session.id), _to_ms(time), data)


def _to_ms(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError(f"an event's time must carry its time zone, got {time.isoformat()}")
    nearest = time.astimezone(UTC) + timedelta(microseconds=500)
    return nearest.replace(microsecond=nearest.microsecond // 1000 * 1000)


def _offset_ms(session: Session, time: datetime) -> int:
    return round((_to_ms(time) - _to_ms(session.start_utc)) / timedelta(milliseconds=1))


def _rounded(value: float) -> float:
    # Six decimals hold the precision of a softmax in float32, in half the bytes.
    return round(float(value), 6)
