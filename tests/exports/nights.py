"""Nights to export: two channels with gaps, odd starts, unscored epochs, and texts that hurt."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np

from models.contract import EPOCH_S, STAGES, Stage
from monitor.exports.export import ExportOptions, export_night
from monitor.night.events import session_started
from monitor.night.live_night import LiveNight
from monitor.night.store import NightStore
from monitor.types import (
    F32,
    Derivation,
    Epoch,
    Mark,
    MarkKind,
    Montage,
    Quality,
    Reason,
    SampleLedger,
    Session,
    StagePrediction,
    Track,
)

ZONE = timezone(timedelta(hours=1), "CET")
CHANNELS = ("EEG AF7-TP9", "AF8, ä\t\"&<>'")
NOTE = 'thunder, "loud"; <b>&\tä ☂ | = #'
WEIGHTS = "ab" * 32
COMMAND = "sleep-monitor live lsl --note '--> ü'"
GOOD = Quality(None, 20.0, 150.0, 0.0, 0.0, 0.0, 0.125, 0.0)
MISSING, FLAT = 4, 7
"""Epochs that are unscored: without any sample, and flat."""
N_EPOCHS = 12
LOST = ((4 * 3000 - 50, 5 * 3000 + 20), (8 * 3000 + 123, 8 * 3000 + 321))
"""Samples that are lost in every channel: first, one after the last."""
LOST_OF_ONE = (9 * 3000 + 7, 9 * 3000 + 1007)
"""Samples that the second channel alone lost."""


@dataclass(frozen=True)
class Made:
    """A night in a file, and what is in it."""

    path: Path
    session: Session
    stages: list[Stage | None]
    live: list[Stage | None]
    marks: Sequence[Mark] = ()
    signal_uv: F32 = field(default_factory=lambda: np.empty((0, 0), np.float32))


def stages_of_a_night(n_epochs: int) -> list[Stage | None]:
    """Return all stages in turn, with the unscored epochs."""
    stages: list[Stage | None] = [STAGES[index % 5] for index in range(n_epochs)]
    for index in (MISSING, FLAT):
        if index < n_epochs:
            stages[index] = None
    return stages


def signal_of_a_night(n_epochs: int, channels: int = 2, gaps: bool = True) -> F32:
    """Return noise, float32 (channels, 3000 * n_epochs), NaN where lost."""
    rng = np.random.default_rng(1)
    uv = (30 * rng.standard_normal((channels, 3000 * n_epochs))).astype(np.float32)
    if gaps:
        for first, stop in LOST:
            uv[:, first:stop] = np.nan
        if channels > 1:
            uv[1, slice(*LOST_OF_ONE)] = np.nan
    return uv


def make_night(
    path: Path,
    start_utc: datetime = datetime(2026, 11, 26, 22, 59, 59, 980000, UTC),
    *,
    live: bool = True,
    start_s: float = 10.01,
    n_epochs: int = N_EPOCHS,
    channels: tuple[str, ...] = CHANNELS,
    stages: Sequence[Stage | None] | None = None,
    gaps: bool = True,
    signal_uv: F32 | None = None,
    marks: Sequence[Mark] | None = None,
    ended: bool = True,
) -> Made:
    """Write a night to ``path``. The default one begins two hundredths of a second before midnight
    in `ZONE`."""
    revised = list(stages) if stages is not None else stages_of_a_night(n_epochs)
    first = [Stage.W if stage is Stage.N1 else stage for stage in revised]
    uv = signal_of_a_night(n_epochs, len(channels), gaps) if signal_uv is None else signal_uv
    session = Session(
        "0123456789abcdef",
        "Muse, <2> ü" if live else "recording.edf",
        channels[0],
        channels,
        start_utc.timestamp() if live else start_s,
        start_utc,
        256.0,
        "known",
        "net-1",
        "Zoë B." if live else "",
    )
    if marks is None:
        marks = (
            Mark(MarkKind.LIGHTS_OFF, start_utc - timedelta(seconds=5)),
            Mark(MarkKind.NOTE, start_utc + timedelta(seconds=61.25), NOTE),
            Mark(MarkKind.NOTE, start_utc + timedelta(seconds=90), "Sleep stage N3"),
            Mark(MarkKind.LIGHTS_ON, start_utc + timedelta(seconds=300)),
        )
    derivations = tuple(Derivation(name, n) for n, name in enumerate(channels))
    night = LiveNight("lsl:x", Montage(channels, derivations), "boot", 0.0, None) if live else None
    with closing(NightStore.open(path, durable=False)) as store:
        store.begin(
            session,
            start_utc,
            session_started(session, 1),
            night,
            weights_sha256=WEIGHTS,
            command=COMMAND,
        )
        with store.together():
            for index in range(n_epochs):
                part = uv[:, 3000 * index : 3000 * (index + 1)]
                store.write(
                    [],
                    [
                        _prediction(index, Track.LIVE, first[index]),
                        _prediction(index, Track.REVISED, revised[index]),
                    ],
                    _epoch(session, index, part, revised[index]),
                )
        store.write([], marks=marks, ended_utc=start_utc if ended else None)
    return Made(path, session, revised, first, marks, uv)


def exported(night: Made, name: str, ending: str, track: Track = Track.REVISED) -> Path:
    """Export the night in the format ``name``; return its file with this ``ending``."""
    folder = night.path.parent / "out"
    export_night(night.path, ExportOptions([name], folder, track, overwrite=True), ZONE)
    return folder / f"{night.path.stem}{ending}"


def reason_of(index: int) -> Reason:
    return Reason.MISSING if index == MISSING else Reason.FLAT


def _prediction(index: int, track: Track, stage: Stage | None) -> StagePrediction:
    revision = int(track is Track.REVISED)
    if stage is None:
        return StagePrediction(
            index, track, revision, True, None, reason_of(index), None, None, "net-1", 0.0
        )
    p = tuple(0.6 if each is stage else 0.1 for each in STAGES)
    return StagePrediction(index, track, revision, True, stage, None, p, 0.6, "net-1", 0.0)


def _epoch(session: Session, index: int, uv: F32, stage: Stage | None) -> Epoch:
    quality = GOOD if stage is not None else replace(GOOD, reason=reason_of(index))
    lost = int(np.isnan(uv).all(axis=0).sum())
    ledger = SampleLedger(3000, 3000 - lost, 0, lost, 3000 - lost)
    return Epoch(
        index,
        session.start_s + EPOCH_S * index,
        session.epoch_start_utc(index),
        uv,
        Derivation(session.channels[index % len(session.channels)], index % len(session.channels)),
        quality,
        (quality,) * len(session.channels),
        (quality.reason,) * len(session.channels),
        ledger,
    )
