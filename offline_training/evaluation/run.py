"""Recordings streamed through networks and scored: each by itself and pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.clock import Clock
from monitor.errors import InputError
from monitor.types import Track
from offline_training.arrays import I64
from offline_training.data.left_out import LeftOut
from offline_training.data.scored import ScoredNight
from offline_training.evaluation.networks import Network
from offline_training.evaluation.nights import Staged, stage_epochs
from offline_training.evaluation.track import TrackScores
from offline_training.progress import Report


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall time an epoch took, in ms: reading and conditioning it, and staging it."""

    condition_ms: float
    stage_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class NightResult:
    """The m epochs of a recording that count, and what each network, by its label, said of them.

    ``truth`` is (m,). Its first epoch is the recording's ``night.kept.start``.
    """

    night: ScoredNight
    truth: I64
    staged: dict[str, Staged]

    def counted(self, stages: I64) -> I64:
        """Of something said of each epoch of the recording, what was said of those, (m,)."""
        return stages[self.night.kept][: self.truth.size]


@dataclass(frozen=True, slots=True, eq=False)
class Staging:
    """Recordings staged, and those that could not be; ``timings`` by the network's label."""

    nights: list[NightResult]
    timings: dict[str, Timing]
    left_out: list[LeftOut]


def stage_nights(
    nights: Sequence[ScoredNight], networks: Sequence[Network], clock: Clock, report: Report
) -> Staging:
    """Condition each night once for each gain that a network wants, and stage it with each."""
    results: list[NightResult] = []
    left_out: list[LeftOut] = []
    seconds = {network.label: np.zeros(2) for network in networks}
    n_epochs = 0
    for done, night in enumerate(nights, 1):
        try:
            result, spent_s = _stage(night, networks, clock)
        except Exception as exc:  # one odd file must not cost the others
            left_out.append(LeftOut.because_of(exc, night.name, night.recording.path))
            report(done, len(nights), f"{night.name} is left out")
            continue
        results.append(result)
        n_epochs += night.stage.size
        for label in seconds:
            seconds[label] += spent_s[label]
        report(done, len(nights), night.name)
    timings = {
        label: Timing(*(1000.0 * spent_s / max(1, n_epochs))) for label, spent_s in seconds.items()
    }
    return Staging(results, timings, left_out)


def _stage(
    night: ScoredNight, networks: Sequence[Network], clock: Clock
) -> tuple[NightResult, dict[str, tuple[float, float]]]:
    """And the seconds that conditioning and staging took, by the network's label."""
    epochs, condition_s = {}, {}
    for gain in {network.gain for network in networks}:
        began_s = clock.monotonic_s()
        epochs[gain] = list(night.epochs(gain))
        condition_s[gain] = clock.monotonic_s() - began_s
    truth = night.stage[: len(epochs[networks[0].gain])][night.kept]
    if not truth.size:
        raise InputError(f"{night.recording.path} ends before the first epoch that counts")
    staged, spent_s = {}, {}
    for network in networks:
        began_s = clock.monotonic_s()
        whole = stage_epochs(epochs[network.gain], network.backend, clock)
        staged[network.label] = whole.part(night.kept)
        spent_s[network.label] = condition_s[network.gain], clock.monotonic_s() - began_s
    return NightResult(night, truth, staged), spent_s


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

    @classmethod
    def of(cls, staging: Staging, seed: int) -> Results:
        """Scores of one recording or more."""
        nights, timings = staging.nights, staging.timings
        return cls(
            nights,
            timings,
            pooled={label: _scores(nights, label, seed) for label in timings},
            by_night={
                label: {one.night.name: _scores([one], label, seed) for one in nights}
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
