"""Every sample is accounted for, in whatever order and chunks it comes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract import Gain
from monitor.conditioning.conditioner import SILENCE_WAIT_S, Conditioner
from monitor.conditioning.quality import signal_state
from monitor.errors import MonitorError
from monitor.types import Derivation, EegChunk, Montage, Reason, SampleLedger, SignalState
from tests.signals import START, chunk, condition, cut, pink_noise_uv, same

SFREQ_HZ = 128.0
N_SAMPLES = round(35 * SFREQ_HZ)
DATA_UV = pink_noise_uv(N_SAMPLES)
TIMES_S = np.arange(N_SAMPLES) / SFREQ_HZ


def whole(keep: np.ndarray | slice) -> list:
    return condition([chunk(DATA_UV[:, keep], TIMES_S[keep], SFREQ_HZ)])


def balanced(ledger: SampleLedger) -> bool:
    return ledger.received + ledger.filled + ledger.lost == ledger.expected


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([80.0, 100.0, 128.0, 200.0, 250.0, 256.0, 256.05, 500.0]), st.data())
def test_how_disordered_samples_are_cut_changes_no_epoch(
    sfreq_hz: float, data: st.DataObject
) -> None:
    """With gaps, repeats, late and overtaken samples, chunk borders change nothing."""
    data_uv = pink_noise_uv(round(32 * sfreq_hz))
    order = np.arange(data_uv.shape[1])
    for _ in range(data.draw(st.integers(0, 12))):
        at = data.draw(st.integers(0, order.size - 400))
        length = data.draw(st.integers(1, 300))
        piece = order[at : at + length]
        kind = data.draw(st.sampled_from(["drop", "repeat", "overtake", "late"]))
        rest = np.delete(order, slice(at, at + length))
        if kind == "drop":
            order = rest
        elif kind == "repeat":
            order = np.insert(order, at + length, piece)
        else:
            delay = 20 if kind == "overtake" else 900
            order = np.insert(rest, min(at + delay, rest.size), piece)
    # Cut often among the last samples of an epoch: an epoch is judged on samples around its end.
    near_end = round(29.97 * sfreq_hz)
    cuts = data.draw(st.lists(st.integers(1, order.size - 1), max_size=20))
    cuts += data.draw(st.lists(st.integers(near_end, near_end + 20), max_size=10))
    samples, times = data_uv[:, order], order / sfreq_hz
    nominal_hz = float(round(sfreq_hz))
    one = condition([chunk(samples, times, nominal_hz)])
    many = condition(cut(samples, times, nominal_hz, [at for at in cuts if at < order.size]))
    assert same(one, many)
    assert all(balanced(epoch.ledger) for epoch in one)


@pytest.mark.parametrize("sfreq_hz", [100.0, 256.0])
def test_sample_by_sample_equals_all_at_once(sfreq_hz: float) -> None:
    """Around the end of an epoch, each chunk is one sample: each counts for exactly one epoch."""
    n = round(60.5 * sfreq_hz)
    data, times_s = pink_noise_uv(n), np.arange(n) / sfreq_hz
    border = round(30 * sfreq_hz)
    pieces = cut(data, times_s, sfreq_hz, range(border - 50, border + 50))
    one = condition([chunk(data, times_s, sfreq_hz)])
    assert same(condition(pieces), one)
    # Up to the last grid point, 59.99 s.
    assert sum(epoch.ledger.arrived for epoch in one) == np.sum(times_s <= 59.99 + 1e-6)


def test_a_jump_of_the_clock_is_found_wherever_samples_are_cut() -> None:
    times_s = np.concatenate([np.arange(3000) / 100.0, 26 * 3600.0 + np.arange(100) / 100.0])
    for at in (2999, 3000, 3001):
        with pytest.raises(MonitorError, match="clock jumped by"):
            condition(cut(pink_noise_uv(3100), times_s, 100.0, [at]))


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_reported_times_close_epochs_in_a_gap_and_change_none(data: st.DataObject) -> None:
    """If chunks report the time in a gap, the same epochs come, only earlier."""
    sfreq_hz, n = 128.0, (130 * 128)
    keep = np.ones(n, np.bool_)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(100, n - 200))
        keep[start : start + data.draw(st.integers(1, 9000))] = False
    keep[-100:] = True
    index = np.flatnonzero(keep)
    times_s, data_uv = index / sfreq_hz, pink_noise_uv(n)[:, keep]
    # Cut at the gaps; within each, report the time up to three times.
    pieces = cut(data_uv, times_s, sfreq_hz, np.flatnonzero(np.diff(index) > 1) + 1)
    chunks = [pieces[0]]
    for piece in pieces[1:]:
        last_s, next_s = chunks[-1].times_s[-1], piece.times_s[0]
        shares = sorted(data.draw(st.lists(st.floats(0.0, 0.99), max_size=3)))
        chunks += [piece.without_samples(last_s + x * (next_s - last_s)) for x in shares]
        chunks.append(piece)
    assert same(condition(chunks), condition(pieces))


def test_late_samples_are_late_however_often_the_time_was_reported() -> None:
    n = round(130 * SFREQ_HZ)
    times_s, data_uv = np.arange(n) / SFREQ_HZ, pink_noise_uv(n)
    first, after = slice(0, 1280), slice(round(100 * SFREQ_HZ), n)
    gap = slice(1280, round(100 * SFREQ_HZ))
    nothing = chunk(data_uv[:, :0], times_s[:0], SFREQ_HZ)
    ticks = [replace(nothing, reached_s=float(now_s)) for now_s in np.arange(11.0, 109.0, 0.2)]
    parts = [chunk(data_uv[:, part], times_s[part], SFREQ_HZ) for part in (first, after, gap)]
    epochs = condition([parts[0], *ticks, parts[1], parts[2]])
    ledger = sum((epoch.ledger for epoch in epochs), SampleLedger())
    assert ledger.duplicate == 0


def test_an_epoch_in_a_gap_stays_open_for_samples_under_way() -> None:
    conditioner = Conditioner(Montage.of_one("EEG"), SFREQ_HZ, 0.0, START, Gain.KNOWN)
    conditioner.push(chunk(DATA_UV[:, :1280], TIMES_S[:1280], SFREQ_HZ))
    nothing = chunk(DATA_UV[:, :0], TIMES_S[:0], SFREQ_HZ)
    assert conditioner.push(replace(nothing, reached_s=30.4 + SILENCE_WAIT_S)) == []
    (epoch,) = conditioner.push(replace(nothing, reached_s=30.6 + SILENCE_WAIT_S))
    assert (epoch.index, epoch.quality.reason) == (0, "missing")
    assert epoch.ledger.lost == 2000
    # A sample that arrives for it now is late.
    late = conditioner.push(chunk(DATA_UV[:, 2000:2001], TIMES_S[2000:2001], SFREQ_HZ))
    assert late == []
    rest = conditioner.push(replace(nothing, reached_s=61.0 + SILENCE_WAIT_S))
    assert [epoch.ledger.late for epoch in rest] == [1]


def test_the_first_sample_after_a_reported_time_is_no_repeat() -> None:
    conditioner = Conditioner(Montage.of_one("EEG"), SFREQ_HZ, 0.0, START, Gain.KNOWN)
    conditioner.push(chunk(DATA_UV[:, :640], TIMES_S[:640], SFREQ_HZ))
    nothing = chunk(DATA_UV[:, :0], TIMES_S[:0], SFREQ_HZ)
    # Samples of the last half second are in time: this one by a quarter of a sample period.
    now_s = TIMES_S[1280] + 0.5 - 0.25 / SFREQ_HZ + SILENCE_WAIT_S
    conditioner.push(replace(nothing, reached_s=now_s))
    (epoch,) = conditioner.push(chunk(DATA_UV[:, 1280:], TIMES_S[1280:], SFREQ_HZ))
    assert (epoch.ledger.duplicate, epoch.ledger.late) == (0, 0)
    assert epoch.ledger.received + epoch.ledger.lost == 3000


def test_samples_that_overtook_each_other_are_put_in_order() -> None:
    order = np.arange(N_SAMPLES)
    order[1000:1024] = np.concatenate([order[1012:1024], order[1000:1012]])
    shuffled = condition([chunk(DATA_UV[:, order], TIMES_S[order], SFREQ_HZ)])
    straight = whole(slice(None))
    np.testing.assert_array_equal(shuffled[0].data_uv, straight[0].data_uv)
    assert shuffled[0].ledger == replace(straight[0].ledger, reordered=12)


def test_repeats_are_dropped_and_counted() -> None:
    order = np.insert(np.arange(N_SAMPLES), 500, np.arange(490, 500))
    repeated = condition([chunk(DATA_UV[:, order], TIMES_S[order], SFREQ_HZ)])
    straight = whole(slice(None))
    np.testing.assert_array_equal(repeated[0].data_uv, straight[0].data_uv)
    assert repeated[0].ledger.duplicate == 10
    assert repeated[0].ledger.arrived == straight[0].ledger.arrived + 10


def test_samples_for_a_gap_that_is_closed_are_late() -> None:
    """128 samples (1 s) arrive 2 s late; a gap closes after 0.5 s."""
    order = np.insert(np.delete(np.arange(N_SAMPLES), slice(640, 768)), 900, np.arange(640, 768))
    epochs = condition([chunk(DATA_UV[:, order], TIMES_S[order], SFREQ_HZ)])
    # The grid point at the start of the gap is lost, the one at its end is not.
    assert (epochs[0].ledger.late, epochs[0].ledger.lost) == (128, 100)


def test_a_short_gap_is_filled_and_a_long_one_is_lost() -> None:
    short = whole(np.delete(np.arange(N_SAMPLES), slice(1280, 1290)))  # 0.08 s at 10 s
    assert (short[0].ledger.filled, short[0].ledger.lost) == (8, 0)
    long = whole(np.delete(np.arange(N_SAMPLES), slice(1280, 1920)))  # 5 s at 10 s
    assert (long[0].ledger.filled, long[0].ledger.lost) == (0, 500)
    assert long[0].quality.missing_fraction == pytest.approx(500 / 3000)
    assert np.flatnonzero(np.isnan(long[0].data_uv[0])).tolist() == list(range(1000, 1500))
    assert long[0].quality.reason is None
    assert signal_state(long[0].quality) is SignalState.POOR


def test_a_gap_of_a_minute_leaves_epochs_unscored_and_the_grid_in_place() -> None:
    sfreq_hz, n = 100.0, 100 * 180
    times_s, data_uv = np.arange(n) / sfreq_hz, pink_noise_uv(n)
    keep = (times_s < 20.0) | (times_s >= 80.0)
    epochs = condition([chunk(data_uv[:, keep], times_s[keep], sfreq_hz)])
    assert [epoch.quality.reason for epoch in epochs] == [None, "missing", "missing", *[None] * 3]
    assert [epoch.start_s for epoch in epochs] == [0.0, 30.0, 60.0, 90.0, 120.0, 150.0]
    assert all(balanced(epoch.ledger) for epoch in epochs)


def test_samples_that_are_not_finite_are_dropped_and_counted() -> None:
    data = DATA_UV.copy()
    data[0, 100:106] = np.nan
    epochs = condition([chunk(data, TIMES_S, SFREQ_HZ)])
    assert (epochs[0].ledger.invalid, epochs[0].ledger.filled) == (6, 4)
    assert np.isfinite(epochs[0].data_uv).all()
    data = DATA_UV.copy()
    data[0, :50] = np.nan  # before the first valid one
    ledger = condition([chunk(data, TIMES_S, SFREQ_HZ)])[0].ledger
    assert (ledger.arrived, ledger.invalid) == (np.sum(TIMES_S <= 29.99 + 1e-6), 50)


def test_the_grid_may_start_before_or_after_the_first_sample() -> None:
    data, times_s = pink_noise_uv(9000), np.arange(9000) / 100.0
    later = condition([chunk(data, times_s, 100.0)], origin_s=10.01)
    assert [epoch.start_s for epoch in later] == [10.01, 40.01]
    earlier = condition([chunk(data, times_s, 100.0)], origin_s=-10.0)
    assert earlier[0].ledger.lost == 1000


def test_a_channel_of_nan_is_flat_and_does_not_affect_the_others() -> None:
    """Some devices send NaN for an electrode that is off."""
    times_s, eeg_uv = np.arange(N_SAMPLES) / SFREQ_HZ, DATA_UV[0]
    montage = Montage(("A", "B"), (Derivation("A", 0), Derivation("B", 1)))
    data_uv = np.stack([np.full_like(eeg_uv, np.nan), eeg_uv])
    for length in (17, N_SAMPLES):
        conditioner = Conditioner(montage, SFREQ_HZ, 0.0, START, Gain.KNOWN)
        epochs = [
            epoch
            for at in range(0, N_SAMPLES, length)
            for epoch in conditioner.push(
                EegChunk(
                    data_uv[:, at : at + length], times_s[at : at + length], ("A", "B"), SFREQ_HZ
                )
            )
        ]
        assert [q.reason for q in epochs[0].channel_quality] == [Reason.FLAT, None]
        assert (epochs[0].derivation.name, epochs[0].ledger.invalid) == ("B", 0)
        np.testing.assert_array_equal(epochs[0].data_uv[1], whole(slice(None))[0].data_uv[0])
