"""An epoch and a prediction to store, and the session that they belong to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from models.contract import Stage
from monitor.night import events
from monitor.night.store import NightStore
from monitor.types import Derivation, Epoch, Quality, SampleLedger, StagePrediction, Track
from tests.nights import night_session
from tests.signals import START

SESSION = night_session()
GOOD = Quality(None, 20.0, 150.0, 0.0, 0.0, 0.0, 0.125, 0.0)
LIVE = StagePrediction(
    0, Track.LIVE, 0, True, Stage.N2, None, (0.1, 0.1, 0.6, 0.1, 0.1), 0.6, "net-1", 0.002
)


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
