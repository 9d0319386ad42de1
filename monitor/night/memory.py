"""A night that is kept in memory alone: for scoring a recording, which stores nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from monitor.config import monitor_version
from monitor.night.live_night import LiveNight
from monitor.night.record import NightRecord, StoredEpoch
from monitor.night.rows import StoredSession
from monitor.night.store import NightStore
from monitor.types import (
    F32,
    Derivation,
    Epoch,
    Event,
    Mark,
    Reason,
    SampleLedger,
    Session,
    StagePrediction,
    Track,
)


@dataclass(frozen=True)
class RecordInMemory(NightRecord):
    """A `NightRecord` whose signals are in memory, if they were kept."""

    signals_uv: tuple[F32, ...] = ()

    def signals(self) -> Iterator[tuple[int, F32]]:
        """See `NightRecord.signals`."""
        return enumerate(self.signals_uv)


class NightInMemory:
    """A stand-in for `NightStore` that writes no file. It holds one night, from its begin on.

    What `NightStore` reads back from a file, this class returns as it was written.
    """

    def __init__(self, *, keep_signals: bool) -> None:
        """Make an empty night. A night of 8 h keeps 12 MB of signals for each channel."""
        self._keep_signals = keep_signals
        self._stored: StoredSession | None = None
        self._epochs: list[StoredEpoch] = []
        self._signals_uv: list[F32] = []
        self._predictions: dict[Track, dict[int, StagePrediction]] = {each: {} for each in Track}
        self._marks: list[Mark] = []
        self._events: list[Event] = []
        self._event_ids: set[str] = set()

    def record(self, path: Path) -> RecordInMemory:
        """Return everything of the night. ``path`` names it, and no file is there."""
        assert self._stored is not None
        live = tuple(self.predictions(Track.LIVE))
        revised = self._predictions[Track.REVISED]
        return RecordInMemory(
            path=path,
            stored=self._stored,
            live_night=None,
            live=live,
            revised=tuple(revised.get(each.epoch_index, each) for each in live),
            epochs=tuple(self._epochs),
            marks=tuple(self.marks()),
            events=tuple(self._events),
            published=0,
            damaged=(),
            wrong="",
            signals_uv=tuple(self._signals_uv),
        )

    # --- writing: see `NightStore`

    def begin(
        self,
        session: Session,
        created_utc: datetime,
        event: Event,
        live: LiveNight | None = None,
        *,
        weights_sha256: str = "",
        command: str = "",
    ) -> None:
        """Start the night."""
        assert live is None, "a live night needs a file"
        self._stored = StoredSession(
            session,
            created_utc,
            monitor_version(),
            weights_sha256=weights_sha256,
            command=command,
        )
        self._note([event])

    def write(
        self,
        events: Sequence[Event],
        predictions: Sequence[StagePrediction] = (),
        epoch: Epoch | None = None,
        marks: Sequence[Mark] = (),
        ended_utc: datetime | None = None,
    ) -> None:
        """See `NightWriter.write`."""
        if epoch is not None:
            self._epochs.append(StoredEpoch.of(epoch))
            if self._keep_signals:
                self._signals_uv.append(epoch.data_uv)
        for each in predictions:
            self._predictions[each.track][each.epoch_index] = each
        self._marks += marks
        self._note(events)
        if ended_utc is not None:
            assert self._stored is not None
            self._stored = replace(self._stored, ended_utc=ended_utc)

    def together(self) -> AbstractContextManager[None]:
        """See `NightWriter.together`."""
        return nullcontext()

    # --- reading: see `NightStore`

    def session(self) -> Session | None:
        return None if self._stored is None else self._stored.session

    def epochs(self, after: int = -1) -> Iterator[Epoch]:
        assert not self._epochs, "a night in memory is not continued"
        return iter(())

    def n_epochs(self) -> int:
        return len(self._epochs)

    def derivations(self) -> list[Derivation]:
        return [each.derivation for each in self._epochs]

    def verdicts(self) -> list[tuple[Reason | None, ...]]:
        return [each.verdicts for each in self._epochs]

    def ledger(self) -> SampleLedger:
        return sum((each.ledger for each in self._epochs), SampleLedger())

    def predictions(self, track: Track) -> list[StagePrediction]:
        newest = self._predictions[track]
        return [newest[index] for index in sorted(newest)]

    def marks(self) -> list[Mark]:
        return sorted(self._marks, key=lambda mark: mark.time_utc)

    def holds_event(self, event_id: str) -> bool:
        return event_id in self._event_ids

    def newest_event(self, type_: str) -> Event | None:
        return next((each for each in reversed(self._events) if each.type == type_), None)

    def last_sequence(self) -> int:
        return self._events[-1].sequence if self._events else 0

    def _note(self, events: Sequence[Event]) -> None:
        self._events += events
        self._event_ids.update(each.id for each in events)


AnyStore = NightStore | NightInMemory
"""A store in which a session can run."""
