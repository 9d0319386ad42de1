"""Times that the monitor gives to live samples, after the injector's faults."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.sources.rate import settled_rate_hz
from monitor.sources.sample_clock import SampleClock
from monitor.types import F64
from tests.live.faults import I64, UNIT, Block, Injector, parse

RATE_HZ = 256.0
SETTLED_S = 60.0


def arrived(faults: str, minutes: float = 10.0) -> tuple[F64, I64]:
    """Return the times given to the samples that arrive, and their numbers."""
    index = np.arange(int(60 * minutes * RATE_HZ) // UNIT * UNIT)
    silence = np.zeros((1, index.size), np.float32)
    injector = Injector(parse(faults), ("AF7",), RATE_HZ, 1)
    block = injector.apply(Block(silence, index / RATE_HZ, index))
    return SampleClock(RATE_HZ).smooth(block.stamps_s), block.index


def missing(times_s: F64) -> int:
    """Return the number of samples that the gaps in ``times_s`` leave room for."""
    steps = np.rint(np.diff(times_s) * RATE_HZ)
    return int((steps[steps > 1] - 1).sum())


@pytest.mark.parametrize(
    "faults",
    ["loss=0.05", "duplicate=0.05", "reorder=0.05", "loss=0.05;duplicate=0.05;reorder=0.02"],
)
def test_exact_stamps_place_every_sample_even_if_the_night_begins_with_faults(faults: str) -> None:
    times_s, index = arrived(faults)
    error_s = (times_s - index / RATE_HZ)[index > SETTLED_S * RATE_HZ]
    assert np.abs(error_s).max() < 2e-4


@pytest.mark.parametrize("jitter_ms", [1, 5])
def test_lost_packets_among_jittery_stamps_are_counted(jitter_ms: int) -> None:
    """The clock needs a quarter of a second to be sure of a loss; until then the times lag."""
    times_s, index = arrived(f"loss=0.05;jitter={1e-3 * jitter_ms}")
    n_lost = index[-1] + 1 - index.size
    assert missing(times_s) == pytest.approx(n_lost, rel=0.02)
    error_s = (times_s - index / RATE_HZ)[index > SETTLED_S * RATE_HZ]
    assert abs(error_s.mean()) < 0.025


def test_single_lost_packets_are_found_among_stamps_as_noisy_as_bluetooths() -> None:
    times_s, index = arrived("loss=0.002;jitter=0.01")
    n_lost = index[-1] + 1 - index.size
    assert missing(times_s) == pytest.approx(n_lost, rel=0.05)


def test_delayed_packets_are_not_a_clock_step() -> None:
    """Packets are stamped on arrival. Every few seconds one is late, and those after it with it."""
    truth_s = np.arange(600 * 256) / 255.6
    stamps_s = np.repeat(truth_s[11::12], 12)
    rng = np.random.default_rng(1)
    for start_s in np.arange(20.0, 590.0, 3.7):
        until_s = start_s + rng.uniform(0.05, 0.5)
        stamps_s[(stamps_s > start_s) & (stamps_s < until_s)] = until_s
    times_s = SampleClock(RATE_HZ).smooth(stamps_s)
    assert missing(times_s) == 0
    assert (times_s - truth_s)[60 * 256 :].std() < 1e-3


@pytest.mark.parametrize("faults", ["loss=0.05", "duplicate=0.05", "loss=0.05;reorder=0.02"])
@pytest.mark.parametrize("seed", range(5))
def test_loss_does_not_change_the_measured_rate(faults: str, seed: int) -> None:
    index = np.arange(12 * 256 // UNIT * UNIT)
    silence = np.zeros((1, index.size), np.float32)
    injector = Injector(parse(faults), ("AF7",), RATE_HZ, seed)
    stamps_s = injector.apply(Block(silence, index / RATE_HZ, index)).stamps_s
    rates_hz = [settled_rate_hz(stamps_s[:n], RATE_HZ) for n in range(12, stamps_s.size, 12)]
    assert set(rates_hz) <= {None, RATE_HZ}
