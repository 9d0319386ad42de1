"""The night as plain lines, for a pipe or a service: one an epoch, one a change, no control codes.

    23:14:30 epoch 128 N2 0.91 (live)
    23:15:00 epoch 129 unscored: mains (live)
    23:15:00 epoch 120 N1 0.80 (revised, live N2)
    23:16:12 signal lost: no samples since 23:16:07, check the headband
    23:16:54 signal restored after 47 s
    23:17:40 events: not connected, 3 waiting
    23:18:02 TP9 off: railed

Epochs are numbered from 0, as in the events; an epoch's time is its end, when its stage is known.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from types import TracebackType
from typing import IO, Protocol, Self

from models.contract import EPOCH_S
from monitor.night.state import NightState
from monitor.sinks.redis_client import safe_url
from monitor.types import ChannelState, Contact, Reason, SignalState, StagePrediction, Track

logger = logging.getLogger(__name__)

_STEADY_S = 10.0
_RANK = (Contact.GOOD, Contact.POOR, Contact.OFF)


class NightView(Protocol):
    """Something that shows the night while it runs. `update` never raises or waits for a person."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def update(self, state: NightState) -> None: ...

    def close(self) -> None: ...


class PlainLog:
    """Writes what is new in each snapshot to ``stream``; never raises because of the stream.

    - ``timezone`` None: a replay's times are shown as recorded, a live source's in local time.
    - ``told``: what it holds was told already, as of a resumed night: lines begin after it.
    """

    def __init__(
        self, stream: IO[str], *, timezone: tzinfo | None = None, told: NightState | None = None
    ) -> None:
        self._lines = Lines(stream)
        self._news = NightNews(timezone)
        if told is not None:
            self.skip(told)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, state: NightState) -> None:
        """Write a line for every new epoch, final revision and change since the last snapshot."""
        self._lines.write(self._news.of(state))

    def skip(self, state: NightState) -> None:
        """Take ``state`` as already told: lines begin with what changes after it."""
        self._news.skip(state)

    def close(self) -> None:
        """Nothing is held back: every line is flushed as it is written."""


class Lines:
    """Whole lines to a stream. A reader that goes away is warned of once, then left alone."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._broken = False

    def write(self, lines: Iterable[str]) -> None:
        text = "".join(line + "\n" for line in lines)
        if not text or self._broken:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError) as error:
            # The reader of the pipe is gone; the night goes on without it.
            self._broken = True
            logger.warning("Log lines can't be written (%s); the night goes on", error)


class NightNews:
    """What is new in each snapshot of one night, as lines."""

    def __init__(self, timezone: tzinfo | None = None) -> None:
        self._timezone = timezone
        self._next_epoch = 0
        self._unrevised: list[int] = []
        self._signal = SignalState.WAITING
        self._lost_since: datetime | None = None
        self._contacts: dict[str, _ContactNews] = {}
        self._derivation: str | None = None
        self._unstored = 0
        # Before it was there for the first time the publisher itself says what is wrong.
        self._connected: bool | None = None
        self._ended = False

    def of(self, state: NightState) -> list[str]:
        """A line for every new epoch, final revision and change since the last snapshot."""
        return [*self._epochs(state), *self._revisions(state), *self._changes(state)]

    def skip(self, state: NightState) -> None:
        """Take ``state`` as already told: lines begin with what changes after it."""
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
        ]
        delivery = state.delivery
        if delivery.url is not None and delivery.connected != bool(self._connected):
            if self._connected is not None:
                there = f"connected to {safe_url(delivery.url)}"
                link = there if delivery.connected else "not connected"
                texts.append(f"events: {link}, {delivery.waiting} waiting")
            self._connected = delivery.connected
        if state.ended and not self._ended:
            self._ended = True
            texts.append(
                f"ended: {len(state.live)} epochs, TST {state.statistics.tst_min:.1f} min, "
                f"{delivery.published} events published, {delivery.waiting} waiting"
            )
        at = clock_text(state.clock_utc, state, self._timezone)
        return [f"{at} {text}" for text in texts]

    def _signal_news(self, state: NightState) -> Iterator[str]:
        before, now = self._signal, state.signal
        self._signal = now
        if now is before:
            return
        if now is SignalState.LOST:
            self._lost_since = last = state.last_sample_utc
            if last is None or state.speed is not None:
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
        if state.signal in (SignalState.LOST, SignalState.RESTORED):
            return  # one line says it: of electrodes nothing is known meanwhile
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
        """When it begins, each time it has doubled, and when all is well again."""
        if state.unstored >= max(1, 2 * self._unstored):
            self._unstored = state.unstored
            yield unstored_text(state.unstored)
        elif self._unstored and not state.unstored:
            self._unstored = 0
            yield "all epochs are stored again"

    def _epoch(
        self, prediction: StagePrediction, state: NightState, at: datetime | None = None
    ) -> str:
        at = at or epoch_end(state, prediction.epoch_index)
        head = f"{clock_text(at, state, self._timezone)} epoch {prediction.epoch_index}"
        if prediction.stage is None or prediction.confidence is None:
            return f"{head} unscored: {prediction.reason}"
        return f"{head} {prediction.stage} {prediction.confidence:.2f}"


class _ContactNews:
    """When to tell of one channel's contact: at once if it got worse, else once it has held.

    An electrode that flickers is told once, and its better moments are not."""

    def __init__(self) -> None:
        self._told: tuple[Contact, Reason | None] = (Contact.GOOD, None)
        self._seen: tuple[Contact, Reason | None] = self._told
        self._since: datetime | None = None

    def is_due(self, channel: ChannelState, now: datetime) -> bool:
        current = (channel.contact, channel.reason)
        if current != self._seen or self._since is None:
            self._seen, self._since = current, now
        worse = _RANK.index(channel.contact) > _RANK.index(self._told[0])
        held = now - self._since >= timedelta(seconds=_STEADY_S)
        due = current != self._told and (worse or held)
        if due:
            self._told = current
        return due


def unstored_text(n_epochs: int) -> str:
    """That the disk does not take the night, and what waits for it."""
    return f"DISK FULL? {n_epochs} {'epoch waits' if n_epochs == 1 else 'epochs wait'} to be stored"


def age_text(duration: timedelta) -> str:
    """``42 s``, ``3 min 20 s``, ``1 h 04 min``."""
    seconds = max(0, int(duration.total_seconds()))
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{minutes} min {seconds % 60:02d} s" if minutes else f"{seconds} s"


def local_time(when: datetime, state: NightState, timezone: tzinfo | None = None) -> datetime:
    """``when`` on the clock the reader expects: as recorded in a replay, local time if live."""
    if timezone is None and state.speed is None:
        return when.astimezone()
    return when.astimezone(timezone or UTC)


def clock_text(when: datetime, state: NightState, timezone: tzinfo | None = None) -> str:
    """`local_time` as HH:MM:SS."""
    return local_time(when, state, timezone).strftime("%H:%M:%S")


def epoch_end(state: NightState, index: int) -> datetime:
    """When epoch ``index`` ended: the moment its live prediction speaks for."""
    return state.session.start_utc + timedelta(seconds=EPOCH_S * (index + 1))
