"""A night as its report needs it: the record, with everything that is derived from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby

import numpy as np

from models.contract import Stage
from monitor.night.events import EventType
from monitor.night.record import NightRecord
from monitor.night.statistics import EPOCH_MIN, SleepStatistics
from monitor.night.structure import SleepStructure
from monitor.report.axis import LocalClock
from monitor.report.expert import ExpertStages
from monitor.report.spectrogram import Spectrogram, spectrogram
from monitor.report.words import minutes_text
from monitor.types import (
    F32,
    ChannelState,
    Contact,
    Derivation,
    MarkKind,
    Reason,
    SignalState,
    StagePrediction,
)

UNSURE = 0.5
"""A stage with a confidence below this is called unsure: the others together are more probable."""

_MARKS = {MarkKind.LIGHTS_OFF: "Lights off", MarkKind.LIGHTS_ON: "Lights on"}


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened at a moment of the night, in words."""

    when: datetime
    text: str


@dataclass(frozen=True)
class ReportedNight:
    """A night, the clock on which its reader reads it, and the moment of the report.

    - ``goes_on``: a monitor writes the night now.
    - ``expert``: the expert's stages, if there are any.
    """

    record: NightRecord
    clock: LocalClock
    made: datetime
    goes_on: bool = False
    expert: ExpertStages | None = None

    @property
    def n_epochs(self) -> int:
        """The number of epochs."""
        return self.record.n_epochs

    @property
    def revised(self) -> tuple[StagePrediction, ...]:
        """The stages that count, one for each epoch."""
        return self.record.revised

    @cached_property
    def hypnogram(self) -> tuple[Stage | None, ...]:
        """The revised stage of each epoch; None is unscored."""
        return tuple(each.stage for each in self.revised)

    @property
    def statistics(self) -> SleepStatistics:
        """The sleep statistics."""
        return self.record.night.statistics

    @cached_property
    def structure(self) -> SleepStructure:
        """The structure of the sleep."""
        return self.record.night.structure

    @cached_property
    def start(self) -> datetime:
        """The start of the first epoch on the reader's clock."""
        return self.clock(self.record.session.start_utc)

    @cached_property
    def end(self) -> datetime:
        """The end of the last epoch on the reader's clock."""
        return self.clock(self.record.end_utc)

    @cached_property
    def spectrogram(self) -> Spectrogram:
        """The spectrogram of what was staged."""
        scored = [i for i, stage in enumerate(self.hypnogram) if stage is not None]
        return spectrogram(self._staged_signals(), self.n_epochs, scored)

    def _staged_signals(self) -> Iterator[tuple[int, F32]]:
        for index, data_uv in self.record.signals():
            epoch = self.record.epochs[index]
            # A flat signal has no power to draw: a logarithm would make much of its rounding.
            if epoch is not None and epoch.quality.reason is not Reason.FLAT:
                yield index, epoch.derivation.of(data_uv)

    @cached_property
    def contacts(self) -> dict[str, tuple[Contact | None, ...]]:
        """The contact of each channel in each epoch; None where the file is damaged."""
        names = self.record.session.channels
        states = [
            [ChannelState.of(*pair).contact for pair in zip(names, e.channel_quality, strict=False)]
            if e is not None
            else [None] * len(names)
            for e in self.record.epochs
        ]
        return {name: tuple(row[n] for row in states) for n, name in enumerate(names)}

    @cached_property
    def derivations(self) -> dict[str, tuple[bool, ...]]:
        """Each derivation that was staged, and the scored epochs in which it was."""
        staged: list[Derivation | None] = [
            epoch.derivation if epoch is not None and stage is not None else None
            for epoch, stage in zip(self.record.epochs, self.hypnogram, strict=True)
        ]
        names = Counter(each.name for each in staged if each is not None)
        return {
            name: tuple(each is not None and each.name == name for each in staged)
            for name, _ in names.most_common()
        }

    @cached_property
    def unscored(self) -> dict[Reason | None, int]:
        """The unscored epochs of each reason; None stands for damage in the file."""
        damaged = set(self.record.damaged)
        return dict(
            Counter(
                None if each.epoch_index in damaged else each.reason
                for each in self.revised
                if each.stage is None
            ).most_common()
        )

    @cached_property
    def confidences(self) -> F32:
        """The confidence of each epoch, NaN where unscored."""
        return np.array(
            [np.nan if e.confidence is None else e.confidence for e in self.revised], np.float32
        )

    @cached_property
    def disagreement(self) -> float | None:
        """The share of the epochs whose live stage is not the revised one; None if undefined."""
        pairs = [
            (live.stage, revised.stage)
            for live, revised in zip(self.record.live, self.revised, strict=True)
            if live.stage is not None and revised.stage is not None
        ]
        return sum(live is not revised for live, revised in pairs) / len(pairs) if pairs else None

    @cached_property
    def lost(self) -> list[tuple[datetime, datetime]]:
        """The times without a signal, as the monitor noticed them."""
        spans: list[tuple[datetime, datetime]] = []
        since: datetime | None = None
        for event in self.record.events:
            if event.type != EventType.SIGNAL:
                continue
            if event.data.get("state") == SignalState.LOST:
                since = since or event.time
            elif since is not None:
                spans.append((since, event.time))
                since = None
        if since is not None:
            spans.append((since, max(since, self.record.end_utc)))
        return spans

    @cached_property
    def happenings(self) -> list[Happening]:
        """The marks, and what happened to the signal and to the monitor, in their order."""
        found = [
            Happening(mark.time_utc, _MARKS.get(mark.kind) or f"Note: {mark.text}")
            for mark in self.record.marks
        ]
        for start, end in self.lost:
            seconds = round((end - start).total_seconds())
            length = f"{seconds} s" if seconds < 60 else f"{round(seconds / 60)} min"
            found.append(Happening(start, f"The signal was lost for {length}"))
        for event in self.record.events:
            if event.type == EventType.SESSION_RESUMED:
                found.append(Happening(event.time, "The monitor was started again"))
            elif event.type == EventType.BACKEND:
                text = f"The stages were computed by {event.data.get('backend')} from here on"
                found.append(Happening(event.time, text))
        return sorted(found, key=lambda each: each.when)

    @property
    def staged_text(self) -> str:
        """The derivations that were staged, and how long each was."""
        parts = [
            f"{name} for {minutes_text(sum(epochs) * EPOCH_MIN)}"
            for name, epochs in self.derivations.items()
        ]
        return ", ".join(parts) or "nothing"


def runs(values: Sequence[object]) -> list[tuple[object, int, int]]:
    """Return each run of equal ``values``: the value, its first place, one after its last."""
    found, place = [], 0
    for value, group in groupby(values):
        length = len(list(group))
        found.append((value, place, place + length))
        place += length
    return found
