"""Checks that a live night's file, and its events, hold what the headband really measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.contract import EPOCH_S
from monitor.night.events import EventType
from monitor.night.store import NightStore
from monitor.sinks.redis_client import Keys, connect
from monitor.types import Epoch, Event, Session, StagePrediction, Track
from tests.live.headband_signals import HeadbandSignal
from tests.measuring.truth import GRID_HZ, epoch_lag

MIN_LIKENESS = 0.3
"""An epoch that is less like the truth (repaired, or noise) cannot show where the grid lies."""


@dataclass(frozen=True, slots=True, eq=False)
class NightFile:
    """The content of a night's file that a comparison of two nights needs: all but the events."""

    session: Session
    epochs: list[Epoch]
    predictions: dict[Track, list[StagePrediction]]

    @classmethod
    def read(cls, path: Path) -> NightFile:
        with closing(NightStore.open(path)) as store:
            session = store.session()
            assert session is not None, f"no night was begun in {path}"
            tracks = {track: store.predictions(track) for track in Track}
            return cls(session, list(store.epochs()), tracks)


@dataclass(frozen=True, slots=True)
class NightCheck:
    """A night as its file and its event stream hold it.

    - ``ledger``: sample counts of the whole night; ``unscored``: epochs for each reason.
    - ``changes``: number of events of each kind, stages left out.
    - ``lag_last``, ``lag_worst``: how much later than the truth the last epoch lies, and the worst,
      in samples of the 100 Hz grid, over ``lags_known`` epochs. None if no epoch's lag is known.
    - ``wrong``: each broken rule that every night must keep.
    """

    session: Session
    n_epochs: int
    ledger: dict[str, int]
    unscored: dict[str, int]
    changes: dict[str, int]
    lag_last: float | None
    lag_worst: float | None
    lags_known: int
    wrong: list[str] = field(default_factory=list)


def check_night(
    store_path: Path, redis: str | None, truth: HeadbandSignal, t0_utc_s: float, ppm: float = 0.0
) -> NightCheck:
    """Read a night and check the rules that every night must keep.

    ``truth`` is the signal that was sent, its first sample at ``t0_utc_s`` (unix seconds), by a
    device that is fast by ``ppm``. ``redis`` is the server with the night's event stream, or None.
    """
    night = NightFile.read(store_path)
    with closing(NightStore.open(store_path)) as store:
        events = store.events_after(0, 10_000_000)
        ledger = store.ledger()
    channels = night.session.channels
    lags = [epoch_lag(epoch, channels, truth, t0_utc_s, ppm) for epoch in night.epochs]
    known = [lag for lag in lags if lag is not None and lag[1] >= MIN_LIKENESS]
    live = night.predictions[Track.LIVE]
    return NightCheck(
        session=night.session,
        n_epochs=len(night.epochs),
        ledger=asdict(ledger),
        unscored=dict(Counter(str(each.reason) for each in live if each.stage is None)),
        changes=dict(Counter(filter(None, map(_change, events)))),
        lag_last=known[-1][0] if known else None,
        lag_worst=max((each[0] for each in known), key=abs) if known else None,
        lags_known=len(known),
        wrong=_wrong_events(events, redis) + _wrong_epochs(night),
    )


def _wrong_epochs(night: NightFile) -> list[str]:
    wrong = []
    session, epochs = night.session, night.epochs
    if [epoch.index for epoch in epochs] != list(range(len(epochs))):
        wrong.append("epochs are not 0, 1, 2, ...")
    if [each.epoch_index for each in night.predictions[Track.LIVE]] != list(range(len(epochs))):
        wrong.append("not every epoch has one live stage")
    for epoch in epochs:
        one = epoch.ledger
        if one.received + one.filled + one.lost != one.expected:
            wrong.append(f"epoch {epoch.index}: samples do not add up: {one}")
        due_s = EPOCH_S * epoch.index
        off_s = (epoch.start_utc - session.start_utc).total_seconds() - due_s
        if abs(off_s) > 2e-6 or abs(epoch.start_s - session.start_s - due_s) > 2e-6:
            wrong.append(f"epoch {epoch.index} starts {off_s} s off the grid")
    return wrong


def _wrong_events(events: Sequence[Event], redis: str | None) -> list[str]:
    wrong = []
    if [event.sequence for event in events] != list(range(1, len(events) + 1)):
        wrong.append("event sequence is not 1, 2, 3, ...")
    if redis is not None:
        published = stream_ids(redis)
        stored = [event.id for event in events]
        if published != stored:
            missing, twice = set(stored) - set(published), len(published) - len(set(published))
            wrong.append(
                f"stream: {len(published)} events of {len(stored)}, {len(missing)} missing, "
                f"{twice} twice" + ("" if missing or twice else ", in another order")
            )
    return wrong


def stream_ids(redis: str) -> list[str]:
    """Return the ids of the events on the server, in their order."""
    client: Any = connect(redis)
    try:
        return [fields["id"] for _, fields in client.xrange(Keys().events)]
    finally:
        client.close()


def _change(event: Event) -> str | None:
    """Return a few words for an event that is not a stage, else None."""
    data = event.data
    match event.type:
        case EventType.SIGNAL:
            reason = f" ({data['reason']})" if data.get("reason") else ""
            return f"signal {data['state']}{reason}"
        case EventType.DERIVATION:
            return f"derivation {data.get('derivation')}"
        case EventType.SESSION_RESUMED:
            return "resumed"
        case EventType.CHANNELS:
            return "contact changed"
        case _:
            return None


def samples_of_epochs(
    check: NightCheck, truth: HeadbandSignal, t0_utc_s: float, ppm: float = 0.0
) -> tuple[int, int]:
    """Return the first of the device's samples that stored epochs cover, and one past the last."""
    rate_hz = truth.rate_hz * (1.0 + 1e-6 * ppm)
    start_s = check.session.start_utc.timestamp() - t0_utc_s
    first = round(start_s * rate_hz)
    stop = round((start_s + EPOCH_S * check.n_epochs - 1.0 / GRID_HZ) * rate_hz) + 1
    return max(0, first), min(truth.n_samples, stop)
