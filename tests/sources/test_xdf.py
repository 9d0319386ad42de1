"""XDF files of LabRecorder against the truth: streams, rate, units, clocks, gaps, damage."""

from __future__ import annotations

import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from monitor.clock import SystemClock
from monitor.config import ReplayOptions
from monitor.errors import InputError, MonitorError
from monitor.night.store import NightStore
from monitor.replay import run_replay
from monitor.sources.derivation import choose_derivation
from monitor.sources.formats import open_recording
from monitor.sources.recording import StartDate
from monitor.types import F64, Track
from offline_training.data.pairs import find_pairs
from tests.sources.reading import notes, read
from tests.sources.recorder_files import BEGIN, BOUNDARY_ID, Stream, noise, write_xdf

pytest.importorskip("pyxdf")


def stamps(n: int, sfreq_hz: float = 256.0, begin_s: float = 9000.0) -> F64:
    return begin_s + np.arange(n) / sfreq_hz


def muse(stamps_s: F64, name: str = "Muse", **options: object) -> Stream:
    return Stream(name, "EEG", stamps_s, noise(stamps_s.size, 5), **options)  # type: ignore[arg-type]


def test_stream_is_read_as_it_was_recorded(tmp_path: Path) -> None:
    stream = muse(stamps(5120), offset_s=-77.0)
    marks = Stream("events", "Markers", np.array([8933.0]), ["Lights off"], sfreq_hz=0.0)
    recording = open_recording(write_xdf(tmp_path / "night.xdf", stream, marks))
    assert [c.name for c in recording.channels] == ["TP9", "AF7", "AF8", "TP10"]
    assert {c.sfreq_hz for c in recording.channels} == {256.0}
    assert (recording.start.known, recording.start_utc) == (True, BEGIN)
    assert recording.duration_s == pytest.approx(20.0, abs=1e-3)
    (lights,) = recording.annotations  # stamped by the recorder's clock, 77 s behind the Muse's
    assert (lights.text, round(lights.onset_s, 3)) == ("Lights off", 10.0)
    times_s, uv = read(recording)
    assert isinstance(stream.values, np.ndarray)
    np.testing.assert_allclose(uv, stream.values[:, 1] - stream.values[:, 0], atol=1e-4)
    np.testing.assert_allclose(times_s, np.arange(5120) / 256.0, atol=1e-3)
    assert notes(recording) == ""


@pytest.mark.parametrize(
    ("unit", "scale", "said"),
    [("millivolts", 1e3, ""), ("V", 1e6, ""), ("", 1.0, "no unit"), ("counts", 1.0, "'counts'")],
)
def test_units_are_those_of_the_description(
    tmp_path: Path, unit: str, scale: float, said: str
) -> None:
    stream = muse(stamps(2560), unit=unit)
    recording = open_recording(write_xdf(tmp_path / "a.xdf", stream))
    assert isinstance(stream.values, np.ndarray)
    np.testing.assert_allclose(read(recording, "AF7")[1], stream.values[:, 1] * scale, rtol=1e-6)
    assert said in notes(recording) and "--unit" not in notes(recording)


@pytest.mark.parametrize("gap_s", [0.1, 0.4, 3.0, 600.0])
def test_gap_stays_where_it_was_and_nothing_after_it_moves(tmp_path: Path, gap_s: float) -> None:
    """pyxdf's own removal of jitter moves all samples by a part of a gap below two seconds."""
    true_s = stamps(256 * 60, 255.95)
    true_s[256 * 40 :] += gap_s
    jitter_s = np.random.default_rng(4).normal(0.0, 0.001, true_s.size)
    recording = open_recording(write_xdf(tmp_path / "a.xdf", muse(true_s + jitter_s)))
    times_s, _ = read(recording)
    np.testing.assert_allclose(times_s - times_s[0], true_s - true_s[0], atol=0.006)
    assert np.argmax(np.diff(times_s)) == 256 * 40 - 1
    assert np.diff(times_s).max() == pytest.approx(gap_s, abs=0.01)
    assert "interrupted once" in notes(recording)


def test_rate_is_that_of_the_stamps(tmp_path: Path) -> None:
    recording = open_recording(write_xdf(tmp_path / "a.xdf", muse(stamps(5000, 220.0))))
    assert recording.channels[0].sfreq_hz == 220.0
    assert "states 256 Hz but its samples come at 220 Hz" in notes(recording)


def test_clock_of_the_device_drifts_against_the_recorder(tmp_path: Path) -> None:
    """The clock offsets map stamps to the recorder's clock, whose seconds count."""
    path = write_xdf(tmp_path / "a.xdf", muse(stamps(256 * 60), offset_s=1e6))
    assert open_recording(path).duration_s == pytest.approx(60.0, abs=1e-3)


def test_several_eeg_streams_are_named_and_chosen_by_channel(tmp_path: Path) -> None:
    left, right = muse(stamps(2560), "left"), muse(stamps(2560, begin_s=9005.0), "right")
    recording = open_recording(write_xdf(tmp_path / "a.xdf", left, right))
    names = [c.name for c in recording.channels]
    assert names[:1] + names[-1:] == ["left TP9", "right TP10"]
    with pytest.raises(InputError, match=r"name one with --channel.*left TP9.*right TP10"):
        choose_derivation(recording.channels)
    chosen = choose_derivation(recording.channels, "right AF7")
    said = " ".join(recording.notes(chosen))
    assert "several EEG streams, 'left' (type 'EEG', 256 Hz) and 'right'" in said
    times_s, _ = read(recording, "right AF7-right TP9")
    assert times_s[0] == pytest.approx(5.0, abs=1e-3)
    with pytest.raises(InputError, match="two devices"):
        read(recording, "right AF7-left TP9")


