"""The high-pass, compared with scipy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt, sosfilt_zi

from models.contract import HIGHPASS_HZ, SFREQ_HZ
from monitor.conditioning.grid import GridBlock, SampleProvenance
from monitor.conditioning.highpass import HighPass
from monitor.types import F64


def drifting(n: int) -> F64:
    """Return two electrodes, (2, n): a random walk on a large offset."""
    steps = np.random.default_rng(0).normal(0.0, 5.0, (2, n))
    return steps.cumsum(axis=1) + np.array([[3e4], [-200.0]])


def block(data_uv: F64, first: int = 0, lost: slice = slice(0)) -> GridBlock:
    provenance = np.full(data_uv.shape[1], SampleProvenance.RECEIVED, np.int8)
    provenance[lost] = SampleProvenance.LOST
    return GridBlock(first, data_uv, provenance)


def by_scipy(data_uv: F64) -> F64:
    sos = butter(2, HIGHPASS_HZ, "highpass", fs=SFREQ_HZ, output="sos")
    state = sosfilt_zi(sos)[:, None, :] * data_uv[None, :, :1]
    filtered: F64 = sosfilt(sos, data_uv, axis=1, zi=state)[0]
    return filtered


def test_it_equals_scipys_butterworth() -> None:
    data_uv = drifting(30_000)
    filtered = HighPass(HIGHPASS_HZ).push(block(data_uv)).data_uv
    np.testing.assert_allclose(filtered, by_scipy(data_uv), atol=1e-6)


@given(st.lists(st.integers(1, 2000), max_size=8))
def test_how_the_input_is_cut_changes_no_bit(cuts: list[int]) -> None:
    data_uv = drifting(2000)
    whole = HighPass(HIGHPASS_HZ).push(block(data_uv)).data_uv
    cut = HighPass(HIGHPASS_HZ)
    parts = np.split(data_uv, sorted(cuts), axis=1)
    pieces = [cut.push(block(part)).data_uv for part in parts]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)


def test_after_a_loss_it_starts_as_if_the_first_sample_had_lasted_for_ever() -> None:
    data_uv = drifting(3000)
    data_uv[:, 1500:] += 1e4
    filtered = HighPass(HIGHPASS_HZ).push(block(data_uv, lost=slice(1000, 1500))).data_uv
    assert not filtered[:, 1000:1501].any()
    np.testing.assert_allclose(filtered[:, 1500:], by_scipy(data_uv[:, 1500:]), atol=1e-6)
