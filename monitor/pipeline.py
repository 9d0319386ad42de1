"""Runs one session: samples come in; epochs are staged, stored, then announced.

There are no threads here, and no clock: the samples carry the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import takewhile

from monitor.conditioning.conditioner import Conditioner
from monitor.conditioning.quality import signal_state
from monitor.conditioning.silence import SignalChange, SilenceWatch
from monitor.night.announcer import Announcer
from monitor.night.backlog import Backlog
from monitor.night.envelope import Mode
from monitor.night.events import EventType, session_started
from monitor.night.live_night import LiveNight
from monitor.night.memory import AnyStore
from monitor.night.restoring import restored_night
from monitor.night.store import NightWriter
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
"""At most this many epochs are staged together: enough to keep every core busy."""


def begin(
    store: AnyStore,
    session: Session,
    created_utc: datetime,
    live: LiveNight | None = None,
    *,
    weights_sha256: str = "",
    command: str = "",
) -> None:
    """Start the session in ``store``. Does nothing if the store holds a session already.

    ``weights_sha256`` and ``command`` are kept for those who read the night later.
    """
    if store.session() is None:
        store.begin(
            session,
            created_utc,
            session_started(session, 1, Mode.REPLAY if live is None else Mode.LIVE),
            live,
            weights_sha256=weights_sha256,
            command=command,
        )


class Pipeline:
    """Conditions, stages, stores and announces one session.

    - The result depends on the samples and their times alone; live, also on `EegChunk.reached_s`.
    - An epoch, its predictions and its events are stored before ``notify`` is called.
    - If the store holds a part of the session already, the pipeline continues it.
    """

    def __init__(
        self,
        session: Session,
        conditioner: Conditioner,
        stager: Stager,
        store: AnyStore,
        *,
        notify: Callable[[], None],
        marks: Sequence[Mark] = (),
        backlog: Backlog | None = None,
        resumed_s: float | None = None,
    ) -> None:
        """Continue a session that has begun in ``store``, and call ``notify`` for new events.

        - ``marks``: the marks of a recording. Each is stored when its time has come.
        - ``backlog``: writes to the store in a live night, which a full disk must not end.
        - ``resumed_s``: where a live night continues, in seconds of the source's clock. None for a
          replay: after a restart it receives all its samples again, and skips stored epochs.
        """
        self._session = session
        self._conditioner = conditioner
        self._stager = stager
        self._store = store
        self._writer: NightWriter = store if backlog is None else backlog
        self._notify = notify
        self._silence = SilenceWatch(resumed_s)
        self.night = restored_night(store, session)
        self._announcer = Announcer(
            session,
            last_sequence=store.last_sequence(),
            backend=stager.backend,
            derivation=self.night.derivation,
            is_stored=self._writer.holds_event,
        )
        self._resume(resumed_s)
        self._coming_marks = deque(sorted(marks, key=lambda mark: mark.time_utc))
        notify()

    @property
    def signal(self) -> SignalState:
        """State of the signal now."""
        return self._announcer.signal

    @property
    def recent_uv(self) -> F32:
        """The last 30 s of the staged derivation, float32 (3000,), NaN where lost."""
        return self._conditioner.recent_uv

    @property
    def last_sample_utc(self) -> datetime | None:
        """Time of the newest sample; None before the first one."""
        return None if (last_s := self._silence.last_s) is None else self._session.utc(last_s)

    def contacts(self) -> tuple[ChannelState, ...]:
        """Return the state of each channel's electrode now."""
        channels = self._conditioner.contacts()
        if self.signal is not SignalState.LOST:
            return channels
        return tuple(ChannelState(c.name, Contact.OFF, Reason.MISSING, None) for c in channels)

    def push(self, chunk: EegChunk) -> list[StagePrediction]:
        """Process a chunk of samples; return the predictions of the epochs that it completes."""
        predictions: list[StagePrediction] = []
        for piece in self._silence.split(chunk):
            if isinstance(piece, SignalChange):
                if announced := self._announcer.samples_changed(piece.state, piece.time_s):
                    self._writer.write(announced)
                    self._notify()
            else:
                predictions += self._stage(self._conditioner.push(piece))
        return predictions

    def mark(self, *marks: Mark) -> None:
        """Store marks of people, in one transaction. Marks that are stored already are ignored."""
        if new := self.night.without_known(marks):
            self._writer.write(self._announcer.marked(*new), marks=new)
            self.night.mark(*new)
            self._notify()

    def rule(self, *events: Event) -> None:
        """Store and announce what rules did; ``events`` need no number yet."""
        if events:
            self._writer.write(self._announcer.ruled(*events))
            self._notify()

    def finish(self, ended_utc: datetime) -> list[StagePrediction]:
        """End the session: close the open epochs, make every stage final, store the end.

        ``ended_utc`` is the machine's time, for the store; the event has the recording's time.
        """
        predictions = self._stage(self._conditioner.finish())
        self.mark(*self._coming_marks)
        self._coming_marks.clear()
        last = self._stager.finish()
        self.night.finish(last)
        announced = self._announcer.ended(self.night, last, self._stager.backend)
        self._writer.write(announced, last, ended_utc=ended_utc)
        self._notify()
        return predictions + last

    def _stage(self, epochs: Sequence[Epoch]) -> list[StagePrediction]:
        # A replay that continues receives its stored epochs again. They are not staged again, but
        # the announcer compares the contacts of the next epoch with theirs.
        new = [epoch for epoch in epochs if epoch.index >= self.night.n_epochs]
        for epoch in epochs[: len(epochs) - len(new)]:
            self._announcer.note_contacts(epoch)
        predictions: list[StagePrediction] = []
        # Stored batch by batch: after a long gap there may be hours of epochs.
        for start in range(0, len(new), BATCH_EPOCHS):
            batch = new[start : start + BATCH_EPOCHS]
            steps = self._stager.push(batch)
            with self._writer.together():
                for epoch, staged in zip(batch, steps, strict=True):
                    self._store_epoch(epoch, staged)
                    predictions += staged
        return predictions

    def _store_epoch(self, epoch: Epoch, predictions: Sequence[StagePrediction]) -> None:
        """Store an epoch with its predictions and everything that it changed."""
        end_utc = self._session.epoch_start_utc(epoch.index + 1)
        due = list(takewhile(lambda mark: mark.time_utc < end_utc, self._coming_marks))
        for _ in due:
            self._coming_marks.popleft()
        self.mark(*due)
        announced = self._announcer.staged(
            epoch,
            predictions,
            backend=self._stager.backend,
            signal=signal_state(epoch.quality),
            previous_reason=self._conditioner.verdict(epoch, self._announcer.derivation),
        )
        self._writer.write(announced, predictions, epoch)
        self.night.add(predictions, epoch)
        self._notify()

    def _resume(self, resumed_s: float | None) -> None:
        """Restore from the store what the next epoch depends on."""
        first = self.night.n_epochs - self._stager.context_epochs
        stored = list(self._store.epochs(after=first - 1))
        if stored:
            self._stager.resume([(epoch, self.night.revised[epoch.index]) for epoch in stored])
            self.night.quality = stored[-1].quality
        if newest := self._store.newest_event(EventType.SIGNAL):
            self._announcer.signal = SignalState(newest.data["state"])
        if resumed_s is not None:  # a replay restores the rest from its samples
            self._conditioner.recall(self._store.verdicts())
            for epoch in stored:
                self._announcer.note_contacts(epoch)
            self._writer.write(self._announcer.resumed(resumed_s, self.night.n_epochs))
