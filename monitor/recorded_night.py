"""A recorded night that is ready to be staged: the part that `replay` and `score` share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from models.contract import EPOCH_S, Stage
from monitor.clock import Clock
from monitor.composition import NO_DELIVERY, build_pipeline, load_backend, nights_folder
from monitor.config import ReplayOptions, default_replays_folder
from monitor.errors import InputError
from monitor.night.identity import replay_id
from monitor.night.memory import AnyStore
from monitor.night.state import NightState
from monitor.pipeline import BATCH_EPOCHS, Pipeline, begin
from monitor.sources.channel_names import name_key
from monitor.sources.derivation import RecordedDerivation, choose_derivation
from monitor.sources.expert import expert_hypnogram
from monitor.sources.formats import OpenRecording, open_recording
from monitor.sources.hypnogram import (
    Hypnogram,
    grid_origin_s,
    stages_on_grid,
    whole_epochs,
)
from monitor.sources.marks import recorded_marks
from monitor.sources.pacing import replay
from monitor.sources.recording import Recording
from monitor.staging.chain import BackendChain
from monitor.text import printed
from monitor.types import Delivery, EegChunk, Montage, Session

HANDOVER_S = 0.05
"""A paced replay hands over samples this often, about as often as a headband does."""

LONGEST_CHUNK_S = EPOCH_S * BATCH_EPOCHS
"""A fast replay hands over as many samples at once as the pipeline stages together."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording whose options are checked. Nothing is written or started for it yet."""

    options: ReplayOptions
    recording: Recording
    derivation: RecordedDerivation
    expert: Hypnogram | None
    backend: BackendChain
    session: Session
    n_epochs: int

    @classmethod
    def prepare(
        cls,
        options: ReplayOptions,
        open_recording: OpenRecording = open_recording,
        backend: BackendChain | None = None,
    ) -> Replay:
        """Open the recording and load the network, unless a ``backend`` is loaded already.

        Raises `InputError` for every mistake.
        """
        recording = open_recording(options.recording)
        derivation = choose_derivation(recording.channels, options.channel)
        recording.chunks(derivation)  # raises InputError if it cannot be decoded
        expert = expert_hypnogram(recording, options.hypnogram) if options.expert else None
        origin_s = grid_origin_s(options.grid, expert, recording.first_sample_s)
        n_epochs = whole_epochs(recording.duration_s, origin_s)
        if n_epochs < 1:
            raise InputError(
                f"{options.recording} has no whole epoch: it ends {recording.duration_s:.1f} s "
                f"after its start, and the first 30-s epoch begins at {origin_s:g} s"
            )
        backend = backend or load_backend(options)
        contract = backend.contract
        session = Session(
            id=replay_id(recording.fingerprint, derivation.name, origin_s, contract.weights_sha256),
            source=printed(options.recording.name),
            derivation=derivation.name,
            channels=(derivation.name,),
            start_s=origin_s,
            start_utc=recording.start_utc + timedelta(seconds=origin_s),
            sfreq_hz=derivation.sfreq_hz,
            gain=options.gain.value,
            model=contract.full_name,
        )
        return cls(options, recording, derivation, expert, backend, session, n_epochs)

    @property
    def end_utc(self) -> datetime:
        """The end of the last epoch, on the recording's clock."""
        return self.session.epoch_start_utc(self.n_epochs)

    def notes(self) -> list[str]:
        """Return what the user should know before the night is staged, a sentence each."""
        notes = [*self.recording.notes(self.derivation), self.derivation.why, self.backend.note]
        notes += self._expert_notes()
        trained = self.backend.contract.channel
        if self.options.channel and name_key(self.derivation.name) != name_key(trained):
            notes.append(f"The network learned from {trained}: expect less of other channels.")
        return notes

    def _expert_notes(self) -> list[str]:
        if self.expert is None:
            return []
        notes = list(self.expert.notes)
        if self.options.hypnogram is None and self.expert.path != self.recording.path:
            notes.append(
                f"The expert's stages are those of {self.expert.path.name}, beside the recording "
                "(choose others with --hypnogram)."
            )
        return notes

    @property
    def inputs(self) -> list[Path]:
        """The files that the replay reads; nothing may be written in their place."""
        found = [] if self.expert is None else [self.expert.path]
        return [*self.options.inputs, *found]

    @property
    def store_path(self) -> Path:
        """The file of a night that is kept: the user's choice, or one in the folder of replays."""
        if self.options.store is not None:
            return self.options.store
        name = f"{Path(self.session.source).stem}-{self.session.id[:8]}.sqlite"
        return nights_folder(default_replays_folder()) / name

    def chunks(self, clock: Clock, from_s: float) -> Iterator[EegChunk]:
        """Yield the samples at the chosen speed; those before ``from_s`` without waiting."""
        return replay(self._pieces(from_s), self.options.speed, clock, from_s)

    def _pieces(self, from_s: float) -> Iterator[EegChunk]:
        """Yield whole epochs up to ``from_s``, then chunks whose length suits the speed."""
        read, start_s = self.recording.chunks, self.recording.first_sample_s
        for chunk in read(self.derivation, EPOCH_S):
            if chunk.times_s[-1] >= from_s:
                break
            yield chunk
            # Half a period after the last sample: no rounding repeats it or skips the next one.
            start_s = float(chunk.times_s[-1]) + 0.5 / chunk.sfreq_hz
        speed = self.options.speed
        handover_s = math.inf if speed is None else HANDOVER_S * speed
        yield from read(self.derivation, min(handover_s, LONGEST_CHUNK_S), start_s)

    def pipeline(
        self,
        store: AnyStore,
        clock: Clock,
        notify: Callable[[], None] = lambda: None,
    ) -> Pipeline:
        """Begin the session in ``store``, unless it has begun, and build its pipeline.

        ``notify`` is called whenever the store holds new events.
        """
        session = self.session
        begin(
            store,
            session,
            clock.utc(),
            weights_sha256=self.backend.contract.weights_sha256,
            command=self.options.command,
        )
        return build_pipeline(
            session,
            Montage.of_one(session.derivation),
            store,
            self.backend,
            clock,
            notify,
            marks=recorded_marks(self.recording.annotations, self.recording.start_utc),
        )

    def state(
        self,
        pipeline: Pipeline,
        clock_utc: datetime,
        delivery: Delivery = NO_DELIVERY,
        *,
        ended: bool = False,
    ) -> NightState:
        """Return the night as it is now; ``clock_utc`` is on the recording's clock."""
        return pipeline.night.state(
            clock_utc=clock_utc,
            signal=pipeline.signal,
            recent_uv=pipeline.recent_uv,
            channels=(),
            last_sample_utc=pipeline.last_sample_utc,
            unstored=0,
            delivery=delivery,
            n_epochs_total=self.n_epochs,
            is_live=False,
            speed=self.options.speed,
            ended=ended,
        )

    def expert_stages(self, n_epochs: int) -> list[Stage | None]:
        """Return the expert's stage of each of the first ``n_epochs`` epochs; None is unscored."""
        assert self.expert is not None
        return stages_on_grid(self.expert, self.session.start_s, n_epochs)
