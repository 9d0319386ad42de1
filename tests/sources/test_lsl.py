"""LSL sources with real senders in other processes, all on this machine."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from monitor.clock import ManualClock, SystemClock, Timeline
from monitor.config import LslConfig
from monitor.errors import InputError
from monitor.lsl_library import load_pylsl
from monitor.sources.live import KnownDevice
from monitor.sources.lsl import LslSource, list_streams
from monitor.sources.lsl.stream_clock import StreamClock
from monitor.sources.rate import settled_rate_hz
from monitor.types import EegChunk
from tests.lsl_peer import peer

names = itertools.count()


@pytest.fixture
def name() -> str:
    """Return a name that no other test uses: LSL may still list the senders of other tests."""
    return f"Band-{os.getpid()}-{next(names)}"


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(SystemClock())


@contextmanager
def listening(
    timeline: Timeline,
    offset_s: float | None = None,
    known: KnownDevice | None = None,
    **wanted: str | None,
) -> Iterator[LslSource]:
    source = LslSource(LslConfig(**wanted), timeline, offset_s, known)
    try:
        yield source
    finally:
        source.close()


def poll_until(
    source: LslSource, done: Callable[[list[EegChunk]], bool], limit_s: float = 12.0
) -> list[EegChunk]:
    """Poll as the monitor does, until the chunks so far are enough for ``done``."""
    chunks: list[EegChunk] = []
    until_s = time.monotonic() + limit_s
    while not done(chunks):
        assert time.monotonic() < until_s, source.status
        chunks += source.poll()
        time.sleep(0.01)
    return chunks


def n_samples(chunks: list[EegChunk]) -> int:
    return sum(chunk.times_s.size for chunk in chunks)


def received(source: LslSource, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first ``n`` samples or more, (n_channels, n), and their times (n,)."""
    chunks = poll_until(source, lambda chunks: n_samples(chunks) >= n)
    assert source.device is not None
    assert all(chunk.channels == source.device.channels for chunk in chunks)
    assert all(chunk.sfreq_hz == source.device.sfreq_hz for chunk in chunks)
    return (
        np.concatenate([chunk.data_uv for chunk in chunks], axis=1),
        np.concatenate([chunk.times_s for chunk in chunks]),
    )


def test_every_sample_comes_once_in_microvolts_at_its_time(name: str, timeline: Timeline) -> None:
    with peer(name=name), listening(timeline, source_id=name) as source:
        assert source.device is None
        assert source.status.startswith(f"waiting for an LSL stream with source id '{name}' (0 s)")
        data_uv, times_s = received(source, 900)
        assert abs(times_s[-1] - timeline.now_s()) < 0.5
        assert source.device is not None
        assert source.device.channels == ("TP9", "AF7", "AF8", "TP10")
        assert source.device.sfreq_hz == 256.0
        assert source.device.notes == ()
        assert source.status == "streaming"
    assert data_uv.dtype == np.float32
    np.testing.assert_array_equal(np.diff(data_uv[0]), 1)
    np.testing.assert_allclose(np.abs(data_uv[1:]).max(), 10, rtol=1e-3)
    np.testing.assert_allclose(np.diff(times_s), 1 / 256, atol=2e-5)


def test_each_channel_has_its_own_unit(name: str, timeline: Timeline) -> None:
    units = {"uV": 10, "µV": 10, "mV": 1e4, "Volts": 1e7, "nanovolt": 1e-2, "bananas": 10, "": 10}
    labels = ",".join(f"C{n}" for n in range(len(units)))
    with (
        peer(name=name, labels=labels, unit=",".join(units)),
        listening(timeline, source_id=name) as source,
    ):
        data_uv, _ = received(source, 900)
        assert source.device is not None
        (note,) = source.device.notes
    assert (
        note == f"LSL stream '{name}' has the unit 'bananas': taken as microvolts; --unit sets it."
    )
    np.testing.assert_allclose(np.abs(data_uv[1:]).max(axis=1), [*units.values()][1:], rtol=1e-2)


