"""The scripted source: what it delivers, and a night with it through the live monitor."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from monitor.clock import ManualClock, Timeline
from monitor.config import LiveOptions, LslConfig, SleeperOptions
from monitor.errors import InputError, MonitorError
from monitor.live import run_live
from monitor.night.store import NightStore
from monitor.sources.scripted import ClockJump, Failure, ScriptedSource, ScriptStep, Stall, Stop
from monitor.types import EegChunk, Reason, Track
from tests.signals import pink_noise_uv

RATE_HZ = 100.0
NUMBERS_UV = np.arange(2000, dtype=np.float32)[None]
"""20 s in which each sample holds its number."""


def scripted(clock: ManualClock, *script: ScriptStep) -> ScriptedSource:
    return ScriptedSource(Timeline(clock), NUMBERS_UV, RATE_HZ, ("EEG",), script)


def poll_until(
    source: ScriptedSource, clock: ManualClock, until_s: float, step_s: float = 0.05
) -> list[EegChunk]:
    """Return all chunks from polls every ``step_s`` up to ``until_s`` on ``clock``."""
    chunks = source.poll()
    while clock.monotonic_s() < until_s:
        clock.advance(min(step_s, until_s - clock.monotonic_s()))
        chunks += source.poll()
    return chunks


def numbers(chunks: Sequence[EegChunk]) -> list[int]:
    return [int(number) for chunk in chunks for number in chunk.data_uv[0]]


def times_s(chunks: Sequence[EegChunk], clock: ManualClock) -> np.ndarray:
    """Return the times of all samples, since the start of ``clock``."""
    begin_s = Timeline(clock).now_s() - clock.monotonic_s()
    return np.concatenate([chunk.times_s for chunk in chunks]) - begin_s


@settings(deadline=None)
@given(step_s=st.floats(0.01, 7.0))
def test_every_sample_comes_once_at_its_time(step_s: float) -> None:
    source = scripted(clock := ManualClock())
    chunks = poll_until(source, clock, 25.0, step_s)
    assert numbers(chunks) == list(range(2000))
    np.testing.assert_allclose(times_s(chunks, clock), np.arange(2000) / 100, atol=1e-6)
    assert all(chunk.times_s.size for chunk in chunks)


def test_no_sample_comes_before_it_was_taken() -> None:
    source = scripted(clock := ManualClock())
    assert source.poll() == []
    clock.advance(5.0)
    assert numbers(source.poll()) == list(range(500))
    assert source.poll() == []


def test_the_device_is_known_with_the_first_samples() -> None:
    clock = ManualClock()
    source = ScriptedSource(
        Timeline(clock), NUMBERS_UV, RATE_HZ, ("EEG",), [Stop(1.0)], clock_offset_s=7.0
    )
    assert source.device is None
    assert source.status == "waiting for the scripted headband"
    poll_until(source, clock, 1.0)
    assert source.device is not None
    assert (source.device.channels, source.device.sfreq_hz) == (("EEG",), RATE_HZ)
    assert (source.status, source.clock_offset_s) == ("streaming", 7.0)
    poll_until(source, clock, 2.0)
    assert source.device is not None
    assert source.status == "waiting for the scripted headband"


def test_samples_of_a_stall_are_lost() -> None:
    source = scripted(clock := ManualClock(), Stall(3.0, 5.0), Stall(8.0, 9.0))
    chunks = poll_until(source, clock, 25.0)
    assert numbers(chunks) == [*range(300), *range(500, 800), *range(900, 2000)]
    np.testing.assert_allclose(times_s(chunks, clock), np.array(numbers(chunks)) / 100, atol=1e-6)


def test_samples_of_a_late_stall_come_at_its_end() -> None:
    source = scripted(clock := ManualClock(), Stall(3.0, 5.0, late=True))
    assert numbers(poll_until(source, clock, 4.99)) == list(range(300))
    chunks = poll_until(source, clock, 5.0, step_s=1.0)
    assert numbers(chunks) == list(range(300, 500))
    np.testing.assert_allclose(times_s(chunks, clock), np.arange(300, 500) / 100, atol=1e-6)


def test_a_jump_of_the_clock_moves_the_times_and_loses_no_sample() -> None:
    source = scripted(clock := ManualClock(), ClockJump(5.0, 60.0), ClockJump(10.0, -3.0))
    chunks = poll_until(source, clock, 25.0)
    assert numbers(chunks) == list(range(2000))
    moved_s = times_s(chunks, clock) - np.arange(2000) / 100
    np.testing.assert_allclose(moved_s, np.repeat([0.0, 60.0, 57.0], [500, 500, 1000]), atol=1e-6)


def test_after_a_stop_nothing_comes() -> None:
    source = scripted(clock := ManualClock(), Stop(5.0))
    assert numbers(poll_until(source, clock, 25.0)) == list(range(500))


def test_an_error_mends_by_opening_the_source_anew() -> None:
    clock = ManualClock()
    script = [Failure(5.0, MonitorError("the cable is loose"))]
    begin_s = Timeline(clock).now_s()
    first = scripted(clock, *script)
    assert numbers(poll_until(first, clock, 4.95)) == list(range(495))
    with pytest.raises(MonitorError, match="the cable is loose"):
        poll_until(first, clock, 5.0)
    first.close()
    clock.advance(2.0)
    second = ScriptedSource(Timeline(clock), NUMBERS_UV, RATE_HZ, ("EEG",), script, begin_s=begin_s)
    assert numbers(poll_until(second, clock, 25.0)) == list(range(700, 2000))


def test_an_input_error_never_mends() -> None:
    clock = ManualClock()
    script = [Failure(5.0, InputError("no such board"))]
    begin_s = Timeline(clock).now_s()
    clock.advance(6.0)
    source = ScriptedSource(Timeline(clock), NUMBERS_UV, RATE_HZ, ("EEG",), script, begin_s=begin_s)
    for _ in range(2):
        with pytest.raises(InputError, match="no such board"):
            source.poll()


def test_a_night_with_a_stall_through_the_live_monitor(tmp_path: Path) -> None:
    """The stall covers epoch 1: it is missing, and the epochs around it are whole."""
    stop, path = threading.Event(), tmp_path / "night.sqlite"

    class NightClock(ManualClock):
        """A clock that runs as fast as the computer and stands still at the end of the night."""

        def sleep(self, duration_s: float) -> None:
            if self.monotonic_s() < 95.0:
                self.advance(duration_s)
            else:
                stop.set()
                time.sleep(0.01)

    signal_uv = pink_noise_uv(round(100 * RATE_HZ))
    options = LiveOptions(
        (SleeperOptions(LslConfig(), store=path),), backend="torch", no_redis=True, dashboard=False
    )
    run_live(
        options,
        Console(file=io.StringIO()),
        NightClock(),
        stop,
        lambda config, timeline, offset_s, known: ScriptedSource(
            timeline, signal_uv, RATE_HZ, ("AF7",), [Stall(29.0, 61.0)]
        ),
    )
    with closing(NightStore.open(path)) as store:
        reasons = [epoch.reason for epoch in store.predictions(Track.LIVE)]
        lost = [epoch.ledger.lost for epoch in store.epochs()]
    assert reasons == [None, Reason.MISSING, None]
    assert lost == [100, 3000, 100]
