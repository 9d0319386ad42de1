"""Stages epochs in two tracks from cached embeddings: one encoder pass, one sequence pass each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

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
        self._model = contract.full_name
        self._context: deque[_ContextEpoch] = deque(maxlen=contract.context_epochs)

    @property
    def backend(self) -> Backend:
        return self._backend

    @property
    def context_epochs(self) -> int:
        """How many of the newest epochs `resume` needs."""
        return self._backend.contract.context_epochs

    def push(self, epochs: Sequence[Epoch]) -> list[list[StagePrediction]]:
        """Stage the next epochs: of each its live prediction first, then revisions of earlier ones.

        All at once or one by one, the answer is the same: on a CPU bit for bit.
        """
        started_s = self._clock.monotonic_s()
        windows = []
        for entry in self._entries(epochs):
            self._context.append(entry)
            windows.append(list(self._context))
        answers = self._run(windows)
        latency_s = (self._clock.monotonic_s() - started_s) / max(1, len(epochs))
        steps = []
        for window, (live, revised) in zip(windows, answers, strict=True):
            newest = window[-1]
            newest.latest = self._prediction(newest, Track.LIVE, 0, True, live, latency_s)
            steps.append([newest.latest, *self._revise(window, revised, latency_s)])
        return steps

    def finish(self) -> list[StagePrediction]:
        """The night is over: every epoch still open gets its final revision."""
        if not self._context:
            return []
        started_s = self._clock.monotonic_s()
        window = list(self._context)
        ((_, revised),) = self._run([window])
        latency_s = self._clock.monotonic_s() - started_s
        return self._revise(window, revised, latency_s, ended=True)

    def resume(self, stored: Sequence[tuple[Epoch, StagePrediction]]) -> None:
        """Take up a night: its newest `context_epochs` epochs, each with what was last said."""
        entries = self._entries([epoch for epoch, _ in stored])
        for entry, (_, latest) in zip(entries, stored, strict=True):
            entry.latest = latest
            self._context.append(entry)

    def _entries(self, epochs: Sequence[Epoch]) -> list[_ContextEpoch]:
        """Epochs with their embeddings; unscored ones have none."""
        scored = [epoch for epoch in epochs if epoch.quality.reason is None]
        embeddings: Iterator[F32] = iter(())
        if scored:
            epochs_uv = np.stack([bridged(epoch.staged_uv) for epoch in scored])  # (n, 3000)
            embeddings = iter(self._backend.encode(epochs_uv))
        nothing = np.zeros(self._backend.contract.embedding_dim, np.float32)
        return [
            _ContextEpoch(
                epoch.index,
                next(embeddings) if epoch.quality.reason is None else nothing,
                epoch.quality.reason,
            )
            for epoch in epochs
        ]

    def _run(self, windows: Sequence[Sequence[_ContextEpoch]]) -> list[tuple[F32, F32]]:
        """Of each window of context, newest epoch last: probabilities of the newest, (5,), and
        revised ones of those still open, (R, 5)."""
        answers: list[tuple[F32, F32]] = []
        # At the start of a night each window is longer than the one before.
        for _, alike in groupby(windows, len):
            group = list(alike)
            embeddings = np.array([[entry.embedding for entry in window] for window in group])
            scored = np.array([[entry.reason is None for entry in window] for window in group])
            answers += zip(*self._backend.stage(embeddings, scored), strict=True)  # (n, L, E)
        return answers

    def _revise(
        self,
        window: Sequence[_ContextEpoch],
        revised: F32,
        latency_s: float,
        ended: bool = False,
    ) -> list[StagePrediction]:
        newest = window[-1].index
        horizon = self._backend.contract.revision_epochs
        revisions = []
        for entry, probabilities in zip(window[-len(revised) :], revised, strict=True):
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
