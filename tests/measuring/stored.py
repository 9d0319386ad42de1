"""What a live night left behind, held against what the headband really did."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monitor.conditioning.grid import MAX_FILL_S
from monitor.night.events import EventType
from monitor.night.store import NightStore
from monitor.sinks.redis_client import Keys, connect
from monitor.types import Event, Session, Track
from tests.live.faults import UNIT, Block, Injector, parse
from tests.live.signals import Signal
from tests.live.truth import GRID_HZ, epoch_lag

LIKE = 0.3
"""Epochs less like the truth than this (mended ones, noise) do not tell where the grid lies."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the samples that the device measured between two of its samples."""

    measured: int = 0
    sent: int = 0
    not_sent: int = 0
    twice: int = 0
    overtaken: int = 0
    not_finite: int = 0
    short_gaps_s: float = 0.0
    long_gaps_s: float = 0.0

    @classmethod
    def of(
        cls,
        what: Signal,
        faults: str,
        seed: int,
        first: int,
        stop: int,
        away: Sequence[tuple[int, int]] = (),
    ) -> Sent:
        """Samples ``first`` to ``stop`` through the same injector again; ``away``: stretches in
        which there was nobody to send, or nobody to hear."""
        injector = Injector(parse(faults), what.channels, what.rate_hz, seed)
        arrived = np.zeros(stop - first, np.int64)
        overtaken = not_finite = 0
        for start in range(first // UNIT * UNIT, stop, 1000 * UNIT):
            index = np.arange(start, min(stop, start + 1000 * UNIT))
            silence = np.zeros((len(what.channels), index.size), np.float32)
            block = injector.apply(Block(silence, index / what.rate_hz, index))
            inside = block.index >= first
            for a, b in away:
                inside &= (block.index < a) | (block.index >= b)
            block = block.take(inside)
            newest = np.maximum.accumulate(block.index)
            overtaken += int(np.sum(block.index < newest))
            not_finite += int(np.sum(~np.isfinite(block.data_uv).all(axis=0)))
            np.add.at(arrived, block.index - first, 1)
        short_s, long_s = _gaps_s(arrived > 0, what.rate_hz)
        return cls(
            measured=stop - first,
            sent=int(arrived.sum()),
            not_sent=int(np.sum(arrived == 0)),
            twice=int(np.sum(arrived > 1)),
            overtaken=overtaken,
            not_finite=not_finite,
            short_gaps_s=short_s,
            long_gaps_s=long_s,
        )


def _gaps_s(there: np.ndarray[Any, np.dtype[np.bool_]], rate_hz: float) -> tuple[float, float]:
    """Seconds missing in gaps that are short enough to be bridged, and in longer ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], there, [True]]).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    short = (lengths + 1) / rate_hz <= MAX_FILL_S + 1e-9
    return float(lengths[short].sum() / rate_hz), float(lengths[~short].sum() / rate_hz)


@dataclass(frozen=True, slots=True)
class Left:
    """A night as its store, and the event stream, hold it."""

    session: Session
    n_epochs: int
    ledger: dict[str, int]
    unscored: dict[str, int]
    said: dict[str, int]
    lag_last: float | None
    lag_worst: float | None
    lags_known: int
    wrong: list[str] = field(default_factory=list)
    """What must hold of every night and does not."""


def look(
    store_path: Path, redis: str | None, what: Signal, t0_utc_s: float, ppm: float = 0.0
) -> Left:
    """Read a night and check what must always hold."""
    store = NightStore.open(store_path)
    try:
        session = store.session()
        assert session is not None, "no night was begun"
        epochs = list(store.epochs())
        live = store.predictions(Track.LIVE)
        events = store.events_after(0, 10_000_000)
        ledger = store.ledger()
    finally:
        store.close()
    lags = [epoch_lag(epoch, session.channels, what, t0_utc_s, ppm) for epoch in epochs]
    known = [lag for lag in lags if lag is not None and lag[1] >= LIKE]
    wrong = _wrong_events(events, redis)
    if [epoch.index for epoch in epochs] != list(range(len(epochs))):
        wrong.append("epochs are not 0, 1, 2, ...")
    if [each.epoch_index for each in live] != list(range(len(epochs))):
        wrong.append("not every epoch has one live stage")
    for epoch in epochs:
        one = epoch.ledger
        if one.received + one.filled + one.lost != one.expected:
            wrong.append(f"epoch {epoch.index}: samples do not add up: {one}")
        off_s = (epoch.start_utc - session.start_utc).total_seconds() - 30.0 * epoch.index
        if abs(off_s) > 2e-6 or abs(epoch.start_s - session.start_s - 30.0 * epoch.index) > 2e-6:
            wrong.append(f"epoch {epoch.index} starts {off_s} s off the grid")
    return Left(
        session=session,
        n_epochs=len(epochs),
        ledger=asdict(ledger),
        unscored=dict(Counter(str(each.reason) for each in live if each.stage is None)),
        said=dict(Counter(filter(None, map(_said, events)))),
        lag_last=known[-1][0] if known else None,
        lag_worst=max((each[0] for each in known), key=abs) if known else None,
        lags_known=len(known),
        wrong=wrong,
    )


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
    """Ids of the events on the server, in order."""
    client: Any = connect(redis)
    try:
        return [fields["id"] for _, fields in client.xrange(Keys().events)]
    finally:
        client.close()


def _said(event: Event) -> str | None:
    """An event other than a stage, in a few words."""
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


def window(left: Left, what: Signal, t0_utc_s: float, ppm: float = 0.0) -> tuple[int, int]:
    """The device's samples, first and one past the last, of the stored epochs."""
    rate_hz = what.rate_hz * (1.0 + 1e-6 * ppm)
    start_s = left.session.start_utc.timestamp() - t0_utc_s
    first = round(start_s * rate_hz)
    stop = round((start_s + 30.0 * left.n_epochs - 1.0 / GRID_HZ) * rate_hz) + 1
    return max(0, first), min(what.n_samples, stop)


def between(
    starts: Sequence[dict[str, Any]], progress: Sequence[dict[str, Any]]
) -> list[tuple[int, int]]:
    """Samples due while a headband that was killed again and again was away: from the last that it
    reported to the first after its return."""
    reached = {start["first"]: start["first"] for start in starts}
    for each in progress:
        reached[each["first"]] = max(reached[each["first"]], each["reached"])
    firsts = [start["first"] for start in starts]
    return [(reached[a], b) for a, b in itertools.pairwise(firsts)]
