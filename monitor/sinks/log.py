"""The night as plain lines, for a pipe or a service: one an epoch, one a change, no control codes.

    23:14:30 epoch 128 N2 0.91 (live)
    23:15:00 epoch 129 unscored: mains (live)
    23:15:00 epoch 120 N1 0.80 (revised, live N2)
    23:16:12 signal lost
    23:17:40 events: not connected, 3 waiting

Epochs are numbered from 0, as in the events; an epoch's time is its end, when its stage is known.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta, tzinfo
from types import TracebackType
from typing import IO, Protocol, Self

from models.contract import EPOCH_S
from monitor.night.state import NightState
from monitor.sinks.redis_client import safe_url
from monitor.types import SignalState, StagePrediction, Track

logger = logging.getLogger(__name__)


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
        self._stream = stream
        self._timezone = timezone
        self._next_epoch = 0
        self._unrevised: list[int] = []
        self._signal = SignalState.WAITING
        self._connected = True
        self._ended = False
        self._broken = False
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
        lines = [
            *self._epochs(state),
            *self._revisions(state),
            *self._changes(state),
        ]
        if lines and not self._broken:
            try:
                self._stream.write("".join(line + "\n" for line in lines))
                self._stream.flush()
            except (OSError, ValueError) as error:
                # The reader of the pipe is gone; the night goes on without it.
                self._broken = True
                logger.warning("Log lines can't be written (%s); the night goes on", error)

    def skip(self, state: NightState) -> None:
        """Take ``state`` as already told: lines begin with what changes after it."""
        self._next_epoch = max(self._next_epoch, len(state.live))
        self._unrevised = [
            revised.epoch_index
            for revised in state.revised
            if revised.stage is not None and not (revised.track is Track.REVISED and revised.final)
        ]
        self._signal = state.signal
        self._connected = state.delivery.connected
        self._ended = state.ended

    def close(self) -> None:
        """Nothing is held back: every line is flushed as it is written."""

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
        texts = []
        if state.signal is not self._signal:
            texts.append(_signal_text(self._signal, state))
            self._signal = state.signal
        delivery = state.delivery
        if delivery.url is not None and delivery.connected != self._connected:
            self._connected = delivery.connected
            link = f"connected to {safe_url(delivery.url)}" if self._connected else "not connected"
            texts.append(f"events: {link}, {delivery.waiting} waiting")
        if state.ended and not self._ended:
            self._ended = True
            texts.append(
                f"ended: {len(state.live)} epochs, TST {state.statistics.tst_min:.1f} min, "
                f"{delivery.published} events published, {delivery.waiting} waiting"
            )
        at = clock_text(state.clock_utc, state, self._timezone)
        return [f"{at} {text}" for text in texts]

    def _epoch(
        self, prediction: StagePrediction, state: NightState, at: datetime | None = None
    ) -> str:
        at = at or epoch_end(state, prediction.epoch_index)
        head = f"{clock_text(at, state, self._timezone)} epoch {prediction.epoch_index}"
        if prediction.stage is None or prediction.confidence is None:
            return f"{head} unscored: {prediction.reason}"
        return f"{head} {prediction.stage} {prediction.confidence:.2f}"


def _signal_text(before: SignalState, state: NightState) -> str:
    now = state.signal
    if now is SignalState.GOOD:
        return (
            "signal restored" if before in (SignalState.LOST, SignalState.POOR) else "signal good"
        )
    if now is SignalState.POOR and state.quality is not None and state.quality.reason:
        return f"signal poor: {state.quality.reason}"
    return "waiting for a signal" if now is SignalState.WAITING else f"signal {now}"


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
