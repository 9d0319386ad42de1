"""An epoch and a prediction to store, the session that they belong to, and whole nights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np

from models.contract import Stage
from monitor.night import events
from monitor.night.live_night import LiveNight
from monitor.night.restoring import restored_night
from monitor.night.store import NightStore
from monitor.types import (
    Derivation,
    Epoch,
    Mark,
    Montage,
    Quality,
    SampleLedger,
    StagePrediction,
    Track,
)
from tests.nights import night_session
from tests.signals import START

SESSION = night_session()
GOOD = Quality(None, 20.0, 150.0, 0.0, 0.0, 0.0, 0.125, 0.0)
LIVE = StagePrediction(
    0, Track.LIVE, 0, True, Stage.N2, None, (0.1, 0.1, 0.6, 0.1, 0.1), 0.6, "net-1", 0.002
)

HOME = timezone(timedelta(hours=1))
"""Time zone of the sleepers of `store_night`."""


def epoch(index: int = 0, quality: Quality = GOOD) -> Epoch:
    """Return an epoch of noise. Its number decides its signal and its times."""
    signal = np.random.default_rng(index).standard_normal((1, 3000)).astype(np.float32)
    ledger = SampleLedger(expected=3000, received=2990, filled=4, lost=6, arrived=2990)
    start_utc = START + timedelta(seconds=30 * index)
    return Epoch(
        index,
        10.01 + 30 * index,
        start_utc,
        signal,
        Derivation("EEG", 0),
        quality,
        (quality,),
        (quality.reason,),
        ledger,
    )


def write_epoch(store: NightStore, index: int) -> None:
    """Store an epoch with both of its predictions and the event."""
    live = replace(LIVE, epoch_index=index)
    revised = replace(live, track=Track.REVISED, revision=1)
    event = events.stage_event(SESSION, index + 2, live)
    store.write([event], [live, revised], epoch(index))


def store_night(
    folder: Path,
    began: str,
    sleeper: str = "",
    *,
    n_epochs: int = 40,
    live: bool = True,
    ended: bool = True,
    marks: Sequence[Mark] = (),
    name: str = "",
) -> Path:
    """Store a night that began at this time of `HOME`, or a replay that began at this UTC time."""
    local = datetime.fromisoformat(began)
    start_utc = local.replace(tzinfo=HOME if live else UTC).astimezone(UTC)
    session = replace(SESSION, sleeper=sleeper, start_utc=start_utc)
    folder = folder if live else folder / "replays"
    folder.mkdir(exist_ok=True)
    path = folder / (name or f"{local:%Y-%m-%d-%H%M%S}-{sleeper or 'muse'}.sqlite")
    night = LiveNight("lsl:test", Montage.of_one("EEG"), "boot", 0.0, None) if live else None
    with closing(NightStore.open(path, durable=False)) as store:
        store.begin(session, start_utc, events.session_started(session, 1), night)
        for index in range(n_epochs):
            first = replace(LIVE, epoch_index=index)
            last = replace(first, track=Track.REVISED, revision=1)
            store.write([], [first, last], epoch(index))
        store.write([], marks=marks)
        if ended:
            whole, end_utc = restored_night(store, session), session.epoch_start_utc(n_epochs)
            end = events.session_ended(
                session,
                2,
                time=end_utc,
                statistics=whole.statistics,
                revised=whole.revised,
                ledger=whole.ledger,
                worn=whole.worn,
            )
            store.write([end], ended_utc=end_utc)
    return path
