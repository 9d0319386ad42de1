"""Stages a night epoch by epoch, on two tracks, from cached embeddings.

Each epoch costs one pass of the encoder and one pass of the sequence model.
"""

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
    """An epoch that the sequence model still reads, with its latest prediction."""

    index: int
    embedding: F32  # (embedding_dim,), zeros if unscored
    reason: Reason | None
    latest: StagePrediction = field(init=False)


class Stager:
    """Predicts every epoch's live stage at once, and its revised stages as later epochs arrive.

    - The live track reads the past alone. A live prediction never changes.
    - On the revised track, an epoch gets a new revision when later epochs change its stage. Its
      last revision is final: after the contract's ``revision_epochs`` later epochs, or when the
      night ends.
    - An unscored epoch keeps its place in time, and its content is ignored.
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
        """Number of newest epochs that `resume` needs."""
        return self._backend.contract.context_epochs

    def push(self, epochs: Sequence[Epoch]) -> list[list[StagePrediction]]:
        """Stage the next epochs.

        One call for several epochs returns the same as one call for each: on a CPU bit for bit.

        Returns
        -------
        For each epoch its live prediction, then the new revisions of earlier epochs.
        """
        started_s = self._clock.monotonic_s()
        windows = []
        for entry in self._entries(epochs):
            self._context.append(entry)
            windows.append(list(self._context))
        results = self._run(windows)
        latency_s = (self._clock.monotonic_s() - started_s) / max(1, len(epochs))
        steps = []
        for window, (live, revised) in zip(windows, results, strict=True):
            newest = window[-1]
            newest.latest = self._prediction(newest, Track.LIVE, 0, True, live, latency_s)
            steps.append([newest.latest, *self._revise(window, revised, latency_s)])
        return steps

    def finish(self) -> list[StagePrediction]:
        """End the night: return the final revision of every epoch that has none yet."""
        if not self._context:
            return []
        started_s = self._clock.monotonic_s()
        window = list(self._context)
        ((_, revised),) = self._run([window])
        latency_s = self._clock.monotonic_s() - started_s
        return self._revise(window, revised, latency_s, ended=True)

    def resume(self, stored: Sequence[tuple[Epoch, StagePrediction]]) -> None:
        """Continue a stored night.

        ``stored`` are its newest `context_epochs` epochs, each with its latest prediction.
        """
        entries = self._entries([epoch for epoch, _ in stored])
        for entry, (_, latest) in zip(entries, stored, strict=True):
            entry.latest = latest
            self._context.append(entry)

    def _entries(self, epochs: Sequence[Epoch]) -> list[_ContextEpoch]:
        """Encode ``epochs``. The embedding of an unscored epoch is zeros."""
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
        """Stage windows of context, each with its newest epoch last.

        Returns for each window the live probabilities of its newest epoch, (5,), and the revised
        ones of its R epochs that are not final, (R, 5).
        """
        results: list[tuple[F32, F32]] = []
        # A batch has windows of one length; at the start of a night each is longer than the last.
        for _, same_length in groupby(windows, len):
            group = list(same_length)
            embeddings = np.array(
                [[entry.embedding for entry in window] for window in group]
            )  # (n, L, E)
            scored = np.array([[entry.reason is None for entry in window] for window in group])
            results += zip(*self._backend.stage(embeddings, scored), strict=True)
        return results

    def _revise(
        self,
        window: Sequence[_ContextEpoch],
        revised: F32,
        latency_s: float,
        ended: bool = False,
    ) -> list[StagePrediction]:
        """Return new revisions of the window's last epochs: those that are final or changed.

        ``ended`` makes all of them final, the newest epoch included.
        """
        newest = window[-1].index
        horizon = self._backend.contract.revision_epochs
        revisions = []
        for entry, probabilities in zip(window[-len(revised) :], revised, strict=True):
            previous = entry.latest
            final = ended or newest - entry.index >= horizon
            closed = previous.track is Track.REVISED and previous.final
            # The newest epoch has just got its live prediction from the same epochs.
            if closed or (entry.index == newest and not ended):
                continue
            newer = self._prediction(
                entry, Track.REVISED, previous.revision + 1, final, probabilities, latency_s
            )
            if final or newer.stage != previous.stage:
                entry.latest = newer
                revisions.append(newer)
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
