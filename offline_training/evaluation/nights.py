"""A recording streamed as the monitor streams it: the same parts in the same order, nothing stored.

EdfRecording -> choose_derivation -> Conditioner -> Stager(TorchBackend) -> both tracks
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.contract import EPOCH_S, STAGES, Gain, Stage
from monitor.clock import Clock
from monitor.conditioning.conditioner import Conditioner
from monitor.errors import InputError
from monitor.sources.derivation import Derivation, choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.sources.hypnogram import Hypnogram, grid_origin_s, stages_on_grid
from monitor.staging.backend import Backend
from monitor.staging.stager import Stager
from monitor.types import Epoch, Reason, StagePrediction, Track
from offline_training.data.expert import expert_stages

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

CHUNK_S = 30.0

Change = Callable[[F32, int], F32]
"""What is done to samples before they are conditioned: microvolts (1, n) and the index of their
first one in the recording -> microvolts (1, n)."""


@dataclass(frozen=True, slots=True)
class Night:
    """A recording with an expert's stages, and the epoch grid they are compared on."""

    name: str
    recording: EdfRecording
    derivation: Derivation
    expert: Hypnogram
    origin_s: float

    @classmethod
    def open(cls, path: Path, hypnogram: Path | None, channel: str | None, name: str) -> Night:
        """Raises `InputError`: not readable, no such channel, no expert stages, no whole epoch."""
        recording = EdfRecording.open(path)
        derivation = choose_derivation(recording.channels, channel)
        recording.chunks(derivation)  # raises if it cannot be decoded
        expert = expert_stages(recording, hypnogram)
        origin_s = grid_origin_s("auto", expert, recording.first_sample_s)
        if recording.duration_s - origin_s < EPOCH_S:
            raise InputError(f"{path} has no whole 30-s epoch on the expert's grid")
        return cls(name, recording, derivation, expert, origin_s)

    def truth(self, n_epochs: int) -> I64:
        """The expert's stages, (n_epochs,), as `stage_indices`."""
        return stage_indices(stages_on_grid(self.expert, self.origin_s, n_epochs))

    def samples_uv(self) -> F32:
        """Every sample as recorded, (n,), gaps closed up."""
        chunks = self.recording.chunks(self.derivation, CHUNK_S)
        return np.concatenate([chunk.data_uv[0] for chunk in chunks])

    def epochs(self, gain: Gain, change: Change | None = None) -> list[Epoch]:
        """The conditioned epochs; ``change`` is made to the samples first."""
        conditioner = Conditioner(
            1,
            self.derivation.sfreq_hz,
            self.origin_s,
            self.recording.start_utc + timedelta(seconds=self.origin_s),
            gain,
        )
        epochs, first = [], 0
        for chunk in self.recording.chunks(self.derivation, CHUNK_S):
            if change is not None:
                chunk = replace(chunk, data_uv=change(chunk.data_uv, first))
            epochs += conditioner.push(chunk)
            first += chunk.times_s.size
        return epochs + conditioner.finish()


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """What left the stager. ``live`` and ``revised``: probabilities float64 (n, 5) of both tracks,
    rows of NaN where unscored; ``reasons`` (n) why. The revised ones are final."""

    live: F64
    revised: F64
    reasons: list[Reason | None]

    def track(self, track: Track) -> F64:
        return self.live if track is Track.LIVE else self.revised


def stage_epochs(epochs: Sequence[Epoch], backend: Backend, clock: Clock) -> Staged:
    """Stage a whole night, one epoch after the other, as a live night comes."""
    stager = Stager(backend, clock)
    predictions = [each for epoch in epochs for each in stager.push(epoch)] + stager.finish()
    staged = Staged(
        live=np.full((len(epochs), len(STAGES)), np.nan),
        revised=np.full((len(epochs), len(STAGES)), np.nan),
        reasons=[epoch.quality.reason for epoch in epochs],
    )
    for prediction in predictions:
        if prediction.final:
            staged.track(prediction.track)[prediction.epoch_index] = _row(prediction)
    return staged


def stages_of(probabilities: F64) -> I64:
    """The most probable stage of each row, (n,), as `stage_indices`."""
    unscored = np.isnan(probabilities).any(axis=1)
    return np.where(unscored, -1, np.nan_to_num(probabilities).argmax(axis=1))


def stage_indices(stages: Sequence[Stage | None]) -> I64:
    """Index into `STAGES`, int64 (n,); -1 where unscored."""
    return np.array([-1 if s is None else STAGES.index(s) for s in stages], np.int64)


def _row(prediction: StagePrediction) -> tuple[float, ...] | float:
    return np.nan if prediction.probabilities is None else prediction.probabilities
