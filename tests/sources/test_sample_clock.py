"""Times of live samples: smooth if stamps jitter, exact if they do not, with all gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.sources.sample_clock import SampleClock
from monitor.types import F64

RATE_HZ = 256.0
START_S = 1_767_304_800.0


def even(duration_s: float, rate_hz: float = RATE_HZ) -> F64:
    return START_S + np.arange(int(duration_s * rate_hz)) / rate_hz


def steps(times_s: F64) -> F64:
    """Return the step from each sample to the next, in nominal periods."""
    return np.asarray(np.diff(times_s) * RATE_HZ)


def by_packet(stamps_s: F64, size: int = 12) -> F64:
    """Return stamps in which the samples of a packet share the time of its last sample."""
    last = np.minimum(np.arange(stamps_s.size) // size * size + size, stamps_s.size) - 1
    return stamps_s[last]


def test_exact_stamps_stay_exact() -> None:
    stamps_s = even(60)
    np.testing.assert_allclose(SampleClock(RATE_HZ).smooth(stamps_s), stamps_s, atol=1e-6)


@pytest.mark.parametrize("true_hz", [253.5, 255.0, 255.95, 258.5])
def test_the_true_rate_is_found_within_seconds_and_without_a_jump(true_hz: float) -> None:
    stamps_s = even(20, true_hz)
    clock = SampleClock(RATE_HZ)
    times_s = clock.smooth(stamps_s)
    assert clock.rate_hz == pytest.approx(true_hz, rel=1e-5)
    assert steps(times_s).min() > 0.85 and steps(times_s).max() < 1.15
    np.testing.assert_allclose(times_s[2560:], stamps_s[2560:], atol=2e-5)


@pytest.mark.parametrize("true_hz", [255.0, 256.05])
@pytest.mark.parametrize("shared", [False, True])
def test_jitter_is_smoothed(true_hz: float, shared: bool) -> None:
    truth_s = even(120, true_hz)
    stamps_s = by_packet(truth_s) if shared else truth_s
    jitter_s = np.random.default_rng(1).normal(0, 0.01, truth_s.size)
    clock = SampleClock(RATE_HZ)
    times_s = clock.smooth(stamps_s + (by_packet(jitter_s) if shared else jitter_s))
    error_s = (times_s - truth_s)[-60 * 255 :]
    assert error_s.std() < (1e-3 if shared else 3e-4)
    assert abs(error_s.mean() - (stamps_s - truth_s).mean()) < 1e-3
    assert steps(times_s).min() > 0.85 and steps(times_s).max() < 1.15


def test_stamps_in_whole_milliseconds_are_smoothed() -> None:
    truth_s = even(60, 256.02)
    times_s = SampleClock(RATE_HZ).smooth(np.floor(truth_s * 1000) / 1000)
    assert (times_s - truth_s)[2560:].std() < 3e-5


def test_drift_is_followed_all_night() -> None:
    """A crystal 200 ppm off that warms up by 20 ppm within an hour."""
    seconds = np.arange(3600)
    offset_s = np.cumsum(200e-6 + 20e-6 * seconds / 3600)
    truth_s = even(3600) + np.interp(np.arange(3600 * 256) / RATE_HZ, seconds, offset_s)
    jitter_s = np.random.default_rng(2).normal(0, 0.01, truth_s.size)
    times_s = SampleClock(RATE_HZ).smooth(truth_s + jitter_s)
    assert np.abs(times_s - truth_s)[-1800 * 256 :].max() < 1.5e-3


def test_clean_stamps_show_lost_repeated_and_late_samples() -> None:
    truth_s = even(20)
    order = [*range(3000), *range(3001, 3500), 3490, *range(3501, 4000), 3500, *range(4011, 5000)]
    times_s = SampleClock(RATE_HZ).smooth(truth_s[order])
    np.testing.assert_allclose(times_s, truth_s[order], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    lost=st.lists(st.integers(2000, 5000), max_size=20),
    repeated=st.lists(st.integers(2000, 5000), max_size=20),
)
def test_every_lost_or_repeated_sample_keeps_its_place(
    lost: list[int], repeated: list[int]
) -> None:
    truth_s = even(20)
    order = [n for n in range(5120) for _ in range(1 + (n in repeated)) if n not in lost]
    times_s = SampleClock(RATE_HZ).smooth(truth_s[order])
    np.testing.assert_allclose(times_s, truth_s[order], atol=1e-6)


@pytest.mark.parametrize("lost", [36, 200])
def test_a_gap_among_jittery_stamps_keeps_its_size(lost: int) -> None:
    truth_s = np.delete(even(60), np.arange(8000, 8000 + lost))
    jitter_s = np.random.default_rng(3).normal(0, 0.005, truth_s.size)
    times_s = SampleClock(RATE_HZ).smooth(truth_s + jitter_s)
    gaps = np.flatnonzero(steps(times_s) > 1.5)
    assert gaps.size == 1
    assert 8000 <= gaps[0] < 8000 + 80
    assert round(steps(times_s)[gaps[0]]) - 1 == pytest.approx(lost, abs=1)
    assert np.abs(times_s - truth_s)[8100:].max() < 5e-3


def test_a_delayed_packet_is_no_gap() -> None:
    """Bluetooth stalls for 0.4 s, then delivers all samples at once, stamped on arrival."""
    stamps_s = by_packet(even(30))
    stalled = (stamps_s > START_S + 20.0) & (stamps_s < START_S + 20.4)
    stamps_s[stalled] = START_S + 20.4
    times_s = SampleClock(RATE_HZ).smooth(stamps_s)
    assert steps(times_s).max() < 1.2 and steps(times_s).min() > 0.8


@pytest.mark.parametrize("jitter_s", [0.0, 0.01])
@pytest.mark.parametrize("away_s", [3.3, 3600.0])
def test_after_an_outage_times_are_right_at_once(away_s: float, jitter_s: float) -> None:
    truth_s = even(60, 255.0)
    truth_s[30 * 255 :] += away_s
    jitter = np.random.default_rng(4).normal(0, 1, truth_s.size) * jitter_s
    clock = SampleClock(RATE_HZ)
    times_s = clock.smooth(truth_s + jitter)
    assert np.flatnonzero(steps(times_s) > 1.5).tolist() == [30 * 255 - 1]
    assert np.abs(times_s - truth_s)[31 * 255 :].max() < 3e-3
    assert clock.rate_hz == pytest.approx(255.0, rel=1e-4)


def test_after_a_restart_a_clock_that_was_set_back_costs_no_sample() -> None:
    clock = SampleClock(RATE_HZ)
    before_s = clock.smooth(even(10))
    clock.restart()
    after_s = clock.smooth(even(10) + 9.9)
    assert after_s[0] > before_s[-1]
    assert steps(after_s).min() > 0.85
    assert after_s[-1] == pytest.approx(START_S + 9.9 + 10 - 1 / RATE_HZ, abs=1e-6)


def test_stamps_that_step_back_a_little_cost_no_sample() -> None:
    jitter_s = np.random.default_rng(5).normal(0, 0.005, 60 * 256)
    stamps_s = even(60) + jitter_s
    stamps_s[30 * 256 :] -= 0.3
    times_s = SampleClock(RATE_HZ).smooth(stamps_s)
    assert steps(times_s).min() > 0.85 and steps(times_s).max() < 1.15
    assert np.abs(times_s - (even(60) - 0.3))[-10 * 256 :].max() < 2e-3


def test_with_sample_numbers_the_stamps_may_be_the_times_of_polls() -> None:
    """All samples since the last poll, 50 ms ago, share one stamp, as with BrainFlow."""
    index = np.delete(np.arange(60 * 256), np.r_[5000, 9000:9100])
    truth_s = START_S + index / 255.5
    stamps_s = np.ceil((truth_s + 0.02) / 0.05) * 0.05
    clock = SampleClock(RATE_HZ)
    times_s = clock.smooth(stamps_s, index)
    assert clock.rate_hz == pytest.approx(255.5, rel=2e-4)
    assert (times_s - truth_s)[2560:].std() < 2e-3
    at = np.flatnonzero(steps(times_s) > 1.5)
    assert at.tolist() == [4999, 8998]
    np.testing.assert_allclose(steps(times_s)[at], [2, 101], atol=0.5)


def test_with_sample_numbers_repeated_and_late_samples_get_their_places() -> None:
    index = np.array([*range(1000), 998, 999, *range(1002, 2000), 1001])
    times_s = SampleClock(RATE_HZ).smooth(START_S + index / RATE_HZ, index)
    np.testing.assert_allclose(times_s, START_S + index / RATE_HZ, atol=1e-6)


def test_samples_without_a_finite_stamp_lie_on_the_line() -> None:
    stamps_s = even(10)
    stamps_s[[0, 1, 700, 701]] = np.nan
    stamps_s[1500] = np.inf
    np.testing.assert_allclose(SampleClock(RATE_HZ).smooth(stamps_s), even(10), atol=1e-6)
    assert np.isfinite(SampleClock(RATE_HZ).smooth(np.full(5, np.nan))).all()


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_how_samples_are_cut_changes_nothing_and_times_are_finite(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    stamps_s = even(4) + rng.normal(0, data.draw(st.sampled_from([0.0, 0.01, 2.0])), 1024)
    stamps_s[rng.random(1024) < 0.01] = np.nan
    whole_s = SampleClock(RATE_HZ).smooth(stamps_s)
    assert np.isfinite(whole_s).all()
    cuts = data.draw(st.lists(st.integers(4, 1024), max_size=6).map(sorted))
    clock = SampleClock(RATE_HZ)
    parts = [clock.smooth(part) for part in np.split(stamps_s, cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole_s)
