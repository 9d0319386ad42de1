"""`Score`: the stages of a recording and what follows from them, for Python programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.contract import EPOCH_S, STAGES, Stage
from monitor.config import monitor_version
from monitor.errors import InputError
from monitor.exports.exported import PROGRAM
from monitor.exports.texts import yasa_columns
from monitor.night.agreement import Agreement
from monitor.night.statistics import SleepStatistics
from monitor.scoring.staged import StagedNight
from monitor.sinks.epochs_csv import UNSCORED, clock_time
from monitor.types import Reason, StagePrediction, Track

if TYPE_CHECKING:
    import mne
    import yasa

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredTrack:
    """A track of the stages of a night; entry i of each field belongs to epoch i.

    - ``stages``: W, N1, N2, N3 or R; None is unscored, and ``reasons`` says why.
    - ``probabilities``: float64 (n, 5) in the order W, N1, N2, N3, R; NaN where unscored.
    - ``agreement`` with the expert; None if there is no expert.
    """

    stages: tuple[Stage | None, ...] = field(repr=False)
    reasons: tuple[Reason | None, ...] = field(repr=False)
    probabilities: F64 = field(repr=False)
    agreement: Agreement | None

    @classmethod
    def of(
        cls, predictions: tuple[StagePrediction, ...], agreement: Agreement | None
    ) -> ScoredTrack:
        """Return the track of ``predictions``, one for each epoch."""
        nothing = (np.nan,) * len(STAGES)
        rows = [each.probabilities or nothing for each in predictions]
        return cls(
            tuple(each.stage for each in predictions),
            tuple(each.reason for each in predictions),
            np.array(rows, np.float64).reshape(-1, len(STAGES)),
            agreement,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """The result of `score`. It equals that of `sleep-monitor replay` with the same options.

    - ``revised``: the stages that count. Each uses the five minutes that follow, too.
    - ``live``: the stages from the past alone, as a live night has them.
    - ``times_s``: float64 (n,), the start of each epoch in seconds since the start of the
      recording. ``first_sample_s``: the time of its first sample, mostly 0.
    - ``start``: the start of epoch 0 on the recorder's clock, which names no time zone; None if
      the recording does not state its time. Its date is 1985-01-01 if that is not stated.
    - ``expert``: the expert's stage of each epoch; None if there is no expert.
    - ``statistics`` of the revised track; see `SleepStatistics`.
    - ``notes``: what the user should know, one sentence each.
    - ``id``: the session, as in the night's file and in events.
    """

    path: Path
    id: str
    channel: str
    start: datetime | None
    first_sample_s: float
    times_s: F64 = field(repr=False)
    revised: ScoredTrack
    live: ScoredTrack
    expert: tuple[Stage | None, ...] | None = field(repr=False)
    statistics: SleepStatistics
    notes: tuple[str, ...]
    gain: str
    model: str
    weights_sha256: str
    version: str

    @classmethod
    def of(cls, night: StagedNight) -> Score:
        """Return the score of a night that was staged."""
        run, record = night.run, night.record
        n_epochs, session = record.n_epochs, run.session
        start = clock_time(session.start_utc, is_live=False)
        return cls(
            path=run.options.recording,
            id=session.id,
            channel=session.derivation,
            start=start if run.recording.start.has_time else None,
            first_sample_s=run.recording.first_sample_s,
            times_s=session.start_s + EPOCH_S * np.arange(n_epochs, dtype=np.float64),
            revised=ScoredTrack.of(record.revised, night.revised),
            live=ScoredTrack.of(record.live, night.live),
            expert=None if run.expert is None else tuple(run.expert_stages(n_epochs)),
            statistics=record.night.statistics,
            notes=tuple(run.notes()),
            gain=session.gain,
            model=session.model,
            weights_sha256=record.stored.weights_sha256,
            version=monitor_version(),
        )

    @property
    def stages(self) -> tuple[Stage | None, ...]:
        """The revised stage of each epoch; None is unscored."""
        return self.revised.stages

    @property
    def probabilities(self) -> F64:
        """The revised probabilities, float64 (n, 5) in the order W, N1, N2, N3, R."""
        return self.revised.probabilities

    @property
    def agreement(self) -> Agreement | None:
        """The agreement of the revised stages with the expert; None if there is no expert."""
        return self.revised.agreement

    def to_mne(self, track: str = Track.REVISED) -> mne.Annotations:
        """Return the stages of ``track`` as MNE annotations, "Sleep stage N2" for each epoch.

        Onsets count from the first sample: `raw.set_annotations` accepts them as they are. But MNE
        reads an EDF+ file with gaps as if it had none: there, the stages after a gap lie too late.
        An unscored epoch is "Sleep stage ?". Raises `InputError` if MNE is not installed.
        """
        try:
            import mne
        except ImportError as exc:
            raise InputError(f"to_mne needs MNE ({exc}): pip install mne") from exc
        stages = self._track(track).stages
        return mne.Annotations(
            onset=self.times_s - self.first_sample_s,
            duration=[EPOCH_S] * len(stages),
            description=[f"Sleep stage {stage or UNSCORED}" for stage in stages],
        )

    def to_yasa(self, track: str = Track.REVISED) -> yasa.Hypnogram:
        """Return the stages of ``track`` as `yasa.Hypnogram`, with probabilities.

        YASA wants probabilities that sum to 1: an unscored epoch, UNS, has 1 in a column of its
        own. Raises `InputError` if YASA is not installed.
        """
        try:
            import pandas
            import yasa
        except ImportError as exc:
            raise InputError(f"to_yasa needs YASA ({exc}): pip install yasa") from exc
        chosen = self._track(track)
        values, columns = yasa_columns(chosen.stages, chosen.probabilities.tolist())
        return yasa.Hypnogram(
            values,
            n_stages=len(STAGES),
            freq=f"{EPOCH_S:g}s",
            start=self.start,
            scorer=PROGRAM,
            proba=pandas.DataFrame(columns),
        )

    def _track(self, track: str) -> ScoredTrack:
        if track not in tuple(Track):
            raise InputError(f"track must be 'revised' or 'live', got {track!r}")
        return self.live if track == Track.LIVE else self.revised
