"""Turns what happens in a session into its events: what changed, in order, numbered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from monitor.night import events
from monitor.night.night import Night
from monitor.types import (
    ChannelState,
    Contact,
    Epoch,
    Event,
    Mark,
    Reason,
    Session,
    SignalState,
    StagePrediction,
)


class BackendInUse(Protocol):
    """The backend that runs the network now.

    ``trouble``: why it replaced another backend; "" if it replaced none.
    """

    @property
    def name(self) -> str: ...

    @property
    def trouble(self) -> str: ...


class Announcer:
    """Makes the events of one session.

    - The events are numbered 1, 2, ... without gaps, so every event that is returned must be
      stored, in the order of its number.
    - Stages, marks and the end of the session always give an event. The backend, the derivation,
      the contacts and the signal give one only if they differ from what was announced before.
    - No clock and no store: an event depends on the session and on the arguments alone.
    """

    def __init__(
        self,
        session: Session,
        *,
        last_sequence: int,
        backend: BackendInUse,
        derivation: str,
        is_stored: Callable[[str], bool] = lambda event_id: False,
    ) -> None:
        """Continue after event ``last_sequence``; 0 if the session has no event yet.

        ``backend`` and ``derivation`` are those that the next event is compared with.
        ``is_stored`` returns True if an event of this id is in the store. A replay that is resumed
        receives all its samples again, and a gap must not be announced twice.
        """
        self._session = session
        self._sequence = last_sequence
        self._backend = backend.name
        self._is_stored = is_stored
        self.derivation = derivation
        """Name of the derivation that was announced last."""
        self.signal = SignalState.WAITING
        """State of the signal that was announced last."""
        self._contacts: tuple[ChannelState, ...] = ()  # in the newest epoch that had samples

    def resumed(self, time_s: float, epoch_index: int) -> list[Event]:
        """Announce that the monitor was started again.

        ``time_s`` is on the source's clock; ``epoch_index`` is the first epoch that it stages.
        """
        self.signal = SignalState.WAITING
        return [
            events.session_resumed(
                self._session,
                self._next_sequence(),
                time=self._session.utc(time_s),
                epoch_index=epoch_index,
            )
        ]

    def marked(self, *marks: Mark) -> list[Event]:
        """Announce the marks of people."""
        return [
            events.mark_event(
                self._session,
                self._next_sequence(),
                mark.kind,
                time=mark.time_utc,
                text=mark.text,
            )
            for mark in marks
        ]

    def ruled(self, *told: Event) -> list[Event]:
        """Announce what rules did: the events of `rule_event` and `rule_failed`, numbered."""
        return [replace(event, sequence=self._next_sequence()) for event in told]

    def samples_changed(self, state: SignalState, time_s: float) -> list[Event]:
        """Announce that samples stopped (LOST) or arrive again (RESTORED), unless it is stored.

        ``time_s`` is on the source's clock.
        """
        event = events.signal_event(
            self._session,
            self._sequence + 1,
            state,
            time=self._session.utc(time_s),
            epoch_index=self._session.epoch_at(time_s),
            reason=Reason.MISSING if state is SignalState.LOST else None,
        )
        if self._is_stored(event.id):
            return []
        self._sequence = event.sequence
        self.signal = state
        return [event]

    def staged(
        self,
        epoch: Epoch,
        predictions: Sequence[StagePrediction],
        *,
        backend: BackendInUse,
        signal: SignalState,
        previous_reason: Reason | None,
    ) -> list[Event]:
        """Announce what ``epoch`` changed, then its stages.

        - ``backend`` staged the epoch.
        - ``signal``: GOOD or POOR, as the epoch shows it.
        - ``previous_reason``: why the derivation that was announced last cannot be scored in this
          epoch; None if it can.
        """
        end_utc = self._session.epoch_start_utc(epoch.index + 1)
        return [
            *self._backend_change(epoch.index, end_utc, backend),
            *self._derivation_change(epoch, end_utc, previous_reason),
            *self._contact_change(epoch, end_utc),
            *self._signal_change(epoch, end_utc, signal),
            *self._stages(predictions),
        ]

    def ended(
        self, night: Night, predictions: Sequence[StagePrediction], backend: BackendInUse
    ) -> list[Event]:
        """Announce the last revisions, then the end of the session.

        ``night`` contains ``predictions`` already; ``backend`` made them.
        """
        last_index = night.n_epochs - 1
        end_utc = self._session.epoch_start_utc(night.n_epochs)
        return [
            *self._backend_change(last_index, end_utc, backend),
            *self._stages(predictions),
            events.session_ended(
                self._session,
                self._next_sequence(),
                time=end_utc,
                statistics=night.statistics,
                revised=night.revised,
                ledger=night.ledger,
                worn=night.worn,
            ),
        ]

    def note_contacts(self, epoch: Epoch) -> None:
        """Note the contacts of a stored epoch, which were announced before.

        An epoch without samples does not show its electrodes: the contacts stay as they were.
        """
        if epoch.quality.reason is not Reason.MISSING:
            channels = zip(self._session.channels, epoch.channel_quality, strict=True)
            self._contacts = tuple(ChannelState.of(*channel) for channel in channels)

    def _stages(self, predictions: Sequence[StagePrediction]) -> list[Event]:
        return [
            events.stage_event(self._session, self._next_sequence(), prediction)
            for prediction in predictions
        ]

    def _backend_change(
        self, epoch_index: int, time: datetime, backend: BackendInUse
    ) -> list[Event]:
        if backend.name == self._backend:
            return []
        previous, self._backend = self._backend, backend.name
        return [
            events.backend_event(
                self._session,
                self._next_sequence(),
                time=time,
                epoch_index=epoch_index,
                backend=backend.name,
                previous=previous,
                reason=backend.trouble,
            )
        ]

    def _derivation_change(
        self, epoch: Epoch, time: datetime, previous_reason: Reason | None
    ) -> list[Event]:
        if epoch.derivation.name == self.derivation:
            return []
        previous, self.derivation = self.derivation, epoch.derivation.name
        return [
            events.derivation_event(
                self._session,
                self._next_sequence(),
                time=time,
                epoch_index=epoch.index,
                derivation=self.derivation,
                previous=previous,
                reason=previous_reason,
            )
        ]

    def _contact_change(self, epoch: Epoch, time: datetime) -> list[Event]:
        before = self._contacts
        self.note_contacts(epoch)
        # A single channel needs no event of its own: the epoch has the same reason.
        same = _without_amplitude(self._contacts) == _without_amplitude(before)
        if same or len(self._contacts) < 2:
            return []
        return [
            events.channels_event(
                self._session,
                self._next_sequence(),
                time=time,
                epoch_index=epoch.index,
                channels=self._contacts,
            )
        ]

    def _signal_change(self, epoch: Epoch, time: datetime, signal: SignalState) -> list[Event]:
        # While the signal is lost, epochs are closed without samples. Only new samples end that.
        if self.signal in (SignalState.LOST, signal):
            return []
        self.signal = signal
        return [
            events.signal_event(
                self._session,
                self._next_sequence(),
                signal,
                time=time,
                epoch_index=epoch.index,
                reason=epoch.quality.reason,
            )
        ]

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence


def _without_amplitude(
    channels: Sequence[ChannelState],
) -> list[tuple[Contact, Reason | None]]:
    # The amplitude differs in every epoch; alone it is no change.
    return [(channel.contact, channel.reason) for channel in channels]
