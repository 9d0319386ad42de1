"""LSL streams that run at another rate than they declare: their time stamps decide."""

from __future__ import annotations

import itertools
import os
import time
from contextlib import closing

import numpy as np
import pytest

from monitor.clock import SystemClock, Timeline
from monitor.config import LslConfig
from monitor.sources.lsl import LslSource
from monitor.sources.rate import RateWatch, comparable_stamps, settled_rate_hz
from monitor.sources.sample_clock import SampleClock
from monitor.types import EegChunk
from tests.lsl_peer import peer

numbers = itertools.count()


@pytest.fixture
def name() -> str:
    return f"Rate-{os.getpid()}-{next(numbers)}"


@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0, 4.5, 10.0])
def test_a_stream_at_another_rate_is_used_at_its_true_rate(name: str, factor: float) -> None:
    true_hz = 256.0 * factor
    timeline = Timeline(SystemClock())
    sender = peer(name=name, nominal=256, rate=true_hz, ago=7, labels="A,B")
    with sender, closing(LslSource(LslConfig(source_id=name), timeline)) as source:
        chunks: list[EegChunk] = []
        until_s = time.monotonic() + 20.0
        while sum(chunk.times_s.size for chunk in chunks) < 7 * true_hz:
            assert time.monotonic() < until_s, source.status
            chunks += source.poll()
            time.sleep(0.01)
        assert source.device is not None
        assert source.device.sfreq_hz == pytest.approx(true_hz, rel=0.02)
        (note,) = source.device.notes
        assert "states 256 Hz but its samples come at" in note
        times_s = np.concatenate([chunk.times_s for chunk in chunks])
        assert times_s[-1] < timeline.now_s() + 0.1
        np.testing.assert_allclose(np.diff(times_s)[-500:], 1 / true_hz, rtol=1e-2)


def test_many_samples_in_little_time_settle_no_rate() -> None:
    stamps_s = np.arange(3500) / 2560.0
    assert settled_rate_hz(stamps_s, 256.0) is None
    assert settled_rate_hz(np.arange(20_000) / 2560.0, 256.0) == 2560.0


def test_deliveries_that_overlap_are_measured_by_their_newest_stamps() -> None:
    """A sender declares 256 Hz, and sends 2560 samples each second without stamps of its own."""
    chunks = [second - np.arange(2560)[::-1] / 256.0 for second in range(14)]
    assert settled_rate_hz(np.concatenate(chunks[:2]), 256.0) == 256.0
    assert settled_rate_hz(comparable_stamps(chunks), 256.0) == pytest.approx(2560.0, rel=0.1)


@pytest.mark.parametrize(("true_hz", "slow"), [(128.0, True), (25.6, True), (250.0, False)])
def test_a_rate_that_falls_in_mid_night_is_noticed(true_hz: float, slow: bool) -> None:
    watch = RateWatch(256.0)
    parts = np.array_split(np.arange(int(20 * true_hz)) / true_hz, 200)
    assert any(watch.is_slow(part) for part in parts) == slow


def test_lost_packets_are_no_lower_rate() -> None:
    rng = np.random.default_rng(0)
    packets = [np.arange(12 * n, 12 * n + 12) / 256.0 for n in range(3000) if rng.random() > 0.4]
    watch = RateWatch(256.0)
    assert not any(watch.is_slow(packet) for packet in packets)


def test_a_rate_that_rises_in_mid_night_shows_within_seconds() -> None:
    clock = SampleClock(256.0)
    clock.smooth(np.arange(2560) / 256.0)
    assert clock.ahead_s < 0.1
    clock.smooth(10.0 + np.arange(2560) / 2560.0)
    assert clock.ahead_s > 3.0
