"""A replay keeps the pace of the recording, even on a slow machine."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.clock import ManualClock, SystemClock
from monitor.sources.pacing import replay
from monitor.types import EegChunk


def chunks(*starts_s: float, n: int = 100, sfreq_hz: float = 100.0) -> Iterator[EegChunk]:
    for start_s in starts_s:
        times_s = start_s + np.arange(n) / sfreq_hz
        yield EegChunk(np.zeros((1, n), np.float32), times_s, ("EEG",), sfreq_hz)


def released_s(stream: Iterator[EegChunk], clock: ManualClock, busy_s: float = 0.0) -> list[float]:
    """Return when each chunk of samples came to a consumer that is busy ``busy_s`` each time."""
    moments_s = []
    for chunk in stream:
        if chunk.times_s.size:
            moments_s.append(clock.monotonic_s())
            clock.advance(busy_s)
    return moments_s


@pytest.mark.parametrize("speed", [1.0, 60.0, 0.5])
def test_a_chunk_comes_when_its_last_sample_would_have_been_recorded(speed: float) -> None:
    stream = replay(chunks(0, 1, 2), speed, clock := ManualClock())
    assert released_s(stream, clock) == pytest.approx([1 / speed, 2 / speed, 3 / speed])


def test_max_never_waits() -> None:
    stream = replay(chunks(*range(1000)), None, clock := ManualClock())
    assert set(released_s(stream, clock)) == {0.0}


def test_the_schedule_begins_with_the_first_sample_and_waits_in_gaps() -> None:
    stream = replay(chunks(500.25, 501.25, 700), 10.0, clock := ManualClock())
    assert released_s(stream, clock) == pytest.approx([0.1, 0.2, 20.075])


def test_in_a_gap_chunks_without_samples_carry_the_time() -> None:
    silent = [c.reached_s for c in replay(chunks(0, 3), 1.0, ManualClock()) if not c.times_s.size]
    # Samples end at 1 s and continue at 3 s; a single wait is 0.2 s.
    assert silent == pytest.approx([1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8])


def test_chunks_before_the_start_come_at_once() -> None:
    stream = replay(chunks(0, 1, 2, 3, 4), 1.0, clock := ManualClock(), from_s=2.5)
    assert released_s(stream, clock) == pytest.approx([0, 0, 0.5, 1.5, 2.5])


def test_the_schedule_catches_up_after_a_slow_consumer() -> None:
    stream = replay(chunks(*range(4), 100), 1.0, clock := ManualClock())
    assert released_s(stream, clock, busy_s=3.0) == pytest.approx([1, 4, 7, 10, 101])


class SluggishClock(ManualClock):
    """A clock that sleeps 7 ms too long every time, as a loaded machine does."""

    def sleep(self, duration_s: float) -> None:
        self.advance(duration_s + 0.007)


@settings(deadline=None)
@given(n=st.integers(1, 500), chunk_n=st.integers(1, 300), speed=st.floats(0.1, 100))
def test_sleeping_too_long_does_not_add_up(n: int, chunk_n: int, speed: float) -> None:
    clock = SluggishClock()
    starts_s = [i * chunk_n / 100 for i in range(n)]
    last_s = released_s(replay(chunks(*starts_s, n=chunk_n), speed, clock), clock)[-1]
    due_s = n * chunk_n / 100 / speed
    assert due_s - 1e-6 <= last_s <= due_s + 0.0071


def test_a_long_wait_can_be_interrupted() -> None:
    stream = replay(chunks(0, 3600), 1000.0, SystemClock())
    next(stream)
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    began_s = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    timer.join()
    assert time.monotonic() - began_s < 1.0
