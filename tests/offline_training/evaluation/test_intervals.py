"""Bootstrap: the units drawn, and the coverage of the intervals."""

from __future__ import annotations

import numpy as np

from offline_training.evaluation.intervals import Interval, describe_method, resampled_sums


def test_whole_recordings_are_drawn() -> None:
    groups = np.repeat(["a", "b", "c"], [5, 7, 11])
    per_group = {"a": 1.0, "b": 100.0, "c": 10_000.0}
    values = np.array([[per_group[g]] for g in groups])
    sums = resampled_sums(values, groups, n=200)
    # Three draws of 5 * 1, 7 * 100 or 11 * 10000: only whole recordings give such sums.
    counts = [(s % 100 / 5, s % 10_000 // 100 / 7, s // 10_000 / 11) for s in sums[:, 0]]
    assert all(sum(drawn) == 3 and all(c == int(c) for c in drawn) for drawn in counts)
    assert "3 recordings" in describe_method(groups)


def test_one_recording_is_drawn_in_blocks_of_ten() -> None:
    values = np.eye(35)
    sums = resampled_sums(values, np.zeros(35), n=50)
    assert (sums.sum(axis=1) == 40).all()  # Four whole blocks.
    assert "blocks of 10" in describe_method(np.zeros(35))
    first = np.flatnonzero(sums[0])
    assert (np.diff(np.split(first, np.flatnonzero(np.diff(first) > 1) + 1)[0]) == 1).all()


def test_the_same_seed_gives_the_same_draws() -> None:
    values, groups = np.arange(60.0)[:, None], np.repeat(np.arange(6), 10)
    assert (resampled_sums(values, groups, seed=3) == resampled_sums(values, groups, seed=3)).all()
    assert (resampled_sums(values, groups, seed=3) != resampled_sums(values, groups, seed=4)).any()


def test_too_few_resamples_give_no_interval() -> None:
    assert Interval.of(resampled_sums(np.ones((10, 1)), np.zeros(10))[:, 0]) is None
    assert Interval.of([np.nan, np.nan, 1.0]) is None


def test_intervals_cover_the_truth_about_as_often_as_stated() -> None:
    """The accuracy of 40 recordings differs: an interval over epochs would be far too short."""
    random = np.random.default_rng(0)
    hits, trials = 0, 200
    groups = np.repeat(np.arange(40), 20)
    for trial in range(trials):
        accuracy = random.beta(8, 2, 40)  # mean 0.8
        correct = random.random(800) < accuracy[groups]
        found = Interval.of(resampled_sums(correct[:, None], groups, trial, n=300)[:, 0] / 800)
        assert found is not None
        hits += found.low <= 0.8 <= found.high
    assert 0.88 <= hits / trials <= 0.99


def test_blocks_give_wider_intervals_than_epochs_if_errors_come_in_bouts() -> None:
    correct = np.repeat(np.random.default_rng(1).random(60) < 0.8, 10)[:, None]
    blocks = Interval.of(resampled_sums(correct, np.zeros(600))[:, 0] / 600)
    epochs = Interval.of(resampled_sums(correct, np.arange(600))[:, 0] / 600)
    assert blocks and epochs and blocks.high - blocks.low > 2 * (epochs.high - epochs.low)
