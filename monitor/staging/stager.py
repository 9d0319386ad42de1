"""Stages epochs in two tracks from cached embeddings: one encoder pass, one sequence pass each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.contract import STAGES
from monitor.clock import Clock
from monitor.conditioning.bridging import bridged
from monitor.staging.backend import Backend
from monitor.types import F32, Epoch, Reason, StagePrediction, Track


@dataclass(slots=True)
class _ContextEpoch:
    """An epoch in the sequence model's reach. ``latest`` is what was last said about it."""

    index: int
    embedding: F32  # (embedding_dim,), zeros if unscored
    reason: Reason | None
    latest: StagePrediction = field(init=False)


class Stager:
    """Gives every epoch its live stage at once, and its revised stages as later epochs come.

    The live track sees the past alone and is never changed. On the revised track an epoch gets a
    new revision when later epochs change its stage, and a final one once ``revision_epochs`` of
    the contract have followed (or the night is over). Unscored epochs keep their place in time.
    """

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        contract = backend.contract
        self._model = f"{contract.name}-{contract.version}"
        self._context: deque[_ContextEpoch] = deque(maxlen=contract.context_epochs)

    @property
    def context_epochs(self) -> int:
        """How many of the newest epochs `resume` needs."""
        return self._backend.contract.context_epochs

    def push(self, epoch: Epoch) -> list[StagePrediction]:
        """Stage the next epoch: its live prediction first, then revisions of earlier epochs."""
        started_s = self._clock.monotonic_s()
        entry = self._enter(epoch)
        live, revised = self._run()
        latency_s = self._clock.monotonic_s() - started_s
        entry.latest = self._prediction(entry, Track.LIVE, 0, True, live, latency_s)
        return [entry.latest, *self._revise(revised, latency_s)]

    def finish(self) -> list[StagePrediction]:
        """The night is over: every epoch still open gets its final revision."""
        if not self._context:
            return []
        started_s = self._clock.monotonic_s()
        _, revised = self._run()
        return self._revise(revised, self._clock.monotonic_s() - started_s, ended=True)

    def resume(self, stored: Sequence[tuple[Epoch, StagePrediction]]) -> None:
        """Take up a night: its newest `context_epochs` epochs, each with what was last said."""
        for epoch, latest in stored:
            self._enter(epoch).latest = latest

    def _enter(self, epoch: Epoch) -> _ContextEpoch:
        if epoch.quality.reason is None:
            embedding = self._backend.encode(bridged(epoch.staged_uv)[None])[0]
        else:
            embedding = np.zeros(self._backend.contract.embedding_dim, np.float32)
        entry = _ContextEpoch(epoch.index, embedding, epoch.quality.reason)
        self._context.append(entry)
        return entry

    def _run(self) -> tuple[F32, F32]:
        """Probabilities of the newest epoch, (5,), and revised ones of those still open, (R, 5)."""
        embeddings = np.stack([entry.embedding for entry in self._context])[None]  # (1, L, E)
        scored = np.array([[entry.reason is None for entry in self._context]])  # (1, L)
        live, revised = self._backend.stage(embeddings, scored)
        return live[0], revised[0]

    def _revise(self, revised: F32, latency_s: float, ended: bool = False) -> list[StagePrediction]:
        newest = self._context[-1].index
        horizon = self._backend.contract.revision_epochs
        revisions = []
        open_epochs = list(self._context)[-len(revised) :]
        for entry, probabilities in zip(open_epochs, revised, strict=True):
            said = entry.latest
            final = ended or newest - entry.index >= horizon
            closed = said.track is Track.REVISED and said.final
            if closed or (entry.index == newest and not ended):
                continue
            better = self._prediction(
                entry, Track.REVISED, said.revision + 1, final, probabilities, latency_s
            )
            if final or better.stage != said.stage:
                entry.latest = better
                revisions.append(better)
        return revisions

    def _prediction(
        self,
        entry: _ContextEpoch,
        track: Track,
        revision: int,
        final: bool,
        probabilities: F32,
        latency_s: float,
    ) -> StagePrediction:
        scored = entry.reason is None
        best = int(probabilities.argmax())
        return StagePrediction(
            epoch_index=entry.index,
            track=track,
            revision=revision,
            final=final,
            stage=STAGES[best] if scored else None,
            reason=entry.reason,
            probabilities=tuple(float(p) for p in probabilities) if scored else None,
            confidence=float(probabilities[best]) if scored else None,
            model=self._model,
            latency_s=latency_s,
        )
