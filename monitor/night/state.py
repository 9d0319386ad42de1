"""The night so far, as one frozen snapshot that the dashboard draws and the log reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models.contract import Stage
from monitor.night.statistics import SleepStatistics
from monitor.night.trouble import Trouble
from monitor.types import (
    F32,
    ChannelState,
    Delivery,
    Mark,
    Quality,
    SampleLedger,
    Session,
    SignalState,
    StagePrediction,
)


@dataclass(frozen=True, slots=True, eq=False)
class NightState:
    """A snapshot of a night.

    - ``live`` and ``revised`` hold one prediction per epoch and have the same length. ``revised``
      repeats the live prediction until a later epoch changes it.
    - ``clock_utc``: the newest sample's time on the recording's clock; for a live night, now.
    - ``derivations``: the name of the derivation staged in each epoch.
    - ``recent_uv``: the last 30 s of the derivation that is staged now, float32 (3000,), NaN where
      lost.
    - ``channels``: the state of each electrode now; empty for a replay.
    - ``last_sample_utc``: the time of the newest sample; None before the first.
    - ``worn``: the first epoch in which the band was worn, and the one after the last; None if the
      band was not worn so far.
    - ``unstored``: the number of epochs that wait to be stored; ``trouble``: the reason.
    - ``n_epochs_total``: the number of epochs of the whole recording; None for a live night.
    - ``marks``: the marks of people, in the order in which they came.
    - ``is_live``: True for a live night, False for a replay.
    - ``speed``: recorded seconds per second of a replay; None: as fast as possible, or live.
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
    is_live: bool
    speed: float | None
    ended: bool
    trouble: Trouble | None = None
    marks: tuple[Mark, ...] = ()

    @property
    def derivation(self) -> str:
        """Name of the derivation that is staged now."""
        return self.derivations[-1] if self.derivations else self.session.derivation

    @property
    def hypnogram(self) -> tuple[Stage | None, ...]:
        """The revised stage of each epoch; None is unscored."""
        return tuple(prediction.stage for prediction in self.revised)


@dataclass(frozen=True, slots=True)
class SleeperState:
    """The state of one person's monitor: the source, and the night once it has begun.

    - ``sleeper``: the person's name; "" if only one person is monitored.
    - ``status``: what the source does, in a few words: "waiting for ...", "streaming".
    - ``failed``: the monitor gave up; ``status`` says why. The other sleepers go on.
    - ``kind``: the kind of the source; the screen before a night gives advice that fits it.
    """

    sleeper: str
    status: str
    night: NightState | None
    failed: bool = False
    kind: str = "lsl"
