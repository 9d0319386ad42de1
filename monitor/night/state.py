"""The night so far, as one frozen picture: what the dashboard draws and the log reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models.contract import Stage
from monitor.night.statistics import SleepStatistics
from monitor.types import (
    F32,
    Delivery,
    Quality,
    SampleLedger,
    Session,
    SignalState,
    StagePrediction,
)


@dataclass(frozen=True, slots=True, eq=False)
class NightState:
    """A snapshot; taking one never waits for anything.

    - ``live`` and ``revised`` hold one prediction an epoch, same length; ``revised`` repeats the
      live prediction where no later epoch has changed it yet.
    - ``clock_utc``: the newest sample's time on the recording's clock (of a live source: now).
    - ``recent_uv``: the last 30 s of conditioned signal, (n_channels, 3000), NaN where lost.
    - ``n_epochs_total``: how many epochs the whole recording has; None for a live source.
    - ``speed``: "1", "60", "max" for a replay; None for a live source.
    """

    session: Session
    clock_utc: datetime
    live: tuple[StagePrediction, ...]
    revised: tuple[StagePrediction, ...]
    statistics: SleepStatistics
    lights_off_utc: datetime | None
    lights_on_utc: datetime | None
    recent_uv: F32
    quality: Quality | None
    signal: SignalState
    ledger: SampleLedger
    delivery: Delivery
    n_epochs_total: int | None
    speed: str | None
    ended: bool

    @property
    def hypnogram(self) -> tuple[Stage | None, ...]:
        """The revised stages, one an epoch; None is unscored."""
        return tuple(prediction.stage for prediction in self.revised)
