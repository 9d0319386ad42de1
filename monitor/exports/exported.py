"""A stored night as every format needs it: stages of one track, clock, marks, provenance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cached_property
from typing import Any

from models.contract import EPOCH_S, HIGHPASS_HZ, LOWPASS_HZ, SFREQ_HZ, Stage
from monitor.config import monitor_version
from monitor.exports.survey import Survey, survey
from monitor.night.record import NightRecord
from monitor.sinks.epochs_csv import clock_time
from monitor.text import clean
from monitor.types import Mark, MarkKind, Reason, StagePrediction, Track

PROGRAM = "sleep-monitor"


@dataclass(frozen=True)
class ExportedNight:
    """A night to export.

    - Seconds count from the start of the first epoch, where the exported EDF begins.
    - ``name``: the beginning of every file's name.
    - ``timezone`` of a live night's clock; None: that of this machine.
    """

    record: NightRecord
    track: Track = Track.REVISED
    timezone: tzinfo | None = None

    @property
    def name(self) -> str:
        """The beginning of the files' names; the live track has names of its own."""
        return self.record.path.stem + ("-live" if self.track is Track.LIVE else "")

    @property
    def predictions(self) -> tuple[StagePrediction, ...]:
        """The prediction of each epoch; one that is damaged is unscored."""
        return self.record.revised if self.track is Track.REVISED else self.record.live

    @property
    def stages(self) -> tuple[Stage | None, ...]:
        """The stage of each epoch; None is unscored."""
        return tuple(each.stage for each in self.predictions)

    @cached_property
    def damaged(self) -> frozenset[int]:
        """The epochs that are damaged in the night's file."""
        return frozenset(self.record.damaged)

    @property
    def absent(self) -> tuple[int, ...]:
        """The epochs without signal: missing ones, and those that are damaged."""
        live = self.record.live
        return tuple(each.epoch_index for each in live if each.reason is Reason.MISSING)

    @cached_property
    def survey(self) -> Survey:
        """The range of the signals, and their losses. To read them takes a moment."""
        return survey(self.record)

    @property
    def marks_within(self) -> tuple[Mark, ...]:
        """The marks that are not before the start of the first epoch."""
        start = self.record.session.start_utc
        return tuple(mark for mark in self.record.marks if mark.time_utc >= start)

    @property
    def duration_s(self) -> float:
        """The length of all epochs in seconds."""
        return EPOCH_S * self.record.n_epochs

    @cached_property
    def start(self) -> datetime:
        """The start of the first epoch; see `clock`."""
        return self.clock(self.record.session.start_utc)

    def clock(self, utc: datetime) -> datetime:
        """Return ``utc`` in local time, or on the recorder's clock, without a zone."""
        return clock_time(utc, self.record.is_live, self.timezone)

    def epoch_clock(self, index: int) -> datetime:
        """Return when epoch ``index`` starts; see `clock`."""
        return self.clock(self.record.session.epoch_start_utc(index))

    def seconds(self, utc: datetime) -> float:
        """Return the seconds from the start of the first epoch to ``utc``."""
        return (utc - self.record.session.start_utc) / timedelta(seconds=1)

    @property
    def provenance(self) -> dict[str, Any]:
        """The facts that say how the night was made, as JSON values."""
        stored, session = self.record.stored, self.record.session
        return {
            "software": PROGRAM,
            "version": stored.version,
            "exported_by_version": monitor_version(),
            "command": stored.command,
            "model": session.model,
            "weights_sha256": stored.weights_sha256,
            "gain": session.gain,
            "track": self.track.value,
            "source": session.source,
            "derivation": session.derivation,
            "channels": list(session.channels),
            "source_sfreq_hz": session.sfreq_hz,
            "conditioned": f"{SFREQ_HZ:g} Hz, {HIGHPASS_HZ:g} to {LOWPASS_HZ:g} Hz, causal",
            "session": session.id,
            "sleeper": session.sleeper,
            "kind": "live" if self.record.is_live else "replay",
            "start": self.start.isoformat(),
            "clock": self._clock_name,
            "recording_offset_s": 0.0 if self.record.is_live else session.start_s,
            "epochs": self.record.n_epochs,
            "epoch_s": EPOCH_S,
            "complete": stored.ended_utc is not None,
            "damaged_epochs": list(self.record.damaged),
            "damage": self.record.wrong,
        }

    @property
    def _clock_name(self) -> str:
        if not self.record.is_live:
            return "the recorder's clock; its time zone is not known"
        return f"local time, {self.utc_offset} at the start"

    @property
    def utc_offset(self) -> str:
        """The offset of the clock at the start, as UTC+01:00; "" if it is not known."""
        return "" if self.start.tzinfo is None else f"UTC{self.start.isoformat()[-6:]}"


def mark_text(mark: Mark) -> str:
    """Return the text of ``mark`` in a list of events. A note can look like no other event."""
    if mark.kind is MarkKind.NOTE:
        return f"Note: {clean(mark.text or '')}".strip()
    return "Lights off" if mark.kind is MarkKind.LIGHTS_OFF else "Lights on"