def test_streams_of_one_name_are_numbered(tmp_path: Path) -> None:
    recording = open_recording(write_xdf(tmp_path / "a.xdf", muse(stamps(999)), muse(stamps(999))))
    assert recording.channels[0].name == "Muse 1 TP9"
    assert recording.channels[-1].name == "Muse 2 TP10"


def test_file_without_eeg_names_its_streams(tmp_path: Path) -> None:
    motion = Stream("ACC", "Accelerometer", stamps(500, 52.0), noise(500, 3), "XYZ", "g", 52.0)
    marks = Stream("marks", "Markers", np.array([9001.0]), ["x"], sfreq_hz=0.0)
    path = write_xdf(tmp_path / "a.xdf", motion, marks)
    with pytest.raises(InputError, match=r"no stream of EEG, only 'ACC' \(type 'Accelerometer'"):
        open_recording(path)


def test_stream_of_another_type_counts_if_its_channels_are_electrodes(tmp_path: Path) -> None:
    stream = Stream("amp", "Signal", stamps(2560), noise(2560, 5))
    assert choose_derivation(open_recording(write_xdf(tmp_path / "a.xdf", stream)).channels)


def test_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    stream = muse(stamps(256 * 60))
    path = write_xdf(tmp_path / "a.xdf", stream)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    recording = open_recording(path)
    assert 25.0 < recording.duration_s < 31.0
    assert "ends within a chunk" in notes(recording)
    _, uv = read(recording, "AF7")
    assert isinstance(stream.values, np.ndarray)
    np.testing.assert_array_equal(uv, stream.values[: uv.size, 1])


def test_damage_in_the_middle_is_a_gap_up_to_the_next_boundary(tmp_path: Path) -> None:
    path = write_xdf(tmp_path / "a.xdf", muse(stamps(256 * 60)))
    content = bytearray(path.read_bytes())
    begin = content.index(BOUNDARY_ID, len(content) // 2) + len(BOUNDARY_ID)
    content[begin + 20_000 : begin + 40_000] = bytes(20_000)
    path.write_bytes(content)
    recording = open_recording(path)
    times_s, _ = read(recording)
    assert recording.duration_s == pytest.approx(60.0, abs=0.01)
    assert 2.7 < np.diff(times_s).max() < 10.0
    assert "bytes of the file are damaged" in notes(recording)


@pytest.mark.parametrize(
    ("text", "start", "date"),
    [
        ("2026-03-01T23:15:30", datetime(2026, 3, 1, 23, 15, 30, tzinfo=UTC), StartDate.REAL),
        ("yesterday evening", datetime(1985, 1, 1, tzinfo=UTC), StartDate.UNKNOWN),
        ("", datetime(1985, 1, 1, tzinfo=UTC), StartDate.UNKNOWN),
    ],
)
def test_start(tmp_path: Path, text: str, start: datetime, date: StartDate) -> None:
    path = write_xdf(tmp_path / "a.xdf", muse(stamps(999)), datetime_text=text)
    recording = open_recording(path)
    assert (recording.start_utc, recording.start.date) == (start, date)
    assert "start" in notes(recording)


def test_stamps_that_stand_still_and_an_empty_stream(tmp_path: Path) -> None:
    path = write_xdf(tmp_path / "a.xdf", muse(np.full(999, 9000.0)))
    with pytest.raises(InputError, match=r"stand still.*'Muse' \(type 'EEG', 256 Hz\)"):
        open_recording(path)
    with pytest.raises(InputError, match="holds no samples of EEG"):
        open_recording(write_xdf(path, muse(np.zeros(0))))


def test_damaged_bytes_give_one_line_or_samples(tmp_path: Path) -> None:
    path = write_xdf(tmp_path / "a.xdf", muse(stamps(2560)))
    whole, random = path.read_bytes(), np.random.default_rng(3)
    for n in range(60):
        content = bytearray(whole[: int(random.integers(1, len(whole)))] if n % 3 == 0 else whole)
        reach = min(len(content), 2500) if n % 2 else len(content)
        for place in random.integers(0, reach, 1 + n // 4):
            content[place] = int(random.integers(256))
        path.write_bytes(content)
        try:
            recording = open_recording(path)
            derivation = choose_derivation(recording.channels, recording.channels[0].name)
            assert "\n" not in "".join(recording.notes(derivation))
            end_s = -np.inf
            for chunk in recording.chunks(derivation, 30.0):
                assert np.isfinite(chunk.data_uv).all()
                assert chunk.times_s[0] > end_s and (np.diff(chunk.times_s) > 0).all()
                end_s = chunk.times_s[-1]
        except MonitorError as exc:
            assert "\n" not in str(exc)


def test_replay_of_an_xdf_stages_its_epochs(tmp_path: Path) -> None:
    path = write_xdf(tmp_path / "night.xdf", muse(stamps(256 * 95)))
    assert [pair.name for pair in find_pairs(tmp_path)] == ["night"]
    store = tmp_path / "night.sqlite"
    options = ReplayOptions(path, store=store, no_redis=True, dashboard=False)
    run_replay(options, Console(quiet=True), SystemClock(), threading.Event())
    with closing(NightStore.open(store)) as night:
        assert len(list(night.predictions(Track.LIVE))) == 3
        assert night.session().derivation == "AF7-TP9"


def test_without_the_extra_one_line_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyxdf", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"pip install '\.\[formats\]'"):
        open_recording(write_xdf(tmp_path / "a.xdf", muse(stamps(999))))
