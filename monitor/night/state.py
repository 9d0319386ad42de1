"""The night so far, as one frozen picture: what the dashboard draws and the log reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models.contract import Stage
from monitor.night.statistics import SleepStatistics
from monitor.types import (
    F32,
    ChannelState,
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
    - ``derivations``: the one of each epoch. ``recent_uv``: the last 30 s of the newest, (3000,),
      NaN where lost. ``channels``: what each electrode looks like now; empty for a replay.
    - ``last_sample_utc``: when the newest sample was taken; None before any.
    - ``worn``: the first epoch and the one after the last that the band was worn in; None if the
      band was not worn so far.
    - ``unstored``: epochs that wait for room on the disk.
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
    derivations: tuple[str, ...]
    recent_uv: F32
    channels: tuple[ChannelState, ...]
    last_sample_utc: datetime | None
    worn: tuple[int, int] | None
    unstored: int
    quality: Quality | None
    signal: SignalState
    ledger: SampleLedger
    delivery: Delivery
    n_epochs_total: int | None
    speed: str | None
    ended: bool

    @property
    def derivation(self) -> str:
        """The derivation that is staged now."""
        return self.derivations[-1] if self.derivations else self.session.derivation

    @property
    def hypnogram(self) -> tuple[Stage | None, ...]:
        """The revised stages, one an epoch; None is unscored."""
        return tuple(prediction.stage for prediction in self.revised)


@dataclass(frozen=True, slots=True)
class SleeperState:
    """One of the people monitored: what their source does now, and their night once it began.

    - ``sleeper``: their name; "" where only one is monitored.
    - ``status``: of the source, in a few words: "waiting for ...", "streaming".
    - ``failed``: their monitor gave up, ``status`` says why; the others go on.
    """

    sleeper: str
    status: str
    night: NightState | None
    failed: bool = False
