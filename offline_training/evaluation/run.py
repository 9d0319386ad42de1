"""Streams recordings through networks and scores them: by recording and pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.clock import Clock
from monitor.types import Track
from offline_training.evaluation.networks import Network
from offline_training.evaluation.nights import I64, Night, Staged, stage_epochs
from offline_training.evaluation.track import TrackScores
from offline_training.progress import Report


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall time an epoch took, in ms: reading and conditioning it, and staging it."""

    condition_ms: float
    stage_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class NightResult:
    """A recording and what each network, by its label, said of its epochs. ``truth`` is (n,)."""

    night: Night
    truth: I64
    staged: dict[str, Staged]


Tracks = dict[Track, TrackScores]


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """Everything by the network's label.

    - ``pooled``: all recordings' scores, intervals over recordings where there are several.
    - ``by_night``: each recording's scores by its name, intervals over blocks of epochs.
    """

    nights: list[NightResult]
    timings: dict[str, Timing]
    pooled: dict[str, Tracks]
    by_night: dict[str, dict[str, Tracks]]


def evaluate_nights(
    nights: Sequence[Night], networks: Sequence[Network], seed: int, clock: Clock, report: Report
) -> Results:
    """Condition each night once for each gain that a network wants, and stage it with each."""
    results: list[NightResult] = []
    seconds = {network.label: np.zeros(2) for network in networks}
    for done, night in enumerate(nights, 1):
        epochs, condition_s = {}, {}
        for gain in {network.gain for network in networks}:
            began_s = clock.monotonic_s()
            epochs[gain] = night.epochs(gain)
            condition_s[gain] = clock.monotonic_s() - began_s
        staged = {}
        for network in networks:
            began_s = clock.monotonic_s()
            staged[network.label] = stage_epochs(epochs[network.gain], network.backend, clock)
            stage_s = clock.monotonic_s() - began_s
            seconds[network.label] += condition_s[network.gain], stage_s
        n_epochs = len(epochs[networks[0].gain])
        results.append(NightResult(night, night.truth(n_epochs), staged))
        report(done, len(nights), night.name)
    total = sum(result.truth.size for result in results)
    timings = {label: Timing(*(1000.0 * spent / total)) for label, spent in seconds.items()}
    return Results(
        results,
        timings,
        pooled={label: _scores(results, label, seed) for label in timings},
        by_night={
            label: {one.night.name: _scores([one], label, seed) for one in results}
            for label in timings
        },
    )


def _scores(results: Sequence[NightResult], label: str, seed: int) -> Tracks:
    truth = np.concatenate([result.truth for result in results])
    groups = np.repeat(np.arange(len(results)), [result.truth.size for result in results])
    return {
        track: TrackScores.of(
            truth,
            np.concatenate([result.staged[label].track(track) for result in results]),
            groups,
            seed,
        )
        for track in Track
    }
