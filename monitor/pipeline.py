"""One session, step by step: samples in; epochs staged, stored, then told. No threads, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta

from models.contract import EPOCH_S
from monitor.conditioning.conditioner import Conditioner
from monitor.conditioning.quality import channel_state, signal_state
from monitor.conditioning.silence import SignalChange, SilenceWatch
from monitor.night import events
from monitor.night.backlog import Backlog
from monitor.night.night import Night
from monitor.night.store import LiveNight, NightStore
from monitor.staging.stager import Stager
from monitor.types import (
    F32,
    ChannelState,
    Contact,
    EegChunk,
    Epoch,
    Event,
    Mark,
    Reason,
    Session,
    SignalState,
    StagePrediction,
)

BATCH_EPOCHS = 32
"""At most so many epochs are staged together: enough to keep every core busy."""


def begin(
    store: NightStore, session: Session, created_utc: datetime, live: LiveNight | None = None
) -> None:
    """Start the session in ``store``, unless the store has it already."""
    if store.session() is None:
        store.begin(session, created_utc, events.session_started(session, 1), live)


class Pipeline:
    """Conditions, stages, stores and announces one session.

    What comes out depends on the samples and their timestamps alone; live, also on the time that
    passes without them. Every epoch is in the store before anyone is told of it. A store that
    already holds part of the session is continued.
    """

    def __init__(
        self,
        session: Session,
        conditioner: Conditioner,
        stager: Stager,
        store: NightStore,
        *,
        notify: Callable[[], None],
        marks: Sequence[Mark] = (),
        backlog: Backlog | None = None,
        resumed_s: float | None = None,
    ) -> None:
        """``store``: the session has begun in it. ``notify`` is called when it holds news.

        - ``marks``: those a recording brings along; each is told when its time has come.
        - ``backlog``: writes instead of ``store``, in a night that a full disk must not end.
        - ``resumed_s``: a live night goes on from here, on the source's clock: samples from before
          are not fed again (of a recording they are, and what is stored is not told twice).
        """
        self._session = session
        self._conditioner = conditioner
        self._stager = stager
        self._store = store
        self._write = store.write if backlog is None else backlog.write
        self._together = store.together if backlog is None else nullcontext
        self._fed_again = backlog is None
        self._notify = notify
        self.night = Night.restore(store, session)
        self._sequence = store.last_sequence()
        self._watch = SilenceWatch(resumed_s)
        self._contacts: tuple[ChannelState, ...] = ()
        self._backend = stager.backend.name
        self._resume(resumed_s)
        known = set(self.night.marks)
        self._coming_marks = deque(
            sorted((mark for mark in marks if mark not in known), key=lambda mark: mark.time_utc)
        )
        notify()

    @property
    def recent_uv(self) -> F32:
        """The last 30 s of the staged derivation, (3000,), NaN where lost."""
        return self._conditioner.recent_uv

    @property
    def last_sample_utc(self) -> datetime | None:
        """When the newest sample was taken."""
        last_s = self._watch.last_s
        return None if last_s is None else self._utc(last_s)

    def contacts(self) -> tuple[ChannelState, ...]:
        """What each channel's electrode looks like now."""
        now = self._conditioner.contacts()
        if self.night.signal is not SignalState.LOST:
            return now
        return tuple(ChannelState(each.name, Contact.OFF, Reason.MISSING, None) for each in now)

    def push(self, chunk: EegChunk) -> list[StagePrediction]:
        """Take a chunk of samples; return the predictions of the epochs it completes."""
        predictions: list[StagePrediction] = []
        for piece in self._watch.split(chunk):
            if isinstance(piece, SignalChange):
                self._tell_signal(piece)
            else:
                predictions += self._take(self._conditioner.push(piece))
        return predictions

    def mark(self, mark: Mark) -> None:
        """Record what a person said. Said twice it counts once."""
        if mark in self.night.marks:
            return
        event = events.mark_event(
            self._session, self._next(), mark.kind, time=mark.time_utc, text=mark.text
        )
        self._write([event], mark=mark)
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
        end_utc = self._epoch_end(self.night.n_epochs - 1)
        told = self._replaced_backend(self.night.n_epochs - 1, end_utc)
        told += [events.stage_event(self._session, self._next(), each) for each in last]
        self.night.finish(last)
        told.append(
            events.session_ended(
                self._session,
                self._next(),
                time=end_utc,
                statistics=self.night.statistics,
                revised=self.night.revised,
                ledger=self.night.ledger,
                worn=self.night.worn,
            )
        )
        self._write(told, last, ended_utc=ended_utc)
        self._notify()
        return predictions + last

    def _take(self, epochs: Sequence[Epoch]) -> list[StagePrediction]:
        new = [epoch for epoch in epochs if epoch.index >= self.night.n_epochs]
        for epoch in epochs[: len(epochs) - len(new)]:
            self._contacts = self._contacts_of(epoch)
        predictions: list[StagePrediction] = []
        # Told batch by batch: after a long gap there may be hours of them.
        for at in range(0, len(new), BATCH_EPOCHS):
            batch = new[at : at + BATCH_EPOCHS]
            steps = self._stager.push(batch)
            with self._together():
                for epoch, staged in zip(batch, steps, strict=True):
                    self._tell(epoch, staged)
                    predictions += staged
        return predictions

    def _tell(self, epoch: Epoch, predictions: Sequence[StagePrediction]) -> None:
        """Store an epoch with all that it changed, then announce it."""
        end_utc = self._epoch_end(epoch.index)
        while self._coming_marks and self._coming_marks[0].time_utc < end_utc:
            self.mark(self._coming_marks.popleft())
        told = self._changes(epoch, end_utc)
        told += [events.stage_event(self._session, self._next(), each) for each in predictions]
        self._write(told, predictions, epoch)
        self.night.add(predictions, epoch)
        self._notify()

    def _changes(self, epoch: Epoch, end_utc: datetime) -> list[Event]:
        """What is different from the epoch before: backend, derivation, electrodes, signal."""
        told = self._replaced_backend(epoch.index, end_utc)
        if epoch.derivation.name != self.night.derivation:
            told.append(
                events.derivation_event(
                    self._session,
                    self._next(),
                    time=end_utc,
                    epoch_index=epoch.index,
                    derivation=epoch.derivation.name,
                    previous=self.night.derivation,
                    reason=self._conditioner.verdict(epoch, self.night.derivation),
                )
            )
        contacts = self._contacts_of(epoch)
        if len(contacts) > 1 and _judgement(contacts) != _judgement(self._contacts):
            told.append(
                events.channels_event(
                    self._session,
                    self._next(),
                    time=end_utc,
                    epoch_index=epoch.index,
                    channels=contacts,
                )
            )
        self._contacts = contacts
        signal = signal_state(epoch.quality)
        # Lost and restored are told by the samples' times, at once; this is about those that came.
        if self.night.signal not in (SignalState.LOST, signal):
            self.night.signal = signal
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
        return told

    def _replaced_backend(self, epoch_index: int, time: datetime) -> list[Event]:
        """What is to be told if another backend stages by now."""
        backend, previous = self._stager.backend, self._backend
        if backend.name == previous:
            return []
        self._backend = backend.name
        event = events.backend_event(
            self._session,
            self._next(),
            time=time,
            epoch_index=epoch_index,
            backend=backend.name,
            previous=previous,
            reason=backend.trouble,
        )
        return [event]

    def _contacts_of(self, epoch: Epoch) -> tuple[ChannelState, ...]:
        """Of an epoch that is missing nothing new is known."""
        if epoch.quality.reason is Reason.MISSING:
            return self._contacts
        channels = zip(self._session.channels, epoch.channel_quality, strict=True)
        return tuple(channel_state(name, quality) for name, quality in channels)

    def _tell_signal(self, change: SignalChange) -> None:
        index = max(0, int((change.time_s - self._session.start_s) // EPOCH_S))
        event = events.signal_event(
            self._session,
            self._sequence + 1,
            change.state,
            time=self._utc(change.time_s),
            epoch_index=index,
            reason=Reason.MISSING if change.state is SignalState.LOST else None,
        )
        # Of a recording samples are fed again, of a live night never.
        if self._fed_again and self._store.holds_event(event.id):
            return
        self._next()
        self.night.signal = change.state
        self._write([event])
        self._notify()

    def _resume(self, resumed_s: float | None) -> None:
        """Give the stager back its context, and the night the signal state it had."""
        first = self.night.n_epochs - self._stager.context_epochs
        stored = list(self._store.epochs(after=first - 1))
        if stored:
            self._stager.resume([(epoch, self.night.revised[epoch.index]) for epoch in stored])
            self.night.quality = stored[-1].quality
        if signal := self._store.newest_event(events.EventType.SIGNAL):
            self.night.signal = SignalState(signal.data["state"])
        if resumed_s is None:
            return
        self.night.signal = SignalState.WAITING
        self._conditioner.recall(self._store.verdicts())
        for epoch in stored:
            self._contacts = self._contacts_of(epoch)
        self._write(
            [
                events.session_resumed(
                    self._session,
                    self._next(),
                    time=self._utc(resumed_s),
                    epoch_index=self.night.n_epochs,
                )
            ]
        )

    def _utc(self, time_s: float) -> datetime:
        return self._session.start_utc + timedelta(seconds=time_s - self._session.start_s)

    def _epoch_end(self, index: int) -> datetime:
        return self._session.start_utc + timedelta(seconds=EPOCH_S * (index + 1))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence


def _judgement(channels: Sequence[ChannelState]) -> list[tuple[Contact, Reason | None]]:
    return [(channel.contact, channel.reason) for channel in channels]
