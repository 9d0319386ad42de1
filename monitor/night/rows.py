"""Translates the types of the monitor to rows of the night store, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from models.contract import EPOCH_SAMPLES, Stage
from models.reading import parsed_json
from monitor.night.checksums import Row
from monitor.night.live_night import LiveNight
from monitor.text import clean
from monitor.types import (
    Derivation,
    Epoch,
    Event,
    Mark,
    MarkKind,
    Montage,
    Quality,
    Reason,
    SampleLedger,
    Session,
    StagePrediction,
    Track,
)

P = ParamSpec("P")
T = TypeVar("T")


class RowError(ValueError):
    """A stored row holds what no monitor writes, although its checksum is right."""


def _checked(from_row: Callable[P, T]) -> Callable[P, T]:
    """Return ``from_row`` so that it raises `RowError` for every value that it cannot use."""

    @wraps(from_row)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return from_row(*args, **kwargs)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as exc:
            raise RowError(clean(f"{type(exc).__name__}: {exc}")) from exc

    return checked


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as a night's file holds it.

    - ``created_utc``: when the file was made.
    - ``version``: of the monitor that began the night.
    - ``ended_utc``: when the night was ended in order; None if it goes on, or broke off.
    """

    session: Session
    created_utc: datetime
    version: str
    ended_utc: datetime | None = None
    weights_sha256: str = ""
    command: str = ""


def session_to_row(stored: StoredSession) -> Row:
    session = stored.session
    return (
        session.id,
        session.source,
        session.derivation,
        json.dumps(session.channels),
        session.start_s,
        session.start_utc.isoformat(),
        session.sfreq_hz,
        session.gain,
        session.model,
        session.sleeper,
        stored.created_utc.isoformat(),
        None if stored.ended_utc is None else stored.ended_utc.isoformat(),
        stored.version,
        stored.weights_sha256,
        stored.command,
    )


@_checked
def session_from_row(row: tuple[Any, ...]) -> StoredSession:
    id_, source, derivation, channels, start_s, start_utc, *rest = row
    *settings, created_utc, ended_utc, version, weights_sha256, command = rest
    names, start = tuple(parsed_json(channels)), datetime.fromisoformat(start_utc)
    return StoredSession(
        Session(id_, source, derivation, names, start_s, start, *settings),
        datetime.fromisoformat(created_utc),
        version,
        None if ended_utc is None else datetime.fromisoformat(ended_utc),
        weights_sha256,
        command,
    )


def epoch_to_row(epoch: Epoch) -> Row:
    return (
        epoch.index,
        epoch.start_s,
        epoch.start_utc.isoformat(),
        epoch.data_uv.astype("<f4").tobytes(),
        json.dumps(astuple(epoch.derivation)),
        None if epoch.quality.reason is None else epoch.quality.reason.value,
        json.dumps(_fields(epoch.quality)),
        json.dumps([_fields(each) for each in epoch.channel_quality]),
        json.dumps(epoch.verdicts),
        json.dumps(_fields(epoch.ledger)),
    )


def _fields(value: Quality | SampleLedger) -> dict[str, Any]:
    """Return the fields of ``value`` by name. `dataclasses.asdict` would copy each deeply."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


@_checked
def epoch_from_row(row: tuple[Any, ...]) -> Epoch:
    index, start_s, start_utc, signal, derivation, _, *texts = row
    quality, channel_quality, verdicts, ledger = texts
    return Epoch(
        index=index,
        start_s=start_s,
        start_utc=datetime.fromisoformat(start_utc),
        data_uv=np.frombuffer(signal, "<f4").reshape(-1, EPOCH_SAMPLES).astype(np.float32),
        derivation=derivation_from_json(derivation),
        quality=_quality(**parsed_json(quality)),
        channel_quality=tuple(_quality(**each) for each in parsed_json(channel_quality)),
        verdicts=reasons_from_json(verdicts),
        ledger=ledger_from_json(ledger),
    )


def _quality(reason: str | None, **fields: Any) -> Quality:
    return Quality(None if reason is None else Reason(reason), **fields)


@_checked
def derivation_from_json(text: str) -> Derivation:
    return Derivation(*parsed_json(text))


@_checked
def ledger_from_json(text: str) -> SampleLedger:
    return SampleLedger(**parsed_json(text))


@_checked
def reasons_from_json(text: str) -> tuple[Reason | None, ...]:
    return tuple(None if each is None else Reason(each) for each in parsed_json(text))


def live_night_to_row(live: LiveNight) -> Row:
    montage = [live.montage.channels, [astuple(each) for each in live.montage.derivations]]
    return (
        live.source_key,
        json.dumps(montage),
        live.boot_id,
        live.timeline_offset_s,
        live.clock_offset_s,
        live.device,
    )


@_checked
def live_night_from_row(row: tuple[Any, ...]) -> LiveNight:
    key, montage, *clocks = row
    channels, derivations = parsed_json(montage)
    derived = tuple(Derivation(*each) for each in derivations)
    return LiveNight(key, Montage(tuple(channels), derived), *clocks)


def mark_to_row(mark: Mark) -> Row:
    return (mark.time_utc.isoformat(), mark.kind.value, mark.text)


@_checked
def mark_from_row(row: tuple[Any, ...]) -> Mark:
    time_utc, kind, text = row
    return Mark(MarkKind(kind), datetime.fromisoformat(time_utc), text)


def prediction_to_row(prediction: StagePrediction) -> Row:
    return (
        prediction.epoch_index,
        prediction.track.value,
        prediction.revision,
        int(prediction.final),
        None if prediction.stage is None else prediction.stage.value,
        None if prediction.reason is None else prediction.reason.value,
        *(prediction.probabilities or (None,) * 5),
        prediction.confidence,
        prediction.model,
        prediction.latency_s,
    )


@_checked
def prediction_from_row(row: tuple[Any, ...]) -> StagePrediction:
    index, track, revision, final, stage, reason, *numbers, confidence, model, latency_s = row
    return StagePrediction(
        epoch_index=index,
        track=Track(track),
        revision=revision,
        final=bool(final),
        stage=None if stage is None else Stage(stage),
        reason=None if reason is None else Reason(reason),
        probabilities=None if stage is None else tuple(numbers),
        confidence=confidence,
        model=model,
        latency_s=latency_s,
    )


def event_to_row(event: Event) -> Row:
    return (
        event.sequence,
        event.id,
        event.type,
        event.source,
        event.time.isoformat(),
        json.dumps(event.data),
    )


@_checked
def event_from_row(row: tuple[Any, ...]) -> Event:
    sequence, id_, type_, source, time, data = row
    return Event(sequence, id_, type_, source, datetime.fromisoformat(time), parsed_json(data))
