"""Silence is found from the times of samples alone, however chunks are cut and report the time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.conditioning.silence import SILENCE_S, SignalChange, SilenceWatch
from monitor.types import EegChunk, SignalState
from tests.signals import chunk, condition, cut, pink_noise_uv, same

HZ = 10.0
LOST, RESTORED = SignalState.LOST, SignalState.RESTORED


def samples(times_s: list[float], reached_s: float | None = None) -> EegChunk:
    """Return a chunk whose samples hold their own times."""
    times = np.array(times_s, np.float64)
    made = chunk(times.astype(np.float32)[None], times, HZ)
    return EegChunk(made.data_uv, times, made.channels, HZ, reached_s)


def changes(watch: SilenceWatch, *chunks: EegChunk) -> list[tuple[SignalState, float]]:
    return [
        (piece.state, piece.time_s)
        for each in chunks
        for piece in watch.split(each)
        if isinstance(piece, SignalChange)
    ]


def test_the_signal_is_lost_after_5_s_and_restored_by_a_sample() -> None:
    watch = SilenceWatch()
    assert changes(watch, samples([0.0, 0.1])) == []
    assert changes(watch, samples([], reached_s=5.0)) == []
    assert changes(watch, samples([], reached_s=5.1)) == [(LOST, 5.1)]
    assert changes(watch, samples([], reached_s=60.0)) == []
    assert changes(watch, samples([60.2, 60.3])) == [(RESTORED, 60.2)]
    assert watch.last_s == 60.3


def test_before_any_sample_the_signal_cannot_be_lost() -> None:
    watch = SilenceWatch()
    assert changes(watch, samples([], reached_s=1000.0), samples([1000.0])) == []


def test_in_a_continued_night_silence_counts_from_the_continuation() -> None:
    watch = SilenceWatch(100.0)
    assert changes(watch, samples([], reached_s=104.0)) == []
    assert watch.last_s is None
    assert changes(watch, samples([], reached_s=105.0), samples([107.0])) == [
        (LOST, 105.0),
        (RESTORED, 107.0),
    ]


def test_chunks_are_cut_where_the_signal_was_lost_and_restored() -> None:
    pieces = list(SilenceWatch().split(samples([0.0, 0.1, 10.0, 10.1], reached_s=12.0)))
    contents = [
        piece if isinstance(piece, SignalChange) else (piece.times_s.tolist(), piece.reached_s)
        for piece in pieces
    ]
    assert contents == [
        ([0.0, 0.1], None),
        ([], 0.1 + SILENCE_S),
        SignalChange(LOST, 0.1 + SILENCE_S),
        ([], 10.0),
        SignalChange(RESTORED, 10.0),
        ([10.0, 10.1], None),
        ([], 12.0),
    ]


def test_a_late_backlog_restores_the_signal_at_the_moment_of_its_loss() -> None:
    """The loss is published already: the signal cannot return before it."""
    watch = SilenceWatch()
    found = changes(watch, samples([0.0]), samples([], reached_s=8.0), samples([0.1, 0.2]))
    assert found == [(LOST, 5.0), (RESTORED, 5.0)]


def test_late_samples_do_not_restore_the_signal() -> None:
    watch = SilenceWatch()
    time = samples([], reached_s=9.0)
    assert changes(watch, samples([0.0, 3.0]), time, samples([1.0, 2.0]), time) == [(LOST, 8.0)]
    assert watch.last_s == 3.0
    assert changes(watch, samples([2.5, 9.5])) == [(RESTORED, 9.5)]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_times_that_are_not_finite_do_not_count(broken: float) -> None:
    watch = SilenceWatch()
    assert changes(watch, samples([broken, 0.0, broken, 1.0, broken])) == []
    assert watch.last_s == 1.0
    time = samples([], reached_s=7.0)
    assert changes(watch, time, samples([broken]), time) == [(LOST, 6.0)]
    assert changes(watch, samples([broken, 7.5])) == [(RESTORED, 7.5)]


steps = st.sampled_from([0.1, 0.1, 0.1, 4.9, 5.0, 5.1, 7.0, 40.0])
back = st.sampled_from([0.0, 0.0, 0.0, 0.05, 3.0, np.nan])


@given(data=st.data(), moves=st.lists(st.tuples(steps, back), min_size=1, max_size=40))
def test_the_changes_do_not_depend_on_how_chunks_are_cut_and_report_the_time(
    data: st.DataObject, moves: list[tuple[float, float]]
) -> None:
    """``now_s`` is when each sample comes. Some are older than one before, some have no time."""
    now_s, times_s, newest_s = np.cumsum([step for step, _ in moves]), [], 0.0
    for at_s, (_, late_s) in zip(now_s, moves, strict=True):
        times_s.append(newest_s - late_s if late_s else float(at_s))
        newest_s = np.fmax(newest_s, times_s[-1])
    whole = changes(SilenceWatch(0.0), samples(times_s))

    chunks, at = [], 0
    while at < len(moves):
        length = data.draw(st.integers(1, len(moves) - at))
        piece = times_s[at : at + length]
        next_s = now_s[at + length] if at + length < len(moves) else now_s[-1]
        parts = data.draw(st.lists(st.floats(0.0, 1.0), max_size=3).map(sorted))
        reached = [now_s[at + length - 1] * (1 - part) + next_s * part for part in parts]
        chunks.append(samples(piece, reached[0] if reached else None))
        chunks += [samples([], float(each)) for each in reached[1:]]
        at += length
    cut = changes(SilenceWatch(0.0), *chunks)
    # A silence that has not ended shows only in a reported time.
    if len(cut) > len(whole):
        assert cut.pop()[0] is LOST
    assert cut == whole


gaps = st.lists(st.tuples(st.integers(1, 9000), st.sampled_from([2, 9, 40, 600, 2500])), max_size=4)
NOISE_UV = pink_noise_uv(9500)


@settings(max_examples=15, deadline=None)
@given(
    gaps=gaps,
    swaps=st.lists(st.tuples(st.integers(0, 6000), st.integers(1, 40)), max_size=4),
    cuts=st.lists(st.integers(0, 9500), max_size=6),
    parts=st.lists(st.floats(0.0, 1.0), max_size=4).map(sorted),
)
def test_reporting_the_time_changes_no_epoch(
    gaps: list[tuple[int, int]],
    swaps: list[tuple[int, int]],
    cuts: list[int],
    parts: list[float],
) -> None:
    """Epochs and ledgers stay the same, bit for bit, whatever samples are lost and overtaken."""
    index = np.arange(9500)
    for first, length in gaps:
        index = index[(index < first) | (index >= first + length)]
    for at, by in swaps:
        if at + by < index.size:
            index[[at, at + by]] = index[[at + by, at]]
    data_uv, times_s = NOISE_UV[:, index], index / 100.0
    whole = condition([chunk(data_uv, times_s, 100.0)])
    in_gaps = np.flatnonzero(np.diff(index) > 1) + 1
    at = [each for each in [*cuts, *in_gaps.tolist()] if each < index.size]
    pieces = cut(data_uv, times_s, 100.0, at)
    chunks = []
    for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
        chunks.append(piece)
        if following is None or not piece.times_s.size:
            continue
        newest_s, next_s = piece.times_s.max(), following.times_s[0]
        for part in parts if next_s > newest_s else ():
            reached_s = float(newest_s + part * (next_s - newest_s))
            chunks.append(piece.without_samples(reached_s))
    assert same(condition(chunks), whole)
