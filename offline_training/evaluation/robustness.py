"""Score changed recordings: with noise at falling ratios, at other gains, and flipped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.contract import STAGES
from monitor.clock import Clock
from monitor.errors import InputError
from monitor.night.agreement import Agreement
from monitor.types import Track
from offline_training.arrays import F32, I64
from offline_training.data.left_out import LeftOut
from offline_training.data.scored import Change, ScoredNight
from offline_training.evaluation.networks import Network
from offline_training.evaluation.nights import stage_epochs, stages_of
from offline_training.evaluation.noise import NoiseKind, amplitude_uv, noise, signal_power_uv2
from offline_training.evaluation.scores import confusion
from offline_training.progress import Report

SNRS_DB = (20.0, 15.0, 10.0, 5.0, 0.0, -5.0)
GAINS = (0.5, 0.7, 1.0, 1.4, 2.0, -1.0)
"""Factors of the samples; -1 flips the recording."""

CLEAN = "clean"
GAIN = "gain"


@dataclass(frozen=True, slots=True)
class Setting:
    """A change of every recording.

    ``kind`` is `CLEAN`, `GAIN` or a `NoiseKind`. ``value`` is the factor or the SNR in dB; it is
    infinite for `CLEAN`.
    """

    kind: str
    value: float


@dataclass(slots=True, eq=False)
class Outcome:
    """Scores pooled over recordings.

    - ``confusion``: int64 (5, 5), rows the expert, of the epochs that both scored.
    - ``n_expert``: number of epochs that the expert scored.
    """

    confusion: I64 = field(default_factory=lambda: np.zeros((len(STAGES), len(STAGES)), np.int64))
    n_expert: int = 0

    @property
    def agreement(self) -> Agreement:
        return Agreement.of(self.confusion, self.n_expert)


Outcomes = dict[tuple[Setting, str, Track], Outcome]
"""Outcomes by setting, the network's label and track."""


def noise_settings() -> list[Setting]:
    """Return the clean recording first, then every kind of noise at every ratio."""
    noisy = [Setting(kind, snr_db) for kind in NoiseKind for snr_db in SNRS_DB]
    return [Setting(CLEAN, np.inf), *noisy]


def gain_settings() -> list[Setting]:
    return [Setting(GAIN, gain) for gain in GAINS]


def stage_under(
    settings: Sequence[Setting],
    nights: Sequence[ScoredNight],
    networks: Sequence[Network],
    seed: int,
    clock: Clock,
    report: Report,
) -> tuple[Outcomes, list[LeftOut]]:
    """Stage every night under every setting with every network.

    The noise of a recording depends only on ``seed``, the kind of noise and the recording's
    content; the ratio changes only its amplitude. A recording that is flat most of the time has no
    signal power to compare noise with; it is left out. Raises InputError if none is left.
    """
    outcomes: Outcomes = defaultdict(Outcome)
    left_out: list[LeftOut] = []
    for n_before, night in enumerate(nights):
        done = n_before * len(settings)
        try:
            for setting, change in _changes(settings, night, seed):
                _stage(outcomes, setting, change, night, networks, clock)
                done += 1
                report(done, len(settings) * len(nights), f"{night.name}, {_describe(setting)}")
        except _NoSignalError as exc:
            left_out.append(LeftOut(night.name, str(exc)))
    if not outcomes:
        raise InputError(left_out[0].reason)
    return dict(outcomes), left_out


class _NoSignalError(Exception):
    """The recording has no signal. Raised before any of its epochs is counted."""


def _stage(
    outcomes: Outcomes,
    setting: Setting,
    change: Change | None,
    night: ScoredNight,
    networks: Sequence[Network],
    clock: Clock,
) -> None:
    epochs = {gain: list(night.epochs(gain, change)) for gain in {n.gain for n in networks}}
    for network in networks:
        staged = stage_epochs(epochs[network.gain], network.backend, clock)
        truth = night.stage[: len(staged.live)][night.kept]
        for track in Track:
            probabilities = staged.track(track)[night.kept]
            _add(outcomes[setting, network.label, track], truth, probabilities)


def _add(outcome: Outcome, truth: I64, probabilities: np.ndarray) -> None:
    stage = stages_of(probabilities)
    compared = (truth >= 0) & (stage >= 0)
    outcome.confusion += confusion(truth[compared], stage[compared])
    outcome.n_expert += int((truth >= 0).sum())


def _changes(
    settings: Sequence[Setting], night: ScoredNight, seed: int
) -> Iterator[tuple[Setting, Change | None]]:
    """Yield each setting and its change of the samples.

    Noise is made once for each kind, so settings of one kind should follow one another.
    """
    samples_uv, power_uv2, kind = np.empty(0, np.float32), 0.0, None
    if any(setting.kind not in (CLEAN, GAIN) for setting in settings):
        samples_uv = night.samples_uv()
        power_uv2 = signal_power_uv2(samples_uv, night.derivation.sfreq_hz)
        if power_uv2 <= 0:
            raise _NoSignalError(
                f"{night.recording.path} is flat most of the time: there is no signal "
                "that noise could be compared with"
            )
    unit_noise = np.empty(0, np.float32)
    for setting in settings:
        if setting.kind == CLEAN:
            yield setting, None
        elif setting.kind == GAIN:
            yield setting, _scaled(setting.value)
        else:
            if setting.kind != kind:
                kind = setting.kind
                random = np.random.default_rng(
                    [seed, list(NoiseKind).index(NoiseKind(kind)), _seed_of(night)]
                )
                unit_noise = noise(
                    NoiseKind(kind), samples_uv.size, night.derivation.sfreq_hz, random
                )
            yield setting, _noisy(unit_noise, amplitude_uv(power_uv2, setting.value))


def _seed_of(night: ScoredNight) -> int:
    """Return a number that depends on the recording's content, not on its name or place."""
    return int(night.recording.fingerprint[:8], 16)


def _scaled(gain: float) -> Change:
    return lambda data_uv, first: data_uv * np.float32(gain)


def _noisy(unit_noise: F32, amplitude: float) -> Change:
    return lambda data_uv, first: (
        data_uv + np.float32(amplitude) * unit_noise[first : first + data_uv.shape[1]]
    )


def _describe(setting: Setting) -> str:
    if setting.kind == CLEAN:
        return CLEAN
    if setting.kind == GAIN:
        return f"gain {setting.value:g}"
    return f"{setting.kind} at {setting.value:g} dB"
