"""Everything in a night's file, read without changing it: for reports, exports and lists.

From a damaged file it returns what is sound, and says what is not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from models.contract import EPOCH_S
from monitor.errors import InputError
from monitor.night.checksums import Row
from monitor.night.events import EventType
from monitor.night.journal import journal_damage
from monitor.night.live_night import LiveNight
from monitor.night.night import Night
from monitor.night.reading import opened
from monitor.night.rows import (
    RowError,
    StoredSession,
    epoch_from_row,
    event_from_row,
    live_night_from_row,
    mark_from_row,
    prediction_from_row,
    session_from_row,
)
from monitor.night.salvage import last_rowid, sound_rows, structure
from monitor.night.schema import SCHEMA_VERSION
from monitor.night.state import NightState
from monitor.night.trouble import damaged, translated
from monitor.types import (
    F32,
    Delivery,
    Derivation,
    Epoch,
    Event,
    Mark,
    Quality,
    Reason,
    SampleLedger,
    Session,
    SignalState,
    StagePrediction,
    Track,
)

_PUBLISHED = "SELECT count(published_utc) FROM event"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredEpoch:
    """A stored epoch without its signal; see `monitor.types.Epoch` for the fields."""

    index: int
    start_s: float
    start_utc: datetime
    derivation: Derivation
    quality: Quality
    channel_quality: tuple[Quality, ...]
    verdicts: tuple[Reason | None, ...]
    ledger: SampleLedger

    @classmethod
    def of(cls, epoch: Epoch) -> StoredEpoch:
        """Return ``epoch`` without its signal."""
        return cls(
            epoch.index,
            epoch.start_s,
            epoch.start_utc,
            epoch.derivation,
            epoch.quality,
            epoch.channel_quality,
            epoch.verdicts,
            epoch.ledger,
        )


@dataclass(frozen=True)
class NightRecord:
    """A night as its file holds it.

    - ``live_night``: what belongs to a live night only; None for a replay.
    - ``live``, ``revised``: one prediction for each epoch. ``epochs``: one entry for each epoch.
    - ``damaged``: the epochs that are damaged or lost in the file. Their entry in ``epochs`` is
      None, or their predictions are replaced by unscored ones of the reason "missing".
    - ``wrong``: what is damaged besides; "" if nothing is. Later epochs may then be missing.
    - ``published``: the number of ``events`` that the event server has.
    """

    path: Path
    stored: StoredSession
    live_night: LiveNight | None
    live: tuple[StagePrediction, ...]
    revised: tuple[StagePrediction, ...]
    epochs: tuple[StoredEpoch | None, ...]
    marks: tuple[Mark, ...]
    events: tuple[Event, ...]
    published: int
    damaged: tuple[int, ...]
    wrong: str

    @property
    def session(self) -> Session:
        """The session of the night."""
        return self.stored.session

    @property
    def is_live(self) -> bool:
        """True for a live night, False for a replay."""
        return self.live_night is not None

    @property
    def n_epochs(self) -> int:
        """The number of epochs, with those that are damaged."""
        return len(self.live)

    @property
    def end_utc(self) -> datetime:
        """The end of the last epoch."""
        return self.session.epoch_start_utc(self.n_epochs)

    @cached_property
    def night(self) -> Night:
        """The night in memory, as it was at its end."""
        names = (each.derivation.name if each else self.session.derivation for each in self.epochs)
        ledgers = (each.ledger for each in self.epochs if each)
        return Night.of(
            self.session,
            self.marks,
            sum(ledgers, SampleLedger()),
            (*self.live, *(each for each in self.revised if each.track is Track.REVISED)),
            tuple(names),
        )

    @cached_property
    def state(self) -> NightState:
        """The night as it was at its end: the value that the dashboard and the summary draw."""
        waiting = len(self.events) - self.published
        return self.night.state(
            clock_utc=self.end_utc,
            signal=SignalState.WAITING,
            recent_uv=np.full(0, np.nan, np.float32),
            channels=(),
            last_sample_utc=None,
            unstored=0,
            delivery=Delivery(None, connected=False, published=self.published, waiting=waiting),
            n_epochs_total=None if self.is_live else self.n_epochs,
            is_live=self.is_live,
            speed=None,
            ended=self.stored.ended_utc is not None,
        )

    def signals(self) -> Iterator[tuple[int, F32]]:
        """Yield the index and the channels of each epoch that is sound, one by one from the file.

        Epochs that a night which goes on has got since are left out.
        The channels are float32 (n_channels, 3000), microvolts at 100 Hz, NaN where lost, in the
        order of ``session.channels``. Raises `StoreError` if the file can no longer be read.
        """
        with opened(self.path) as (file, _), translated(self.path):
            for row in sound_rows(file, "epoch"):
                with suppress(RowError):
                    epoch = epoch_from_row(row)
                    if epoch.index < self.n_epochs:
                        yield epoch.index, epoch.data_uv


def read_night(path: Path) -> NightRecord:
    """Return the night in the file ``path``. A monitor may write it meanwhile.

    Raises `InputError` if it is not a night's file or of another format, and `StoreError` if no
    epoch in it can be read.
    """
    with opened(path) as (file, version), translated(path):
        if version != SCHEMA_VERSION:
            raise other_format(path, version)
        file.execute("BEGIN")  # one moment of a night that goes on
        wrong = structure(file) or journal_damage(path)
        sessions = _sound(file, "session", session_from_row)
        live_nights = _sound(file, "live", live_night_from_row)
        epochs = {each.index: each for each in _sound(file, "epoch", _without_signal)}
        stages = _sound(file, "prediction", prediction_from_row)
        marks = _sound(file, "mark", mark_from_row)
        events = _sound(file, "event", event_from_row)
        # If predictions are missing, a later revision of any epoch may be among them.
        whole = not wrong and len(stages) == last_rowid(file, "prediction")
        indices = (
            {each.epoch_index for each in stages}
            if wrong
            else _stored_indices(file, {*epochs, *(each.epoch_index for each in stages)})
        )
        published = 0 if wrong else file.execute(_PUBLISHED).fetchone()[0]
        for table, found in (("live", live_nights), ("mark", marks), ("event", events)):
            wrong = wrong or _changed(file, table, len(found))
    if not (sessions or epochs):
        raise damaged(path, "no epoch in it can be read")
    session = sessions[0] if sessions else _stand_in(path, epochs, events)
    live = {each.epoch_index: each for each in stages if each.track is Track.LIVE}
    revised = dict(live)
    for each in sorted(stages, key=lambda each: each.revision):
        revised[each.epoch_index] = each
    n_epochs = 1 + max([*indices, *epochs, *revised], default=-1)
    # An epoch that an accident took from the file may have kept its stages: it is not damaged.
    changed = indices - set(epochs)
    lost = [
        index
        for index in range(n_epochs)
        if index in changed or index not in live or not (whole or _is_last(revised[index]))
    ]
    for index in lost:
        live[index] = _unknown(index, Track.LIVE, session.session.model)
        revised[index] = _unknown(index, Track.REVISED, session.session.model)
    return NightRecord(
        path=path.resolve(),
        stored=session,
        live_night=live_nights[0] if live_nights else None,
        live=tuple(live[index] for index in range(n_epochs)),
        revised=tuple(revised[index] for index in range(n_epochs)),
        epochs=tuple(epochs.get(index) for index in range(n_epochs)),
        marks=tuple(sorted(marks, key=lambda mark: mark.time_utc)),
        events=tuple(events),
        published=published,
        damaged=tuple(lost),
        wrong=wrong or ("" if sessions else "its session was changed"),
    )


def _sound(file: sqlite3.Connection, table: str, from_row: Callable[[Row], T]) -> list[T]:
    """Return the values of the rows of ``table`` that are sound."""
    values = []
    for row in sound_rows(file, table):
        with suppress(RowError):
            values.append(from_row(row))
    return values


def _stored_indices(file: sqlite3.Connection, sound: set[int]) -> set[int]:
    """Return the indices in the table of epochs, also those of damaged rows that can be right.

    ``sound``: indices that are right. A changed bit can make an index of 10^18.
    """
    found = {index for (index,) in file.execute("SELECT epoch_index FROM epoch")}
    end = 1 + max(sound, default=-1) + len(found - sound)
    return {index for index in found if 0 <= index < end}


def _changed(file: sqlite3.Connection, table: str, n_sound: int) -> str:
    """Return how many rows of ``table`` were changed; "" if none was."""
    (n_rows,) = file.execute(f"SELECT count(*) FROM {table}").fetchone()
    return f"{n_rows - n_sound} of its '{table}' rows were changed" if n_rows > n_sound else ""


def other_format(path: Path, version: int) -> InputError:
    """Return the error of a night of another format."""
    return InputError(
        f"{path} has night-store format {version}, this version reads format {SCHEMA_VERSION}; use "
        "the version that wrote it"
    )


def _without_signal(row: Row) -> StoredEpoch:
    return StoredEpoch.of(epoch_from_row(row))


def _is_last(prediction: StagePrediction) -> bool:
    """Return True if no later revision of the epoch can be missing."""
    return prediction.final and (prediction.track is Track.REVISED or prediction.stage is None)


def _unknown(index: int, track: Track, model: str) -> StagePrediction:
    """Return the prediction of an epoch whose own cannot be read."""
    return StagePrediction(
        epoch_index=index,
        track=track,
        revision=int(track is Track.REVISED),
        final=True,
        stage=None,
        reason=Reason.MISSING,
        probabilities=None,
        confidence=None,
        model=model,
        latency_s=0.0,
    )


def _stand_in(path: Path, epochs: dict[int, StoredEpoch], events: list[Event]) -> StoredSession:
    """Return what the epochs and events of a night say about its damaged session."""
    first = epochs[min(epochs)]
    start_s = first.start_s - EPOCH_S * first.index
    start_utc = first.start_utc - timedelta(seconds=EPOCH_S * first.index)
    started = next((each.data for each in events if each.type == EventType.SESSION_STARTED), {})
    n_channels = len(first.channel_quality)
    session = Session(
        id=started.get("session", path.stem),
        source=started.get("source", path.name),
        derivation=started.get("derivation", first.derivation.name),
        channels=tuple(started.get("channels", (f"channel {n + 1}" for n in range(n_channels)))),
        start_s=start_s,
        start_utc=start_utc,
        sfreq_hz=started.get("sfreq_hz", 0.0),
        gain=started.get("gain", ""),
        model=started.get("model", ""),
        sleeper=started.get("sleeper", ""),
    )
    return StoredSession(session, start_utc, "")