@pytest.mark.parametrize("unit", [None, "mV"])
def test_the_user_can_set_the_unit(name: str, timeline: Timeline, unit: str | None) -> None:
    with (
        peer(name=name, unit=""),
        listening(timeline, source_id=name, unit=unit) as source,
    ):
        data_uv, _ = received(source, 900)
        assert source.device is not None
        assert [note.partition(":")[0] for note in source.device.notes] == (
            [] if unit else [f"LSL stream '{name}' names no unit"]
        )
    assert np.abs(data_uv[1]).max() == pytest.approx(1e4 if unit else 10, rel=1e-2)


@pytest.mark.parametrize("kind", ["double64", "int16", "int64"])
def test_any_numeric_format(name: str, timeline: Timeline, kind: str) -> None:
    with peer(name=name, format=kind), listening(timeline, source_id=name) as source:
        data_uv, _ = received(source, 900)
    np.testing.assert_array_equal(np.diff(data_uv[0]), 1)


def test_only_eeg_channels_are_used_and_all_have_names(name: str, timeline: Timeline) -> None:
    labels, types = "Fp1,X,Fp1,Right AUX,,HEOG", "EEG,ACC,EEG,EEG,EEG,EOG"
    with (
        peer(name=name, labels=labels, types=types),
        listening(timeline, source_id=name) as source,
    ):
        received(source, 900)
        assert source.device is not None
        assert source.device.channels == ("Fp1", "Fp1.3", "5")


def test_a_stream_without_description_has_numbered_channels(name: str, timeline: Timeline) -> None:
    with (
        peer(name=name, labels="", channels=2),
        listening(timeline, source_id=name) as source,
    ):
        received(source, 900)
        assert source.device is not None
        assert source.device.channels == ("1", "2")


@pytest.mark.parametrize(
    ("nominal", "true", "used", "note"),
    [(0, 249.5, 250.0, False), (256, 200, 200.0, True), (256, 255, 256.0, False)],
)
def test_the_rate_is_the_nominal_one_or_else_the_measured_one(
    name: str, timeline: Timeline, nominal: float, true: float, used: float, note: bool
) -> None:
    with (
        peer(name=name, nominal=nominal, rate=true, speed=20),
        listening(timeline, source_id=name) as source,
    ):
        data_uv, times_s = received(source, 2500)
        assert source.device is not None
        assert source.device.sfreq_hz == used
        assert bool(source.device.notes) == note
    np.testing.assert_array_equal(np.diff(data_uv[0]), 1)
    np.testing.assert_allclose(np.diff(times_s)[-500:], 1 / true, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rate": 10}, "is no EEG: it is 10 Hz, not 80 Hz or more"),
        ({"nominal": 0, "rate": 50, "speed": 20}, "has 50 samples a second"),
        ({"format": "string", "nominal": 0}, "is no EEG: it is text"),
        ({"labels": "PPG1,PPG2"}, "has no EEG channel, only PPG1, PPG2"),
    ],
)
def test_refuses_a_stream_that_is_not_eeg(
    name: str, timeline: Timeline, options: dict[str, object], problem: str
) -> None:
    with (
        peer(name=name, **options),
        listening(timeline, source_id=name) as source,
        pytest.raises(InputError, match=f"'{name}'.* {problem}"),
    ):
        received(source, 900)


def test_several_matches_are_listed_with_the_option_to_choose_by(
    name: str, timeline: Timeline
) -> None:
    with (
        peer(name=name, source_id=f"{name}-a"),
        peer(name=name, source_id=f"{name}-b"),
        listening(timeline, name=name) as source,
        pytest.raises(
            InputError, match=rf"2 LSL streams match: .*{name}-a.*; choose with --source-id"
        ),
    ):
        received(source, 900)


def test_other_streams_of_a_headband_with_the_same_name_are_ignored(
    name: str, timeline: Timeline
) -> None:
    with (
        peer(name=name, type="ACC", rate=52, source_id=name),
        peer(name=name, type="EEG", source_id=name),
        listening(timeline, source_id=name) as source,
    ):
        received(source, 900)
        streams = {stream.type: stream for stream in list_streams(1.0) if stream.name == name}
    assert streams["EEG"].is_eeg and not streams["ACC"].is_eeg
    assert streams["EEG"].channels == ("TP9", "AF7", "AF8", "TP10")
    assert (streams["EEG"].sfreq_hz, streams["EEG"].unit) == (256.0, "microvolts")


