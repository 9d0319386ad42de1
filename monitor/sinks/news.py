"""The differences between snapshots of a night, as lines for people; examples in `log.py`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

from monitor.night.state import NightState
from monitor.sinks.redis_client import safe_url
from monitor.sinks.words import age_text, clock_text, epoch_end, unstored_text
from monitor.types import ChannelState, Contact, Reason, SignalState, StagePrediction, Track

_STEADY_S = 10.0
"""A contact that is better, or bad for another reason, must last this long to be reported."""

_BEST_FIRST = (Contact.GOOD, Contact.POOR, Contact.OFF)


class NightNews:
    """The differences between successive snapshots of one night, as lines."""

    def __init__(self, timezone: tzinfo | None = None) -> None:
        self._timezone = timezone
        self._next_epoch = 0
        self._unrevised: list[int] = []
        self._signal = SignalState.WAITING
        self._lost_since: datetime | None = None
        self._contacts: dict[str, _ContactNews] = {}
        self._derivation: str | None = None
        self._unstored = 0
        # None until the first connection: until then the publisher itself logs what is wrong.
        self._connected: bool | None = None
        self._ended = False

    def of(self, state: NightState) -> list[str]:
        """Return a line for every new epoch, final revision and change in ``state``."""
        return [*self._epochs(state), *self._revisions(state), *self._changes(state)]

    def skip(self, state: NightState) -> None:
        """Return no lines for ``state``: the next lines begin with the changes after it."""
        self._next_epoch = max(self._next_epoch, len(state.live))
        self._unrevised = [
            revised.epoch_index
            for revised in state.revised
            if revised.stage is not None and not (revised.track is Track.REVISED and revised.final)
        ]
        self._changes(state)

    def _epochs(self, state: NightState) -> list[str]:
        lines = []
        for prediction in state.live[self._next_epoch :]:
            lines.append(f"{self._epoch(prediction, state)} ({prediction.track})")
            if prediction.stage is not None:
                self._unrevised.append(prediction.epoch_index)
        self._next_epoch = max(self._next_epoch, len(state.live))
        return lines

    def _revisions(self, state: NightState) -> list[str]:
        lines, waiting = [], []
        for index in self._unrevised:
            revised, live = state.revised[index], state.live[index]
            if revised.track is not Track.REVISED or not revised.final:
                waiting.append(index)
            elif revised.stage is not live.stage:
                text = self._epoch(revised, state, at=state.clock_utc)
                lines.append(f"{text} (revised, live {live.stage})")
        self._unrevised = waiting
        return lines

    def _changes(self, state: NightState) -> list[str]:
        texts = [
            *self._signal_news(state),
            *self._contact_news(state),
            *self._derivation_news(state),
            *self._store_news(state),
            *self._delivery_news(state),
            *self._end_news(state),
        ]
        at = clock_text(state.clock_utc, state, self._timezone)
        return [f"{at} {text}" for text in texts]

    def _signal_news(self, state: NightState) -> Iterator[str]:
        before, now = self._signal, state.signal
        self._signal = now
        if now is before:
            return
        if now is SignalState.LOST:
            self._lost_since = last = state.last_sample_utc
            if last is None or not state.is_live:
                yield "signal lost"
            else:
                since = clock_text(last, state, self._timezone)
                yield f"signal lost: no samples since {since}, check the headband"
        elif before is SignalState.LOST and now in (SignalState.RESTORED, SignalState.GOOD):
            last, again = self._lost_since, state.last_sample_utc
            away = again - last if last and again else timedelta(0)
            yield f"signal restored after {age_text(away)}" if away else "signal restored"
        elif now is SignalState.POOR and state.quality is not None and state.quality.reason:
            yield f"signal poor: {state.quality.reason}"
        else:
            yield "waiting for a signal" if now is SignalState.WAITING else f"signal {now}"

    def _contact_news(self, state: NightState) -> Iterator[str]:
        # While no samples come, nothing is known about the electrodes. One line about the signal
        # replaces a line for each channel.
        if state.signal in (SignalState.LOST, SignalState.RESTORED):
            return
        for channel in state.channels:
            news = self._contacts.setdefault(channel.name, _ContactNews())
            if news.is_due(channel, state.clock_utc):
                reason = f": {channel.reason}" if channel.reason else ""
                yield f"{channel.name} {channel.contact}{reason}"

    def _derivation_news(self, state: NightState) -> Iterator[str]:
        preferred = state.session.derivation
        before, self._derivation = self._derivation or preferred, state.derivation
        if state.derivation != before:
            again = state.derivation == preferred
            note = "the preferred one again" if again else f"not the preferred {preferred}"
            yield f"derivation {state.derivation}, {note}"

    def _store_news(self, state: NightState) -> Iterator[str]:
        """Yield a line when epochs begin to wait, each time their number doubles, and at the end.

        A line an epoch would fill the log of a night whose disk is full.
        """
        if state.unstored >= max(1, 2 * self._unstored):
            self._unstored = state.unstored
            yield unstored_text(state.unstored, state.trouble)
        elif self._unstored and not state.unstored:
            self._unstored = 0
            yield "all epochs are stored again"

    def _delivery_news(self, state: NightState) -> Iterator[str]:
        delivery = state.delivery
        if delivery.url is None or delivery.connected == bool(self._connected):
            return
        if self._connected is not None:
            connected = f"connected to {safe_url(delivery.url)}"
            link = connected if delivery.connected else "not connected"
            yield f"events: {link}, {delivery.waiting} waiting"
        self._connected = delivery.connected

    def _end_news(self, state: NightState) -> Iterator[str]:
        if state.ended and not self._ended:
            self._ended = True
            yield (
                f"ended: {len(state.live)} epochs, TST {state.statistics.tst_min:.1f} min, "
                f"{state.delivery.published} events published, {state.delivery.waiting} waiting"
            )

    def _epoch(
        self, prediction: StagePrediction, state: NightState, at: datetime | None = None
    ) -> str:
        at = at or epoch_end(state, prediction.epoch_index)
        head = f"{clock_text(at, state, self._timezone)} epoch {prediction.epoch_index}"
        if prediction.stage is None or prediction.confidence is None:
            return f"{head} unscored: {prediction.reason}"
        return f"{head} {prediction.stage} {prediction.confidence:.2f}"


class _ContactNews:
    """Decides when to report the contact of one channel.

    A contact that got worse is reported at once; any other change once it has lasted. So an
    electrode that flickers is reported once, and its better moments are not.
    """

    def __init__(self) -> None:
        self._reported: tuple[Contact, Reason | None] = (Contact.GOOD, None)
        self._seen: tuple[Contact, Reason | None] = self._reported
        self._since: datetime | None = None

    def is_due(self, channel: ChannelState, now: datetime) -> bool:
        current = (channel.contact, channel.reason)
        if current != self._seen or self._since is None:
            self._seen, self._since = current, now
        worse = _BEST_FIRST.index(channel.contact) > _BEST_FIRST.index(self._reported[0])
        lasted = now - self._since >= timedelta(seconds=_STEADY_S)
        due = current != self._reported and (worse or lasted)
        if due:
            self._reported = current
        return due
