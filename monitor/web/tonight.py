"""A session, built from its events: `FollowedSession`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from models.contract import EPOCH_S, STAGES, Stage
from monitor.night.events import EventType, session_id_of
from monitor.night.night import Night
from monitor.night.state import NightState
from monitor.sinks.marks import MAX_NAME, MAX_TEXT
from monitor.sinks.sleepers_key import SleeperNow, channel_of
from monitor.text import clean
from monitor.types import (
    ChannelState,
    Delivery,
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

MOST_EPOCHS = 10_000
"""Epochs of a session that are kept: more than three days. Another program may write events."""

MOST_MARKS = 4000

OF_NOW = timedelta(hours=1)
"""Events of earlier versions do not say if they are of a live night. Then the last one decides: if
its time is further from the time at which the server got it, it is of a replay."""

NO_SAMPLES = np.zeros(0, np.float32)
NO_DELIVERY = Delivery(None, False, 0, 0)
REPLAY = "replay"


class FollowedSession:
    """A session, built from its events one by one.

    - Events that are malformed, or of a later version, change nothing.
    - `version` grows with every change.
    """

    def __init__(self, event: Event) -> None:
        self.session_id = session_id_of(event)
        self.session = Session(self.session_id, "", "", (), 0.0, event.time, 100.0, "known", "")
        self.version = 0
        self.is_replay = False
        self._mode_is_known = False
        self.ended = False
        self.live: list[StagePrediction] = []
        self.revised: list[StagePrediction] = []
        self.marks: dict[str, Mark] = {}
        self.signal = SignalState.WAITING
        self.channels: tuple[ChannelState, ...] = ()
        self.reached_utc = event.time
        """The end of the newest epoch or event, on the session's clock."""
        self._night: tuple[int, Night] | None = None

    def note_live(self) -> None:
        """Note that a monitor of live nights has this session now."""
        self.is_replay, self._mode_is_known = False, True

    def take(self, event: Event, seen_utc: datetime) -> None:
        """Add ``event``, the next one of this session, which the server got at ``seen_utc``."""
        self.version += 1
        with suppress(KeyError, TypeError, ValueError, AttributeError, OverflowError):
            self._take(event, event.data)
        # A revision is of an earlier epoch; a mark may be of any time.
        if event.type == EventType.SESSION_STARTED:
            self.reached_utc = event.time
        elif event.type != EventType.MARK:
            self.reached_utc = max(self.reached_utc, event.time)
        if not self._mode_is_known:
            self.is_replay = abs(seen_utc - self.reached_utc) > OF_NOW

    def _take(self, event: Event, data: Mapping[str, Any]) -> None:
        match event.type:
            case EventType.SESSION_STARTED:
                self._start(data)
            case EventType.SESSION_RESUMED:
                self.ended = False
            case EventType.STAGE:
                self._stage(data)
                self.ended = False
            case EventType.SIGNAL:
                self.signal = SignalState(data["state"])
            case EventType.CHANNELS:
                self.channels = tuple(channel_of(each) for each in data["channels"][:64])
            case EventType.MARK:
                if len(self.marks) < MOST_MARKS:
                    text = clean(data["text"], MAX_TEXT) if data["text"] else None
                    self.marks[event.id] = Mark(MarkKind(data["kind"]), event.time, text)
            case EventType.SESSION_ENDED:
                self.ended = True

    def _start(self, data: Mapping[str, Any]) -> None:
        start_utc = datetime.fromisoformat(data["start_utc"])
        if start_utc.tzinfo is None:
            raise ValueError("start_utc has no offset")
        self.session = replace(
            self.session,
            source=clean(data["source"]),
            derivation=clean(data["derivation"]),
            channels=tuple(clean(each, 60) for each in data.get("channels", ())[:64]),
            start_utc=start_utc,
            model=clean(data["model"]),
            sleeper=clean(data.get("sleeper") or "", MAX_NAME),
        )
        if data.get("mode") is not None:
            self.is_replay, self._mode_is_known = data["mode"] == REPLAY, True
        # A replay that is run again sends all its events again.
        self.ended, self.live, self.revised, self.marks = False, [], [], {}

    def _stage(self, data: Mapping[str, Any]) -> None:
        prediction = _prediction(data)
        index = prediction.epoch_index
        if not 0 <= index < MOST_EPOCHS:
            return
        if not self.live and index > 0:
            # The server dropped the session's first events: its grid follows from this epoch.
            start_utc = datetime.fromisoformat(data["start_utc"])
            since = (start_utc - self.session.start_utc).total_seconds()
            if abs(since - EPOCH_S * index) > 1.0:
                self.session = replace(
                    self.session, start_utc=start_utc - timedelta(seconds=EPOCH_S * index)
                )
        while len(self.live) <= index:
            lost = _unknown(len(self.live), self.session.model)
            self.live.append(lost)
            self.revised.append(lost)
        if prediction.track is Track.LIVE:
            self.live[index] = prediction
            if self.revised[index].track is Track.LIVE:
                self.revised[index] = prediction
        else:
            self.revised[index] = prediction

    def night(self) -> Night:
        """Return the night so far; it is built again only after a change."""
        if self._night is None or self._night[0] != self.version:
            changed = [each for each in self.revised if each.track is Track.REVISED]
            marks = sorted(self.marks.values(), key=lambda mark: mark.time_utc)
            parts = (*self.live, *changed)
            night = Night.of(self.session, marks, SampleLedger(), parts, ())
            self._night = (self.version, night)
        return self._night[1]

    def state(self, now_utc: datetime, seen: SleeperNow | None) -> NightState:
        """Return the night now; ``seen``: what its monitor sees between the events, if known."""
        is_live = not self.is_replay
        state = self.night().state(
            clock_utc=now_utc,
            signal=(seen.signal if seen else None) or self.signal,
            recent_uv=NO_SAMPLES,
            channels=self.contacts(seen) if is_live else (),
            last_sample_utc=seen.last_sample_utc if seen else None,
            unstored=seen.unstored if seen else 0,
            delivery=NO_DELIVERY,
            n_epochs_total=None,
            is_live=is_live,
            speed=None,
            ended=self.ended,
            trouble=seen.trouble if seen else None,
        )
        return replace(state, quality=_quality(self.live[-1].reason)) if self.live else state

    def contacts(self, seen: SleeperNow | None) -> tuple[ChannelState, ...]:
        """Return the electrodes now; without ``seen``, as the newest epoch found them."""
        if seen is not None and seen.channels:
            return seen.channels
        if self.channels or not self.live or len(self.session.channels) != 1:
            return self.channels
        # A session of one channel has no event about it: its epochs say how it is.
        quality = _quality(self.live[-1].reason)
        return (ChannelState.of(self.session.channels[0], quality),)


def _prediction(data: Mapping[str, Any]) -> StagePrediction:
    shares = data["probabilities"]
    return StagePrediction(
        epoch_index=int(data["epoch_index"]),
        track=Track(data["track"]),
        revision=int(data["revision"]),
        final=bool(data["final"]),
        stage=None if data["stage"] is None else Stage(data["stage"]),
        reason=None if data["reason"] is None else Reason(data["reason"]),
        probabilities=None
        if shares is None
        else tuple(float(shares[stage.value]) for stage in STAGES),
        confidence=None if data["confidence"] is None else float(data["confidence"]),
        model="",
        latency_s=0.0,
    )


def _unknown(index: int, model: str) -> StagePrediction:
    """Return the prediction of an epoch whose events are not on the server."""
    return StagePrediction(
        index, Track.LIVE, 0, True, None, Reason.MISSING, None, None, model, latency_s=0.0
    )


def _quality(reason: Reason | None) -> Quality:
    """Return a quality of which only the ``reason`` is known."""
    return Quality(reason, 0.0, 0.0, 0.0, 0.0, 0.0, None, 0.0)
