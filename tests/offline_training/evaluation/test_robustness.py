"""Noise and gain change the samples before conditioning, reproducibly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.card import default_weights
from models.contract import Gain
from monitor.clock import SystemClock
from monitor.errors import InputError
from monitor.types import Track
from offline_training.data.scored import ScoredNight
from offline_training.evaluation.networks import Network
from offline_training.evaluation.noise import NoiseKind
from offline_training.evaluation.robustness import CLEAN, GAIN, Outcomes, Setting, stage_under
from tests.offline_training.evaluation.nights import write_night

CLEAN_SETTING = Setting(CLEAN, np.inf)
QUIET, LOUD = Setting(NoiseKind.WHITE, 60.0), Setting(NoiseKind.WHITE, -20.0)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> ScoredNight:
    path = write_night(tmp_path_factory.mktemp("night") / "night.edf", ["N2", "N2", "?", "R"])
    return ScoredNight.open(path)


def staged(night: ScoredNight, gain: Gain, *settings: Setting, seed: int = 0) -> Outcomes:
    network = Network.open(default_weights(gain), "net")
    steps: list[int] = []

    def report(step: int, n_steps: int, line: str) -> None:
        steps.append(step)

    found, left_out = stage_under(settings, [night], [network], seed, SystemClock(), report)
    assert steps == list(range(1, len(settings) + 1)) and not left_out
    return found


def test_samples_are_changed_before_conditioning(night: ScoredNight) -> None:
    plain = list(night.epochs(Gain.KNOWN))
    at = []

    def change(data_uv: np.ndarray, first: int) -> np.ndarray:
        at.append((first, data_uv.shape[1]))
        return data_uv * np.float32(2)

    doubled = list(night.epochs(Gain.KNOWN, change))
    assert at == [(0, 3000), (3000, 3000), (6000, 3000), (9000, 3000)]
    for one, two in zip(plain, doubled, strict=True):
        np.testing.assert_allclose(two.data_uv, 2 * one.data_uv, rtol=1e-4, atol=1e-3)


def test_every_setting_is_scored_and_unscored_epochs_are_counted(night: ScoredNight) -> None:
    found = staged(night, Gain.KNOWN, CLEAN_SETTING, Setting(GAIN, 1e-4))
    clean = found[CLEAN_SETTING, "net", Track.LIVE].agreement
    # The expert left one of four epochs unscored.
    assert (clean.n_expert, clean.n_scored) == (3, 3)
    flat = found[Setting(GAIN, 1e-4), "net", Track.LIVE].agreement
    assert (flat.n_expert, flat.n_scored) == (3, 0)  # The gain makes every epoch flat.


def test_weights_for_unknown_gain_stage_every_gain_and_sign_alike(night: ScoredNight) -> None:
    settings = [Setting(GAIN, gain) for gain in (1.0, 2.0, -1.0)]
    found = staged(night, Gain.UNKNOWN, *settings)
    confusions = [found[each, "net", Track.REVISED].confusion.tolist() for each in settings]
    assert confusions[0] == confusions[1] == confusions[2]


def test_noise_is_reproducible_and_changes_stages_only_if_loud(night: ScoredNight) -> None:
    def confusion(seed: int, setting: Setting) -> list[list[int]]:
        found = staged(night, Gain.KNOWN, setting, seed=seed)
        return found[setting, "net", Track.LIVE].confusion.tolist()

    clean = staged(night, Gain.KNOWN, CLEAN_SETTING)[CLEAN_SETTING, "net", Track.LIVE]
    assert confusion(0, QUIET) == clean.confusion.tolist()
    assert confusion(0, LOUD) == confusion(0, LOUD) != clean.confusion.tolist()


def test_a_recording_without_signal_is_left_out(tmp_path: Path, night: ScoredNight) -> None:
    flat = ScoredNight.open(
        write_night(tmp_path / "flat.edf", ["W", "W", "W"], flat=(0, 1, 2)), name="flat"
    )
    with pytest.raises(InputError, match="flat most of the time"):
        staged(flat, Gain.KNOWN, LOUD)
    networks, settings = [Network.open(default_weights(Gain.KNOWN), "net")], [CLEAN_SETTING, LOUD]
    found, left_out = stage_under(
        settings, [flat, night], networks, 0, SystemClock(), lambda step, steps, line: None
    )
    assert [each.name for each in left_out] == ["flat"]
    assert {outcome.n_expert for outcome in found.values()} == {3}  # Those of the other night.
