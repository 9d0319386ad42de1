"""A live night equals the replay of its samples, to microseconds of a clock's noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.measuring.comparison import Equality, small_delay
from tests.measuring.equality import excerpt, night


def assert_equal(result: Equality) -> None:
    live, replayed = result.epochs
    assert live == replayed == result.scored
    assert result.arrived[0] == result.arrived[1]
    assert result.filled == result.lost == (0, 0)
    assert abs(result.origin_off_us) < 1000.0
    assert result.differing_reasons == result.differing_derivations == []
    assert result.differing_live == result.differing_revised == []
    assert result.largest_p_live < 0.02
    assert abs(result.delay_us[1]) < 1000.0
    assert result.rms_uv < 0.01 * result.signal_rms_uv


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_sleep_is_staged_live_as_it_is_replayed(tmp_path: Path) -> None:
    assert_equal(excerpt(10.0, tmp_path, speed=60.0))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_headband_of_four_channels_is_staged_live_as_it_is_replayed(tmp_path: Path) -> None:
    assert_equal(night(0.5, tmp_path, speed=60.0))


def test_a_delay_far_below_a_sample_is_measured() -> None:
    times_s = np.arange(3000) / 100.0
    slow = 40.0 * np.sin(2 * np.pi * 1.0 * times_s)
    late = 40.0 * np.sin(2 * np.pi * 1.0 * (times_s - 50e-6))
    delay_s, rest_uv = small_delay(slow, late)
    assert delay_s == pytest.approx(50e-6, rel=0.01)
    assert np.abs(rest_uv[1:-1]).max() < 1e-3
