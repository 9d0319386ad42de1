"""Stream recordings through networks and score them, each alone and all pooled."""

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
    """Mean wall time of an epoch, in ms: for reading and conditioning it, and for staging it."""

    condition_ms: float
    stage_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class NightResult:
    """The m epochs of a recording that count, as the expert and each network scored them.

    - ``truth``: the expert's stages, int64 (m,), -1 if unscored. Its first epoch is epoch
      ``night.kept.start`` of the recording.
    - ``staged``: the predictions for the same epochs, by the network's label.
    """

    night: ScoredNight
    truth: I64
    staged: dict[str, Staged]

    def counted(self, stages: I64) -> I64:
        """Cut ``stages`` of all the recording's epochs, (n,), to the epochs that count, (m,)."""
        return stages[self.night.kept][: self.truth.size]


@dataclass(frozen=True, slots=True, eq=False)
class Staging:
    """The staged recordings and those left out; ``timings`` by the network's label."""

    nights: list[NightResult]
    timings: dict[str, Timing]
    left_out: list[LeftOut]


def stage_nights(
    nights: Sequence[ScoredNight], networks: Sequence[Network], clock: Clock, report: Report
) -> Staging:
    """Stage every night with every network.

    A night is conditioned once for each gain that a network needs. A night that fails is left out.
    """
    results: list[NightResult] = []
    left_out: list[LeftOut] = []
    seconds = {network.label: np.zeros(2) for network in networks}
    n_epochs = 0
    for done, night in enumerate(nights, 1):
        try:
            result, spent_s = _stage(night, networks, clock)
        except Exception as exc:  # One odd file must not end the run.
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
    """Stage one night; return also the seconds of conditioning and staging, by network label."""
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
    """The scores of a run; ``timings``, ``pooled`` and ``by_night`` are by the network's label.

    - ``pooled``: scores over all recordings; intervals are over recordings if there are several.
    - ``by_night``: scores of each recording, by its name; intervals are over blocks of epochs.
    """

    nights: list[NightResult]
    timings: dict[str, Timing]
    pooled: dict[str, Tracks]
    by_night: dict[str, dict[str, Tracks]]

    @classmethod
    def of(cls, staging: Staging, seed: int) -> Results:
        """Score ``staging``, which holds at least one recording; ``seed`` is of the bootstrap."""
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
