"""A recording and its expert's stages on one epoch grid, conditioned as in a replay.

open_recording -> choose_derivation -> Conditioner -> epochs
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np

from models.contract import STAGES, Gain, Stage
from monitor.conditioning.conditioner import Conditioner
from monitor.errors import InputError
from monitor.sources.derivation import RecordedDerivation, choose_derivation
from monitor.sources.expert import expert_hypnogram
from monitor.sources.formats import open_recording
from monitor.sources.hypnogram import Hypnogram, grid_origin_s, stages_on_grid, whole_epochs
from monitor.sources.recording import Recording
from monitor.types import EegChunk, Epoch, Montage
from offline_training.arrays import F32, I64
from offline_training.data.trim import kept_epochs

CHUNK_S = 30.0
"""Length of the pieces in which a recording is read."""

Change = Callable[[F32, int], F32]
"""A change of samples before they are conditioned.

Takes microvolts (1, n) and the index of their first sample in the recording; returns microvolts
(1, n).
"""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredNight:
    """A recording of n whole epochs with an expert's stages. Its samples stay on disk.

    - Epoch 0 begins ``origin_s`` after the recording's start.
    - ``stage``: int64 (n,), index into `STAGES`; -1 if the expert scored none.
    - ``kept``: the epochs that count: sleep and the requested wake around it.
    """

    name: str
    recording: Recording
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
        """Open the recording in ``path``, scored in ``hypnogram``, or as `expert_hypnogram` finds.

        ``channels`` are tried in this order; if there are none, the monitor's own choice is used.

        Raises InputError if the recording cannot be read, or if it has none of the channels, no
        expert stages, no whole epoch, or no sleep to keep wake around.
        """
        recording = open_recording(path)
        derivation = _derivation(recording, channels)
        recording.chunks(derivation)  # Raises now, not in mid-night, if it cannot be decoded.
        expert = expert_hypnogram(recording, hypnogram)
        if expert is None:
            raise InputError(f"{path} has no hypnogram beside it and no stages in its annotations")
        origin_s = grid_origin_s("auto", expert, recording.first_sample_s)
        n_epochs = whole_epochs(recording.duration_s, origin_s)
        if n_epochs < 1:
            raise InputError(f"{path} has no whole 30-s epoch on the expert's grid")
        stage = stage_indices(stages_on_grid(expert, origin_s, n_epochs))
        try:
            kept = kept_epochs(stage, wake_min)
        except InputError as exc:
            raise InputError(f"{path}: {exc}") from exc
        return cls(name or path.stem, recording, derivation, expert, origin_s, stage, kept)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user about the recording and its stages."""
        return (*self.recording.notes(self.derivation), *self.expert.notes)

    def epochs(self, gain: Gain, change: Change | None = None) -> Iterator[Epoch]:
        """Condition the recording, after ``change`` if there is one, and yield every epoch.

        If the recording ends in a gap there may be fewer than n epochs. Epochs before the first
        kept one are conditioned too: filters and quality depend on earlier samples.
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
        """Read every sample as recorded, (m,) in microvolts; gaps take no place in it."""
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
    """Return each stage's index in `STAGES`, int64 (n,); -1 if unscored."""
    return np.array([-1 if s is None else STAGES.index(s) for s in stages], np.int64)


def _derivation(recording: Recording, names: Sequence[str]) -> RecordedDerivation:
    """Return the first of ``names`` that ``recording`` has; without names the monitor's choice.

    Raises InputError, about the first name, if the recording has none of them.
    """
    for name in names:
        with suppress(InputError):
            return choose_derivation(recording.channels, name)
    return choose_derivation(recording.channels, names[0] if names else None)
