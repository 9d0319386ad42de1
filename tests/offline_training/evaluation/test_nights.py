"""Evaluation measures the monitor's own predictions: both tracks, bit for bit."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from models.contract import Gain
from monitor.clock import ManualClock
from monitor.config import ReplayOptions
from monitor.errors import InputError
from monitor.night.store import NightStore
from monitor.replay import Replay
from monitor.types import Track
from offline_training.data.scored import ScoredNight
from offline_training.evaluation.nights import stage_epochs, stages_of
from tests.edf_files import Signal, write_edf
from tests.offline_training.evaluation.nights import write_night


@pytest.mark.parametrize("gain", Gain)
def test_same_probabilities_as_the_monitor(tmp_path: Path, gain: Gain) -> None:
    path = write_night(tmp_path / "night.edf", ["W", *["N2"] * 12, "?", "R"], flat=(4,))
    run = Replay.prepare(ReplayOptions(path, gain=gain, store=tmp_path / "night.sqlite"))
    clock = ManualClock()
    with closing(NightStore.open(run.store_path)) as store:
        pipeline = run.pipeline(store, clock)
        for chunk in run.recording.chunks(run.derivation, 1.0):
            pipeline.push(chunk)
        pipeline.finish(clock.utc())
        state = run.state(pipeline, run.end_utc, ended=True)
    night = ScoredNight.open(path)
    staged = stage_epochs(list(night.epochs(gain)), run.backend, clock)
    for track, predictions in ((Track.LIVE, state.live), (Track.REVISED, state.revised)):
        rows = [each.probabilities or [math.nan] * 5 for each in predictions]
        np.testing.assert_array_equal(staged.track(track), np.array(rows))
    assert np.isnan(staged.live[4]).all() and staged.reasons[4] == "flat"
    assert night.stage.tolist() == [0, *[2] * 12, -1, 4]


def test_most_probable_stage() -> None:
    probabilities = np.array([[0.1, 0.6, 0.1, 0.1, 0.1], [np.nan] * 5])
    assert stages_of(probabilities).tolist() == [1, -1]


def test_recordings_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    whole = write_night(tmp_path / "night.edf", ["W"])
    with pytest.raises(InputError, match="there is no channel 'EEG Cz'"):
        ScoredNight.open(whole, channels=["EEG Cz"])
    signal = Signal("EEG Fpz-Cz", np.arange(2900), 100.0)
    short = write_edf(tmp_path / "short.edf", [signal], annotations=[(0.0, 30.0, "Sleep stage W")])
    with pytest.raises(InputError, match="no whole 30-s epoch"):
        ScoredNight.open(short)
    silent = write_edf(tmp_path / "silent.edf", [signal])
    with pytest.raises(InputError, match=r"silent\.edf"):
        ScoredNight.open(silent)
