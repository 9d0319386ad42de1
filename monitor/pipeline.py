"""One session, step by step: samples in; epochs staged, stored, then told. No threads, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from models.contract import EPOCH_S
from monitor.conditioning.conditioner import Conditioner
from monitor.conditioning.quality import signal_state
from monitor.night.night import Night
from monitor.night.store import NightStore
from monitor.sinks import events
from monitor.staging.stager import Stager
from monitor.types import F32, EegChunk, Epoch, Event, Mark, Session, StagePrediction


class Pipeline:
    """Conditions, stages, stores and announces one session.

    What comes out depends on the samples and their timestamps alone. Every epoch is in the store
    before ``notify`` is called. A store that already holds part of the session is continued: the
    samples are fed again from the start, and epochs it holds are not staged twice.
    """

    def __init__(
        self,
        session: Session,
        conditioner: Conditioner,
        stager: Stager,
        store: NightStore,
        *,
        created_utc: datetime,
        notify: Callable[[], None],
        marks: Sequence[Mark] = (),
    ) -> None:
        """``marks`` are those a recording brings along; each is told when its time has come."""
        self._session = session
        self._conditioner = conditioner
        self._stager = stager
        self._store = store
        self._notify = notify
        if store.session() is None:
            store.begin(session, created_utc, events.session_started(session, 1))
        self.night = Night.restore(store, session)
        self._sequence = store.last_sequence()
        self._resume()
        known = set(self.night.marks)
        self._coming_marks = deque(
            sorted((mark for mark in marks if mark not in known), key=lambda mark: mark.time_utc)
        )
        notify()

    @property
    def recent_uv(self) -> F32:
        """The last 30 s of conditioned signal, (n_channels, 3000), NaN where lost."""
        return self._conditioner.recent_uv

    def push(self, chunk: EegChunk) -> list[StagePrediction]:
        """Take a chunk of samples; return the predictions of the epochs it completes."""
        return self._take(self._conditioner.push(chunk))

    def mark(self, mark: Mark) -> None:
        """Record what a person said."""
        event = events.mark_event(
            self._session, self._next(), mark.kind, time=mark.time_utc, text=mark.text
        )
        self._store.write([event], mark=mark)
        self.night.mark(mark)
        self._notify()

    def finish(self, ended_utc: datetime) -> list[StagePrediction]:
        """The recording is over: settle what waits, make every stage final, end the session.

        ``ended_utc`` is the machine's time, for the store; the event carries the recording's.
        """
        predictions = self._take(self._conditioner.finish())
        while self._coming_marks:
            self.mark(self._coming_marks.popleft())
        last = self._stager.finish()
        told = [events.stage_event(self._session, self._next(), each) for each in last]
        self.night.finish(last)
        told.append(
            events.session_ended(
                self._session,
                self._next(),
                time=self._epoch_end(self.night.n_epochs - 1),
                statistics=self.night.statistics,
                revised=self.night.revised,
                ledger=self.night.ledger,
            )
        )
        self._store.write(told, last, ended_utc=ended_utc)
        self._notify()
        return predictions + last

    def _take(self, epochs: Sequence[Epoch]) -> list[StagePrediction]:
        predictions: list[StagePrediction] = []
        for epoch in epochs:
            if epoch.index >= self.night.n_epochs:
                predictions += self._stage(epoch)
        return predictions

    def _stage(self, epoch: Epoch) -> list[StagePrediction]:
        end_utc = self._epoch_end(epoch.index)
        while self._coming_marks and self._coming_marks[0].time_utc < end_utc:
            self.mark(self._coming_marks.popleft())
        predictions = self._stager.push(epoch)
        signal = signal_state(epoch.quality)
        told: list[Event] = []
        if signal is not self.night.signal:
            told.append(
                events.signal_event(
                    self._session,
                    self._next(),
                    signal,
                    time=end_utc,
                    epoch_index=epoch.index,
                    reason=epoch.quality.reason,
                )
            )
        told += [events.stage_event(self._session, self._next(), each) for each in predictions]
        self._store.write(told, predictions, epoch)
        self.night.add(predictions, epoch.quality, epoch.ledger, signal)
        self._notify()
        return predictions

    def _resume(self) -> None:
        """Give the stager back its context, and the night the signal state it had."""
        first = self.night.n_epochs - self._stager.context_epochs
        stored = list(self._store.epochs(after=first - 1))
        if stored:
            self._stager.resume([(epoch, self.night.revised[epoch.index]) for epoch in stored])
            self.night.quality = stored[-1].quality
            self.night.signal = signal_state(stored[-1].quality)

    def _epoch_end(self, index: int) -> datetime:
        return self._session.start_utc + timedelta(seconds=EPOCH_S * (index + 1))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence
