"""A made-up night is the same at every read, and shows how far a grid is off."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from models.contract import Gain
from monitor.conditioning.conditioner import Conditioner
from monitor.types import Derivation, EegChunk, Epoch, Montage
from tests.live.headband_signals import MadeUpNight
from tests.measuring.sent import SentSamples
from tests.measuring.truth import epoch_lag

RATE_HZ = 256.0
MONTAGE = Montage(("TP9", "AF7"), (Derivation("AF7-TP9", 1, 0),))
T0_S = 1_767_218_000.123


def a_night(duration_s: float = 300.0) -> MadeUpNight:
    return MadeUpNight(duration_s, ("TP9", "AF7"), RATE_HZ, seed=3)


def epochs_of(night: MadeUpNight, late_s: float = 0.0, ppm: float = 0.0) -> list[Epoch]:
    """Condition ``night``, with stamps that are ``late_s`` late, into the monitor's epochs."""
    origin_s = T0_S + 10.37
    start_utc = datetime.fromtimestamp(origin_s, UTC)
    conditioner = Conditioner(MONTAGE, RATE_HZ, origin_s, start_utc, Gain.KNOWN)
    times_s = T0_S + night.times_s(0, night.n_samples) / (1 + 1e-6 * ppm) + late_s
    data = night.read(0, night.n_samples)
    return conditioner.push(EegChunk(data, times_s, MONTAGE.channels, RATE_HZ))


def test_a_night_is_the_same_however_it_is_read() -> None:
    whole = a_night().read(0, 300 * 256)
    again = a_night()
    parts = [again.read(at, min(at + 997, 300 * 256)) for at in range(0, 300 * 256, 997)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_memory_does_not_grow_with_the_night() -> None:
    night = a_night(8 * 3600.0)
    at = 7 * 3600 * 256
    assert np.abs(night.read(at, at + 256)).max() > 1.0
    assert len(night._made) <= 4


@pytest.mark.parametrize("late_s", [0.0, 0.004, -0.013])
def test_the_lag_of_a_grid_is_found_to_a_fiftieth_of_a_sample(late_s: float) -> None:
    for epoch in epochs_of(a_night(), late_s)[3:]:
        lag = epoch_lag(epoch, MONTAGE.channels, a_night(), T0_S)
        assert lag is not None
        assert lag[0] == pytest.approx(100.0 * late_s, abs=0.02)
        assert lag[1] > 0.9


def test_a_fast_device_does_not_shift_the_grid() -> None:
    for epoch in epochs_of(a_night(), ppm=200.0)[3:-1]:
        lag = epoch_lag(epoch, MONTAGE.channels, a_night(), T0_S, ppm=200.0)
        assert lag is not None
        assert abs(lag[0]) < 0.01


def test_sent_samples_are_counted_to_the_sample() -> None:
    faults, away = "gap=1@100;duplicate=0.05", [(50_000, 51_000)]
    sent = SentSamples.count(a_night(), faults, 1, 1000, 70_000, away)
    assert sent.measured == 69_000
    assert sent.not_sent == 256 + 1000
    assert sent.sent == sent.measured - sent.not_sent + sent.twice
    assert sent.twice % 12 == 0
    assert sent.long_gaps_s == pytest.approx(1256 / 256)
    assert sent.short_gaps_s == 0.0