@pytest.mark.parametrize("source_id", ["", "-id"])
def test_a_night_that_broke_off_waits_for_its_own_stream(
    name: str, source_id: str, timeline: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    """Another one that the options match is named, and not taken; one of the same name neither."""
    identifier = f"{name}{source_id}" if source_id else ""
    with (
        peer(name=name, type=name, source_id=identifier),
        listening(timeline, type=name) as first,
    ):
        received(first, 900)
        assert first.device is not None
        identity = first.device.identity
    assert repr(name) in identity and (source_id or f" on {socket.gethostname()}") in identity
    known = KnownDevice(identity, required=True)
    with (
        peer(name=name, type="EEG", source_id=f"{name}-other"),
        listening(timeline, None, known, name=name) as source,
    ):
        poll_until(source, lambda _: "another stream is there" in source.status)
        assert f"{name}-other" in source.status and identity in source.status
        assert source.device is None
        assert caplog.text.count("--new-night begins a night with it") == 1
        with peer(name=name, type=name, source_id=identifier):
            received(source, 900)
        assert source.device is not None and source.device.identity == identity


def test_a_night_that_was_ended_may_begin_anew_with_another_stream(
    name: str, timeline: Timeline
) -> None:
    gone = KnownDevice("LSL stream 'gone' of type 'EEG', source id 'gone'", required=False)
    with (
        peer(name=name, source_id=f"{name}-b"),
        listening(timeline, None, gone, name=name) as source,
    ):
        received(source, 900)
        assert source.device is not None
        known = KnownDevice(source.device.identity, required=False)
        with (
            peer(name=name, source_id=f"{name}-c"),
            listening(timeline, None, known, name=name) as again,
        ):
            received(again, 900)  # of two that match, the night's own
            assert again.device is not None and again.device.identity == known.identity


def test_without_liblsl_there_is_one_clear_error(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pylsl", None)
    load_pylsl.cache_clear()
    try:
        with pytest.raises(InputError, match=r"LSL cannot be used here: .*glibc"):
            LslSource(LslConfig(), timeline)
    finally:
        load_pylsl.cache_clear()


def test_a_clock_of_its_own_is_placed_by_arrival_or_as_in_the_run_before(
    name: str, timeline: Timeline
) -> None:
    with peer(name=name, clock=1e9):
        with listening(timeline, source_id=name) as source:
            _, times_s = received(source, 900)
            assert abs(times_s[-1] - timeline.now_s()) < 0.5
            assert source.device is not None
            (note,) = source.device.notes
            assert "stamped by a clock of its own" in note
            offset_s = source.clock_offset_s
        assert offset_s is not None
        with listening(timeline, offset_s + 30.0, source_id=name) as source:
            received(source, 900)
            assert source.clock_offset_s == offset_s + 30.0


@pytest.mark.parametrize("step_s", [-100.0, 100.0])
def test_a_clock_that_is_set_costs_no_sample(
    name: str, timeline: Timeline, step_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        peer(name=name, step=step_s, step_at=4.5),
        listening(timeline, source_id=name) as source,
    ):
        data_uv, times_s = received(source, 1400)
        assert abs(times_s[-1] - timeline.now_s()) < 0.5
    np.testing.assert_array_equal(np.diff(data_uv[0]), 1)
    assert np.diff(times_s).min() > 0.8 / 256
    assert np.diff(times_s).max() < 0.5
    assert "clock jumped" in caplog.text


def test_a_sender_may_be_ahead_of_time_and_the_log_says_so_once(
    name: str, timeline: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    with peer(name=name, speed=60), listening(timeline, source_id=name) as source:
        data_uv, times_s = received(source, 90 * 256)
        assert times_s[-1] > timeline.now_s() + 30
    np.testing.assert_array_equal(np.diff(data_uv[0]), 1)
    np.testing.assert_allclose(np.diff(times_s), 1 / 256, atol=2e-5)
    assert caplog.text.count("ahead of this computer's clock") == 1


def test_stamps_that_run_away_into_the_future_are_refused_after_a_day() -> None:
    clock = ManualClock()
    stream_clock = StreamClock(Timeline(clock), clock.monotonic_s, None)
    stream_clock.period_s = 1.0
    now_s = clock.monotonic_s()
    for hours in range(24):
        stream_clock.map(now_s + 3600.0 * hours + np.arange(3600.0))
    with pytest.raises(InputError, match="more than 24 h ahead of this computer"):
        stream_clock.map(now_s + 24 * 3600.0 + np.arange(3600.0))


def test_samples_before_the_first_stamp_are_dropped(
    name: str, timeline: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    with peer(name=name, untimed=700), listening(timeline, source_id=name) as source:
        data_uv, times_s = received(source, 900)
        assert abs(times_s[-1] - timeline.now_s()) < 0.5
    np.testing.assert_array_equal(data_uv[0], 700 + np.arange(data_uv.shape[1]))
    np.testing.assert_allclose(np.diff(times_s), 1 / 256, atol=2e-5)
    assert "700 samples without a time were dropped" in caplog.text


def test_a_busy_machine_does_not_look_suspended(caplog: pytest.LogCaptureFixture) -> None:
    """Another program may run between the readings of two clocks."""
    clock = ManualClock()

    def lsl_now() -> float:
        busy_s = next(busy, 0.0)
        clock.advance(busy_s / 2)
        reading_s = clock.monotonic_s()
        clock.advance(busy_s / 2)
        return reading_s

    busy = iter([0.0, 3.0, 0.0, 0.4])
    stream_clock = StreamClock(Timeline(clock), lsl_now, None)
    stream_clock.anchor(np.array([clock.monotonic_s()]))
    offset_s = stream_clock.offset_s
    for _ in range(3):
        stream_clock.follow_suspension()
    assert stream_clock.offset_s == offset_s
    assert not caplog.text


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-rn", "ip", "link"], capture_output=True).returncode != 0,
    reason="needs a network of its own to switch off (unshare -rn)",
)
@pytest.mark.slow
def test_a_connection_that_only_the_sender_gave_up_is_opened_anew(tmp_path: Path) -> None:
    """The receiver sees only a silent stream, as with a headband that is off."""
    run = subprocess.run(
        ["unshare", "-rn", sys.executable, "-m", "tests.lsl_outage", tmp_path],
        env={key: value for key, value in os.environ.items() if key != "LSLAPICFG"},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["before"] >= 1000 and result["after"] >= 1000
    assert result["during"] < 256


@pytest.mark.parametrize("recoverable", [True, False])
def test_a_sender_that_comes_back_is_joined_again(
    name: str, timeline: Timeline, recoverable: bool
) -> None:
    options = {"name": name} if recoverable else {"name": name, "source_id": ""}
    wanted = {"source_id": name} if recoverable else {"name": name}
    with listening(timeline, **wanted) as source:
        with peer(**options):
            _, before_s = received(source, 900)
        with peer(**options, ago=0):
            data_uv, after_s = received(source, 300)
            assert source.status == "streaming"
            assert abs(after_s[-1] - timeline.now_s()) < 0.5
    assert before_s[-1] < after_s[0]
    assert np.sum(np.diff(data_uv[0]) != 1) <= 1  # samples that were under way come first


def test_a_stream_that_comes_back_without_its_channels_is_not_joined(
    name: str, timeline: Timeline
) -> None:
    with listening(timeline, name=name) as source:
        with peer(name=name, source_id=""):
            received(source, 900)
        with peer(name=name, labels="A,B", source_id=""):
            poll_until(source, lambda _: "back with other channels" in source.status)
        assert source.device is not None
        assert source.device.channels == ("TP9", "AF7", "AF8", "TP10")
        # Channels go by name: one more, and another order, make no difference.
        with peer(name=name, labels="Cz,TP10,AF8,AF7,TP9", source_id="", ago=0):
            data_uv, _ = received(source, 300)
    assert np.abs(data_uv).max() <= 10.0  # Cz holds the sample's number


def test_without_a_stream_it_waits_and_closes_at_once(timeline: Timeline) -> None:
    started_s = time.monotonic()
    with listening(timeline, name="nobody") as source:
        assert source.poll() == []
        assert source.status == "waiting for an LSL stream with name 'nobody' (0 s)"
    assert time.monotonic() - started_s < 2.0


@pytest.mark.parametrize(
    "stamps_s", [np.zeros(5000), np.arange(5000.0)[::-1], np.arange(5000) // 4999 * 9.0]
)
def test_stamps_that_make_no_sense_contradict_no_rate(stamps_s: np.ndarray) -> None:
    assert settled_rate_hz(stamps_s, 256.0) == 256.0
    assert settled_rate_hz(stamps_s, 0.0) is None
