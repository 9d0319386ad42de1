"""The night in memory: the predictions of every epoch, and its state for the screen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from models.contract import EPOCH_S
from monitor.night.events import mark_id
from monitor.night.state import NightState
from monitor.night.statistics import SleepStatistics, recording_time, sleep_statistics
from monitor.night.structure import SleepStructure, sleep_structure
from monitor.night.trouble import Trouble
from monitor.night.worn import worn_window
from monitor.types import (
    F32,
    ChannelState,
    Delivery,
    Epoch,
    Mark,
    MarkKind,
    Quality,
    SampleLedger,
    Session,
    SignalState,
    StagePrediction,
    Track,
)


class Night:
    """Every epoch of one session. It grows epoch by epoch and always equals the store."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.quality: Quality | None = None
        self._derivations: tuple[str, ...] = ()
        self.ledger = SampleLedger()
        self.marks: list[Mark] = []
        self._mark_ids: set[str] = set()  # of their events
        self._live: tuple[StagePrediction, ...] = ()
        self._revised: tuple[StagePrediction, ...] = ()
        self._statistics: SleepStatistics | None = None  # computed when they are needed
        # None: not computed for the epochs so far; (None,): the band was never worn.
        self._worn: tuple[tuple[int, int] | None] | None = None

    @classmethod
    def of(
        cls,
        session: Session,
        marks: Sequence[Mark],
        ledger: SampleLedger,
        predictions: Sequence[StagePrediction],
        derivations: tuple[str, ...],
    ) -> Night:
        """Return the night of these parts.

        ``predictions``: the live ones of all epochs, in order, then the newest revised ones.
        ``derivations``: the name of the one staged in each epoch; the first may be missing.
        """
        night = cls(session)
        night.mark(*marks)
        night.ledger = ledger
        night._update(predictions)
        # After an accident, the file may have lost the first epochs and kept their stages.
        night._derivations = (session.derivation,) * (night.n_epochs - len(derivations))
        night._derivations += derivations
        return night

    @property
    def n_epochs(self) -> int:
        """The number of epochs so far."""
        return len(self._live)

    @property
    def revised(self) -> tuple[StagePrediction, ...]:
        """The newest prediction of each epoch: the one that counts."""
        return self._revised

    @property
    def live(self) -> tuple[StagePrediction, ...]:
        """The live prediction of each epoch."""
        return self._live

    @property
    def statistics(self) -> SleepStatistics:
        """The sleep statistics of the revised stages so far."""
        if self._statistics is None:
            self._statistics = self._statistics_now()
        return self._statistics

    @property
    def derivation(self) -> str:
        """Name of the derivation that was staged last; before any epoch, the preferred one."""
        return self._derivations[-1] if self._derivations else self.session.derivation

    @property
    def worn(self) -> tuple[int, int] | None:
        """The first epoch in which the band was worn, and the one after the last; or None."""
        if self._worn is None:
            alive = [prediction.reason is None for prediction in self._live]
            self._worn = (worn_window(alive),)
        return self._worn[0]

    def add(self, predictions: Sequence[StagePrediction], epoch: Epoch) -> None:
        """Add an epoch with its predictions, the live one first."""
        self.quality = epoch.quality
        self._derivations += (epoch.derivation.name,)
        self.ledger += epoch.ledger
        self._update(predictions)

    def without_known(self, marks: Sequence[Mark]) -> list[Mark]:
        """Return the marks that the night does not have yet, each once."""
        new: dict[str, Mark] = {}
        for mark in marks:
            new.setdefault(mark_id(self.session, mark), mark)
        return [mark for key, mark in new.items() if key not in self._mark_ids]

    def mark(self, *marks: Mark) -> None:
        """Add ``marks``."""
        self.marks += marks
        self._mark_ids.update(mark_id(self.session, mark) for mark in marks)
        self._statistics = None

    def finish(self, predictions: Sequence[StagePrediction]) -> None:
        """Add the last revisions, after the end of the recording."""
        self._update(predictions)

    def lights(self, kind: MarkKind) -> datetime | None:
        """Return when the lights went off or on: the latest mark of this kind counts."""
        return max((mark.time_utc for mark in self.marks if mark.kind is kind), default=None)

    def state(
        self,
        *,
        clock_utc: datetime,
        signal: SignalState,
        recent_uv: F32,
        channels: tuple[ChannelState, ...],
        last_sample_utc: datetime | None,
        unstored: int,
        delivery: Delivery,
        n_epochs_total: int | None,
        is_live: bool,
        speed: float | None,
        ended: bool,
        trouble: Trouble | None = None,
    ) -> NightState:
        """Return a snapshot of the night; see `NightState`."""
        return NightState(
            session=self.session,
            clock_utc=clock_utc,
            live=self._live,
            revised=self._revised,
            statistics=self.statistics,
            lights_off_utc=self.lights(MarkKind.LIGHTS_OFF),
            lights_on_utc=self.lights(MarkKind.LIGHTS_ON),
            derivations=self._derivations,
            recent_uv=recent_uv,
            channels=channels,
            last_sample_utc=last_sample_utc,
            worn=self.worn,
            unstored=unstored,
            quality=self.quality,
            signal=signal,
            ledger=self.ledger,
            delivery=delivery,
            n_epochs_total=n_epochs_total,
            is_live=is_live,
            speed=speed,
            ended=ended,
            trouble=trouble,
            marks=tuple(self.marks),
        )

    def _update(self, predictions: Sequence[StagePrediction]) -> None:
        revised = list(self._revised)
        for prediction in predictions:
            if prediction.track is Track.LIVE:
                self._live += (prediction,)
                revised.append(prediction)
            else:
                revised[prediction.epoch_index] = prediction
        self._revised = tuple(revised)
        self._statistics = self._worn = None

    @property
    def structure(self) -> SleepStructure:
        """The structure of the sleep so far, within the bounds of `statistics`."""
        first, stop = self.recording_time
        return sleep_structure([each.stage for each in self._revised], first, stop)

    @property
    def recording_time(self) -> tuple[int, int]:
        """The first epoch within the bounds of `statistics`, and the one after the last."""
        return recording_time(self.n_epochs, *self._lights_epochs(), self.worn)

    def _statistics_now(self) -> SleepStatistics:
        stages = [prediction.stage for prediction in self._revised]
        return sleep_statistics(stages, *self._lights_epochs(), self.worn)

    def _lights_epochs(self) -> tuple[int | None, int | None]:
        """Return the epochs at which lights went off and on, None where they were not marked."""
        off = self._epoch_at(self.lights(MarkKind.LIGHTS_OFF))
        on = self._epoch_at(self.lights(MarkKind.LIGHTS_ON))
        if off is not None and on is not None and on < off:
            on = None  # a lights-on mark before lights off belongs to the evening
        return off, on

    def _epoch_at(self, time: datetime | None) -> int | None:
        """Return the epoch boundary nearest to ``time``, within the night."""
        if time is None:
            return None
        nearest = round((time - self.session.start_utc) / timedelta(seconds=EPOCH_S))
        return min(max(nearest, 0), len(self._revised))
