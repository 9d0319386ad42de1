"""A recording and its expert's stages on one epoch grid, conditioned as in a replay.

EdfRecording -> choose_derivation -> Conditioner -> epochs
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np

from models.contract import EPOCH_S, STAGES, Gain, Stage
from monitor.conditioning.conditioner import Conditioner
from monitor.errors import InputError
from monitor.sources.derivation import RecordedDerivation, choose_derivation
from monitor.sources.edf import EdfRecording
from monitor.sources.hypnogram import Hypnogram, grid_origin_s, stages_on_grid
from monitor.types import EegChunk, Epoch, Montage
from offline_training.arrays import F32, I64
from offline_training.data.expert import expert_stages
from offline_training.data.trim import kept

CHUNK_S = 30.0

Change = Callable[[F32, int], F32]
"""What is done to samples before they are conditioned: microvolts (1, n) and the index of their
first one in the recording -> microvolts (1, n)."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredNight:
    """A recording of n whole epochs with an expert's stages; nothing of it is held.

    - Epoch 0 begins ``origin_s`` after the recording's start.
    - ``stage``: int64 (n,), index into `STAGES`; -1 where the expert scored none.
    - ``kept``: the epochs that count, sleep and the wake around it that was asked for.
    """

    name: str
    recording: EdfRecording
    derivation: RecordedDerivation
    expert: Hypnogram
    origin_s: float
    stage: I64
    kept: slice

    @classmethod
    def open(
        cls,
        path: Path,
        hypnogram: Path | None = None,
        channels: Sequence[str] = (),
        wake_min: float | None = None,
        name: str | None = None,
    ) -> ScoredNight:
        """The recording in ``path``, scored in ``hypnogram`` or in its own annotations.

        ``channels`` are tried in this order; without any the monitor's own choice is taken.
        Raises InputError: not readable, no such channel, no expert stages, no whole epoch, no
        sleep to keep wake around.
        """
        recording = EdfRecording.open(path)
        derivation = _derivation(recording, channels)
        recording.chunks(derivation)  # raises if it cannot be decoded
        expert = expert_stages(recording, hypnogram)
        origin_s = grid_origin_s("auto", expert, recording.first_sample_s)
        n_epochs = math.floor((recording.duration_s - origin_s) / EPOCH_S + 1e-6)
        if n_epochs < 1:
            raise InputError(f"{path} has no whole 30-s epoch on the expert's grid")
        stage = stage_indices(stages_on_grid(expert, origin_s, n_epochs))
        try:
            counted = kept(stage, wake_min)
        except InputError as exc:
            raise InputError(f"{path}: {exc}") from exc
        return cls(name or path.stem, recording, derivation, expert, origin_s, stage, counted)

    def epochs(self, gain: Gain, change: Change | None = None) -> Iterator[Epoch]:
        """Every conditioned epoch; ``change`` is made to the samples first.

        They may be fewer than n where the recording ends in a gap. The first are needed even where
        they do not count: filters and judgement depend on what was before.
        """
        conditioner = Conditioner(
            Montage.of_one(self.derivation.name),
            self.derivation.sfreq_hz,
            self.origin_s,
            self.recording.start_utc + timedelta(seconds=self.origin_s),
            gain,
        )
        return islice(_conditioned(conditioner, self._chunks(change)), self.stage.size)

    def samples_uv(self) -> F32:
        """Every sample as recorded, (m,), gaps closed up."""
        return np.concatenate([chunk.data_uv[0] for chunk in self._chunks(None)])

    def _chunks(self, change: Change | None) -> Iterator[EegChunk]:
        first = 0
        for chunk in self.recording.chunks(self.derivation, CHUNK_S):
            yield chunk if change is None else replace(chunk, data_uv=change(chunk.data_uv, first))
            first += chunk.times_s.size


def _conditioned(conditioner: Conditioner, chunks: Iterator[EegChunk]) -> Iterator[Epoch]:
    for chunk in chunks:
        yield from conditioner.push(chunk)
    yield from conditioner.finish()


def stage_indices(stages: Sequence[Stage | None]) -> I64:
    """Index into `STAGES`, int64 (n,); -1 where unscored."""
    return np.array([-1 if s is None else STAGES.index(s) for s in stages], np.int64)


def _derivation(recording: EdfRecording, names: Sequence[str]) -> RecordedDerivation:
    """The first of ``names`` that ``recording`` has, without names the monitor's own choice."""
    for name in names:
        with suppress(InputError):
            return choose_derivation(recording.channels, name)
    return choose_derivation(recording.channels, names[0] if names else None)
