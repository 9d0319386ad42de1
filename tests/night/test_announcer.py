"""The announcer reports only what changed, and numbers its events without gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from models.contract import Stage
from monitor.night.announcer import Announcer
from monitor.night.events import EventType
from monitor.night.night import Night
from monitor.types import (
    Derivation,
    Epoch,
    Event,
    Mark,
    MarkKind,
    Quality,
    Reason,
    SampleLedger,
    Session,
    SignalState,
    StagePrediction,
    Track,
)

START = datetime(2026, 1, 1, 22, 0, tzinfo=UTC)
SESSION = Session(
    "night", "test", "AF7", ("AF7", "AF8"), 100.0, START, 256.0, "known", "mc2sleepnet-2"
)
AF7, AF8 = Derivation("AF7", 0), Derivation("AF8", 1)
GOOD = Quality(None, 20.0, 100.0, 0.0, 0.0, 0.0, 0.0, 0.0)
FLAT = replace(GOOD, reason=Reason.FLAT)
MISSING = replace(GOOD, reason=Reason.MISSING)


@dataclass
class Running:
    """The backend that stages now."""

    name: str = "torch"
    trouble: str = ""


def announcer(
    last_sequence: int = 1, is_stored: Callable[[str], bool] = lambda event_id: False
) -> Announcer:
    return Announcer(
        SESSION,
        last_sequence=last_sequence,
        backend=Running(),
        derivation="AF7",
        is_stored=is_stored,
    )


def epoch(index: int, *qualities: Quality, derivation: Derivation = AF7) -> Epoch:
    channels = qualities or (GOOD, GOOD)
    return Epoch(
        index=index,
        start_s=100.0 + 30.0 * index,
        start_utc=START + timedelta(seconds=30.0 * index),
        data_uv=np.zeros((2, 3000), np.float32),
        derivation=derivation,
        quality=channels[derivation.plus],
        channel_quality=channels,
        verdicts=tuple(quality.reason for quality in channels),
        ledger=SampleLedger(),
    )


def prediction(index: int, track: Track = Track.LIVE) -> StagePrediction:
    revision = int(track is Track.REVISED)
    probabilities = (0.1, 0.1, 0.6, 0.1, 0.1)
    return StagePrediction(
        index, track, revision, True, Stage.N2, None, probabilities, 0.6, "mc2sleepnet-2", 0.0
    )


def staged(
    announcer: Announcer,
    epoch: Epoch,
    *predictions: StagePrediction,
    backend: Running | None = None,
    signal: SignalState = SignalState.GOOD,
    previous_reason: Reason | None = None,
) -> list[Event]:
    return announcer.staged(
        epoch,
        predictions,
        backend=backend or Running(),
        signal=signal,
        previous_reason=previous_reason,
    )


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def test_the_first_epoch_announces_contacts_signal_and_stage() -> None:
    events = staged(announcer(), epoch(0), prediction(0))
    assert types(events) == [EventType.CHANNELS, EventType.SIGNAL, EventType.STAGE]
    assert [event.time for event in events] == [START + timedelta(seconds=30)] * 3


def test_an_epoch_like_the_one_before_announces_its_stages_alone() -> None:
    night = announcer()
    staged(night, epoch(0), prediction(0))
    louder = replace(GOOD, std_uv=35.0)
    events = staged(night, epoch(1, louder, louder), prediction(1), prediction(0, Track.REVISED))
    assert types(events) == [EventType.STAGE, EventType.STAGE]


def test_events_are_numbered_from_the_last_stored_one_without_gaps() -> None:
    night = announcer(last_sequence=41)
    events = [
        *night.resumed(100.0, 0),
        *staged(night, epoch(0), prediction(0)),
        *night.marked(Mark(MarkKind.LIGHTS_OFF, START)),
        *night.samples_changed(SignalState.LOST, 141.5),
        *night.samples_changed(SignalState.RESTORED, 150.0),
        *night.ended(Night(SESSION), [], Running()),
    ]
    assert [event.sequence for event in events] == list(range(42, 42 + len(events)))


def test_another_derivation_is_announced_with_the_reason_against_the_one_before() -> None:
    night = announcer()
    staged(night, epoch(0), prediction(0))
    (change,) = (
        event
        for event in staged(night, epoch(1, derivation=AF8), previous_reason=Reason.FLAT)
        if event.type == EventType.DERIVATION
    )
    assert change.data == {
        "epoch_index": 1,
        "derivation": "AF8",
        "previous": "AF7",
        "reason": "flat",
    }
    assert night.derivation == "AF8"
    assert EventType.DERIVATION not in types(staged(night, epoch(2, derivation=AF8)))


def test_a_backend_that_replaced_another_is_announced_once_with_the_failure() -> None:
    night = announcer()
    now = Running("onnx", "torch: RuntimeError: out of memory")
    (change,) = (
        event
        for event in staged(night, epoch(0), prediction(0), backend=now)
        if event.type == EventType.BACKEND
    )
    assert (change.data["backend"], change.data["previous"]) == ("onnx", "torch")
    assert change.data["reason"] == "torch: RuntimeError: out of memory"
    assert EventType.BACKEND not in types(staged(night, epoch(1), backend=now))


def test_an_epoch_without_samples_does_not_change_the_contacts() -> None:
    night = announcer()
    staged(night, epoch(0, GOOD, FLAT))
    assert EventType.CHANNELS not in types(staged(night, epoch(1, MISSING, MISSING)))
    assert EventType.CHANNELS not in types(staged(night, epoch(2, GOOD, FLAT)))
    assert EventType.CHANNELS in types(staged(night, epoch(3, GOOD, GOOD)))


def test_while_samples_are_lost_a_closed_epoch_does_not_change_the_signal() -> None:
    night = announcer()
    staged(night, epoch(0))
    (lost,) = night.samples_changed(SignalState.LOST, 141.5)
    assert lost.data == {"state": "lost", "reason": "missing", "epoch_index": 1}
    assert lost.time == START + timedelta(seconds=41.5)
    staged(night, epoch(1, MISSING, MISSING), signal=SignalState.POOR)
    assert night.signal is SignalState.LOST
    (restored,) = night.samples_changed(SignalState.RESTORED, 170.0)
    assert restored.data["state"] == "restored"
    assert EventType.SIGNAL in types(staged(night, epoch(2)))
    assert night.signal is SignalState.GOOD


def test_a_gap_that_is_stored_is_not_announced_again() -> None:
    (first,) = announcer().samples_changed(SignalState.LOST, 141.5)
    night = announcer(is_stored=lambda event_id: event_id == first.id)
    assert night.samples_changed(SignalState.LOST, 141.5) == []
    (restored,) = night.samples_changed(SignalState.RESTORED, 170.0)
    assert restored.sequence == 2  # the stored event took no new number


def test_the_end_announces_the_last_revisions_first() -> None:
    night = announcer()
    whole = Night(SESSION)
    whole.add([prediction(0)], epoch(0))
    last = [prediction(0, Track.REVISED)]
    whole.finish(last)
    events = night.ended(whole, last, Running())
    assert types(events) == [EventType.STAGE, EventType.SESSION_ENDED]
    assert events[-1].data["epochs"] == {
        "total": 1,
        "scored": 1,
        "unscored": 0,
        "unscored_reasons": {},
    }
