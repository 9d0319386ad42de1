"""The injector makes each fault as documented, the same however the night is cut, and counts it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live.faults import PACKET, RAIL_UV, UNIT, Block, Injector, parse

CHANNELS = ("TP9", "AF7")
RATE_HZ = 256.0
N = 1000 * UNIT

EVERYTHING = (
    "loss=0.05;gap=3@20;duplicate=0.03;reorder=0.1;drift=200;jitter=0.01;step=2.5@40;"
    "nan=0.5@50/5;flat=AF7@60/10;railed=TP9@60/10;hum50=80@10/5;hum60=TP9:80@15/5"
)


def night(first: int = 0, stop: int = N) -> Block:
    """Return samples ``first`` to ``stop``. The first channel holds the number of each sample."""
    index = np.arange(first, stop)
    data = np.stack([index, np.sin(index)]).astype(np.float32)
    return Block(data, index / RATE_HZ, index)


def injected(faults: str, seed: int = 1) -> tuple[Block, Injector]:
    injector = Injector(parse(faults), CHANNELS, RATE_HZ, seed)
    return injector.apply(night()), injector


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, N // UNIT - 1), max_size=6))
def test_the_same_faults_however_the_night_is_cut(cuts: list[int]) -> None:
    whole, counted = injected(EVERYTHING)
    injector = Injector(parse(EVERYTHING), CHANNELS, RATE_HZ, 1)
    edges = [0, *sorted({cut * UNIT for cut in cuts}), N]
    parts = [injector.apply(night(a, b)) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate([p.index for p in parts]), whole.index)
    np.testing.assert_array_equal(np.concatenate([p.stamps_s for p in parts]), whole.stamps_s)
    np.testing.assert_array_equal(np.concatenate([p.data_uv for p in parts], axis=1), whole.data_uv)
    assert injector.effects == counted.effects


def test_another_seed_gives_other_faults() -> None:
    assert not np.array_equal(injected("loss=0.05")[0].index, injected("loss=0.05", 2)[0].index)


def test_the_text_of_a_fault_is_read_back() -> None:
    assert ";".join(fault.text for fault in parse(EVERYTHING)) == EVERYTHING


@pytest.mark.parametrize(
    ("text", "message"),
    [("los=0.1", "no such fault"), ("gap=a@2", "write gap=VALUE"), ("loss=0.1@x", "in seconds")],
)
def test_a_fault_that_does_not_exist_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_an_unknown_channel_is_named() -> None:
    with pytest.raises(ValueError, match="no channel AF8"):
        Injector(parse("flat=AF8@0"), CHANNELS, RATE_HZ)


def test_loss_drops_whole_packets() -> None:
    block, injector = injected("loss=0.05")
    lost = np.setdiff1d(np.arange(N), block.index)
    assert 0.03 < lost.size / N < 0.07
    assert np.all(np.bincount(lost // PACKET) % PACKET == 0)
    assert injector.effects["loss=0.05"].samples == lost.size
    assert injector.effects["loss=0.05"].first == lost[0]
    assert injector.effects["loss=0.05"].last == lost[-1]


def test_a_gap_lies_where_the_text_puts_it() -> None:
    block, injector = injected("gap=3@20")
    lost = np.setdiff1d(np.arange(N), block.index)
    assert (lost[0], lost[-1]) == (20 * 256, 23 * 256 - 1)
    assert injector.effects["gap=3@20"].samples == 3 * 256


def test_a_duplicate_follows_its_packet_at_once() -> None:
    block, injector = injected("duplicate=0.05")
    packets = block.index[::PACKET] // PACKET
    twice = np.flatnonzero(np.diff(packets) == 0)
    assert twice.size * PACKET == injector.effects["duplicate=0.05"].samples == block.index.size - N
    assert twice.size > 0
    assert set(np.diff(packets)) == {0, 1}


def test_a_packet_is_overtaken_by_the_next_and_nothing_is_lost() -> None:
    block, injector = injected("reorder=0.1")
    packets = block.index[::PACKET] // PACKET
    late = np.flatnonzero(np.diff(packets) < 0) + 1
    assert np.all(packets[late] == packets[late - 1] - 1)
    assert late.size * PACKET == injector.effects["reorder=0.1"].samples > 0
    np.testing.assert_array_equal(np.sort(block.index), np.arange(N))
    np.testing.assert_array_equal(block.data_uv[0], block.index)  # each sample kept its data


def test_a_fast_device_is_stamped_with_the_true_time() -> None:
    block, injector = injected("drift=200")
    assert block.stamps_s[-1] == pytest.approx((N - 1) / (RATE_HZ * 1.0002))
    assert injector.ppm == 200.0


def test_jitter_moves_stamps_and_no_samples() -> None:
    block, _ = injected("jitter=0.01")
    off_s = block.stamps_s - night().stamps_s
    assert off_s.std() == pytest.approx(0.010, rel=0.02)
    assert abs(off_s.mean()) < 0.0003
    np.testing.assert_array_equal(block.data_uv, night().data_uv)


def test_a_clock_step_moves_the_stamps_from_there_on() -> None:
    off_s = injected("step=-2.5@40")[0].stamps_s - night().stamps_s
    assert set(off_s[: 40 * 256]) == {0.0}
    np.testing.assert_allclose(off_s[40 * 256 :], -2.5)


def test_nan_flat_and_railed_touch_only_their_stretch_and_channel() -> None:
    block, injector = injected("nan=0.5@50/5;flat=AF7@60/10;railed=TP9@70/10")
    lost = np.isnan(block.data_uv)
    assert np.array_equal(lost[0], lost[1])
    assert 0.4 < lost[0, 50 * 256 : 55 * 256].mean() < 0.6
    assert lost.sum() == 2 * injector.effects["nan=0.5@50/5"].samples
    assert np.all(block.data_uv[1, 60 * 256 : 70 * 256] == 0.0)
    assert np.all(block.data_uv[0, 70 * 256 : 80 * 256] == RAIL_UV)
    assert np.all(block.data_uv[0, : 50 * 256] == np.arange(50 * 256))


@pytest.mark.parametrize("hz", [50, 60])
def test_hum_has_its_frequency_and_size(hz: int) -> None:
    block, _ = injected(f"hum{hz}=80@0/80")
    hum = (block.data_uv - night().data_uv)[0, : 80 * 256].astype(np.float64)
    power = np.abs(np.fft.rfft(hum))
    assert np.argmax(power) == hz * 80
    assert 2 * power.max() / hum.size == pytest.approx(80.0, rel=0.01)


def test_hum_can_be_in_one_channel() -> None:
    block, _ = injected("hum50=AF7:800@10/5")
    hum = block.data_uv - night().data_uv
    assert np.all(hum[0] == 0.0)
    assert np.ptp(hum[1, 10 * 256 : 15 * 256]) == pytest.approx(1600.0, rel=0.01)
