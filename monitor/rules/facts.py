"""The facts of a night that rules depend on, as its events tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from models.contract import EPOCH_S, Stage
from monitor.night.events import EventType
from monitor.types import Contact, Event, MarkKind, Reason, SignalState, Track

EPOCH = timedelta(seconds=EPOCH_S)

NO_CONTACT = {Reason.FLAT, Reason.RAILED, Reason.MAINS, Reason.MISSING}
"""Reasons for which the only electrode counts as off; see `monitor.types.ChannelState`."""

ONLY = ""
"""The name of the electrode of a night with one channel, which has no events of its own."""


@dataclass(frozen=True, slots=True)
class EpochFact:
    """A prediction: its epoch, the end of the epoch, its stage (None: unscored) and confidence."""

    index: int
    end_utc: datetime
    stage: Stage | None
    confidence: float | None


@dataclass(slots=True)
class Series:
    """The newest prediction of each epoch on one track, in order."""

    staged: list[EpochFact] = field(default_factory=list)
    counts: Counter[Stage | None] = field(default_factory=Counter)

    def put(self, new: EpochFact) -> None:
        """Add the prediction of the next epoch, or replace that of an earlier one."""
        place = new.index - self.first
        if 0 <= place < len(self.staged):
            self.counts[self.staged[place].stage] -= 1
            self.staged[place] = new
        else:
            self.staged.append(new)
        self.counts[new.stage] += 1

    @property
    def first(self) -> int:
        """The index of the first epoch."""
        return self.staged[0].index if self.staged else 0

    @property
    def newest(self) -> EpochFact | None:
        """The prediction of the newest epoch; None before the first."""
        return self.staged[-1] if self.staged else None

    def time_in(self, *stages: Stage) -> timedelta:
        """Return how long the sleeper was in these stages."""
        return sum(self.counts[stage] for stage in stages) * EPOCH

    def holds(
        self, stages: Container[Stage | None], confidence: float, for_: timedelta | None
    ) -> bool:
        """Return True if the newest epochs, for so long, are all in ``stages`` and sure enough."""
        needed = EPOCH if for_ is None else for_
        end_utc = self.staged[-1].end_utc if self.staged else None
        for each in reversed(self.staged):
            if each.stage not in stages or (
                each.stage is not None and (each.confidence or 0.0) < confidence
            ):
                return False
            assert end_utc is not None
            if end_utc - each.end_utc + EPOCH >= needed:
                return True
        return False


class RuleFacts:
    """The facts of a night. It holds what its events told, in their order."""

    def __init__(self) -> None:
        self.live = Series()
        self.revised = Series()
        self.lights_off_utc: datetime | None = None
        self.notes: dict[str, datetime] = {}
        """The time of the newest note of each text."""
        self._off_since: dict[str, datetime] = {}
        self._lost_since: datetime | None = None
        self._channels: tuple[str, ...] = ()

    def note(self, event: Event) -> None:
        """Take in the next event."""
        data = event.data
        match event.type:
            case EventType.SESSION_STARTED:
                self._channels = tuple(data.get("channels", ()))
            case EventType.STAGE:
                self._note_stage(event)
            case EventType.MARK:
                self._note_mark(event)
            case EventType.CHANNELS:
                for channel in data["channels"]:
                    self._note_contact(
                        channel["name"], channel["contact"] == Contact.OFF, event.time - EPOCH
                    )
            case EventType.SIGNAL:
                if data["state"] != SignalState.LOST:
                    self._lost_since = None
                elif self._lost_since is None:
                    self._lost_since = event.time

    def series(self, track: str) -> Series:
        """Return the predictions that a rule on ``track`` sees."""
        return self.revised if track == Track.REVISED else self.live

    def off_since(self, electrode: str | None) -> datetime | None:
        """Return since when ``electrode`` (None: any) is off; None if it is not.

        Without any samples all electrodes are off.
        """
        off = [
            since
            for name, since in self._off_since.items()
            if electrode is None or name in (electrode, ONLY)
        ]
        return min([*off, *([self._lost_since] if self._lost_since else [])], default=None)

    def _note_stage(self, event: Event) -> None:
        data = event.data
        stage = None if data["stage"] is None else Stage(data["stage"])
        staged = EpochFact(data["epoch_index"], event.time, stage, data["confidence"])
        if data["track"] == Track.LIVE:
            self.live.put(staged)
            if len(self._channels) == 1:
                is_off = data["reason"] in NO_CONTACT
                self._note_contact(ONLY, is_off, event.time - EPOCH)
        if data["track"] in (Track.LIVE, Track.REVISED):
            self.revised.put(staged)

    def _note_mark(self, event: Event) -> None:
        kind = event.data["kind"]
        if kind == MarkKind.LIGHTS_OFF:
            self.lights_off_utc = max(event.time, self.lights_off_utc or event.time)
        elif kind == MarkKind.NOTE and event.data["text"]:
            text = event.data["text"]
            self.notes[text] = max(event.time, self.notes.get(text, event.time))

    def _note_contact(self, name: str, is_off: bool, since: datetime) -> None:
        if is_off:
            self._off_since.setdefault(name, since)
        else:
            self._off_since.pop(name, None)
