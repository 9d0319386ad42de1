"""Package numbers as boards send them, with known losses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.sources.brainflow.package_counter import PackageCounter
from monitor.types import F64

LEARN = 17 * 12
"""Samples without loss after which the pattern of every counter here is known."""


@dataclass(frozen=True)
class Board:
    rate_hz: float
    each: int
    step: int
    wrap: int


MUSE = Board(256.0, 12, 1, 65536)
CYTON = Board(250.0, 1, 1, 256)
DAISY = Board(125.0, 1, 2, 256)
BOARDS = [MUSE, CYTON, DAISY]


def numbers(board: Board, packages: np.ndarray) -> F64:
    return np.repeat(packages * board.step % board.wrap, board.each).astype(float)


def samples(board: Board, packages: np.ndarray) -> np.ndarray:
    """Return the true index of every sample of these packages."""
    return (packages[:, None] * board.each + np.arange(board.each)).ravel()


@given(
    board=st.sampled_from(BOARDS),
    first=st.integers(0, 70_000),
    loss=st.floats(0.0, 0.3),
    burst=st.integers(0, 2000),
    seed=st.integers(0, 1000),
    jitter_s=st.floats(0.0, 0.1),
)
def test_finds_every_loss(
    board: Board, first: int, loss: float, burst: int, seed: int, jitter_s: float
) -> None:
    """Single packages and one long burst are lost, which may exceed the counter's cycle."""
    rng = np.random.default_rng(seed)
    calm = LEARN // board.each + 1
    kept = np.arange(first, first + calm + 600)
    kept = kept[(rng.random(kept.size) >= loss) | (kept < first + calm)]
    kept[kept >= first + calm + 300] += burst
    truth = samples(board, kept)
    stamps = truth / board.rate_hz + rng.uniform(0.0, jitter_s, truth.size)
    counter = PackageCounter(board.rate_hz)
    cuts = np.sort(rng.integers(0, truth.size, 40))
    index = np.concatenate(
        [
            counter.unwrap(n, t)
            for n, t in zip(
                np.split(numbers(board, kept), cuts), np.split(stamps, cuts), strict=True
            )
        ]
    )
    np.testing.assert_array_equal(index - index[0], truth - truth[0])


def test_a_ganglion_has_a_short_package_in_every_cycle() -> None:
    """Package 0 holds one sample, 1 to 100 hold two."""
    cycle = np.concatenate([[0], np.repeat(np.arange(1, 101), 2)]).astype(float)
    sent = np.tile(cycle, 5)
    times = np.arange(sent.size) / 200.0
    index = PackageCounter(200.0).unwrap(sent, times)
    np.testing.assert_array_equal(index, np.arange(sent.size))
    kept = np.ones(sent.size, bool)
    kept[501:507] = False
    index = PackageCounter(200.0).unwrap(sent[kept], times[kept])
    np.testing.assert_array_equal(index, np.flatnonzero(kept))


@pytest.mark.parametrize("stall_s", [0.4, 3.0])
def test_a_stall_after_which_all_samples_come_at_once_loses_none(stall_s: float) -> None:
    truth = np.arange(2000)
    stamps = truth / 250.0
    stalled = (stamps > 4.0) & (stamps < 4.0 + stall_s)
    stamps[stalled] = 4.0 + stall_s
    index = PackageCounter(250.0).unwrap(truth % 256.0, stamps)
    np.testing.assert_array_equal(index, truth)


@pytest.mark.parametrize("sent", [np.zeros(1000), np.full(1000, np.nan), np.arange(1000.0)[::-1]])
def test_numbers_that_make_no_sense_count_no_loss(sent: F64) -> None:
    index = PackageCounter(256.0).unwrap(sent, np.arange(1000) / 256.0)
    np.testing.assert_array_equal(index, np.arange(1000))


@given(st.lists(st.integers(0, 300) | st.just(-1), max_size=600))
def test_never_counts_more_losses_than_time_allows(sent: list[int]) -> None:
    values = np.array(sent, float)
    index = PackageCounter(256.0).unwrap(values, np.arange(values.size) / 256.0)
    assert (np.diff(index) >= 1).all()
    assert (np.diff(index) <= 1 + 0.5 * 256).all()


def test_the_index_continues_when_the_counter_begins_anew() -> None:
    counter = PackageCounter(256.0)
    values, times = np.repeat(np.arange(900, 1000.0), 12), np.arange(1200) / 256.0
    before = counter.unwrap(values, times)
    counter.restart()
    after = counter.unwrap(np.repeat(np.arange(30.0), 12), 100.0 + np.arange(360) / 256.0)
    np.testing.assert_array_equal(np.concatenate([before, after]), np.arange(1560))
