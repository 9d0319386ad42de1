"""MNE's formats against the truth: rate, channels, units, start, gaps, stages, damage."""

from __future__ import annotations

import sys
import threading
import warnings
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from monitor.clock import SystemClock
from monitor.config import ReplayOptions
from monitor.errors import InputError, MonitorError
from monitor.night.store import NightStore
from monitor.replay import run_replay
from monitor.sources.derivation import choose_derivation
from monitor.sources.expert import expert_hypnogram
from monitor.sources.formats import open_recording
from monitor.sources.mne_files.pieces import Pause, pieces_of, placed_s
from monitor.sources.recording import StartDate
from monitor.types import Track
from offline_training.data.pairs import find_pairs
from offline_training.data.scored import ScoredNight
from tests.sources.reading import notes, read
from tests.sources.recorder_files import (
    BEGIN,
    noise,
    write_brainvision,
    write_eeglab,
    write_gdf,
)

mne = pytest.importorskip("mne")


def write_fif(path: Path, n: int = 5000, cut_s: float = 0.0, **annotations: Any) -> Path:
    """Write 200 Hz of Fpz, Cz, EOG and triggers; annotations count from `BEGIN`."""
    info = mne.create_info(["Fpz", "Cz", "HEOG", "STI"], 200.0, ["eeg", "eeg", "eog", "stim"])
    raw = mne.io.RawArray(noise(n, 4).T * 1e-6, info, verbose="ERROR")
    raw.set_meas_date(BEGIN)
    if annotations:
        raw.set_annotations(mne.Annotations(**annotations, orig_time=BEGIN))
    raw.crop(cut_s).save(path, overwrite=True, verbose="ERROR")
    return path


def test_brainvision_is_read_as_it_was_recorded(tmp_path: Path) -> None:
    uv = noise(5000)
    recording = open_recording(write_brainvision(tmp_path / "night.vhdr", uv))
    assert [(c.name, c.sfreq_hz) for c in recording.channels] == [("Fpz", 250.0), ("Cz", 250.0)]
    assert recording.start.known
    assert (recording.start_utc, recording.duration_s) == (BEGIN, 20.0)
    assert [(a.onset_s, a.text) for a in recording.annotations] == [(1.0, "Lights off")]
    times_s, read_uv = read(recording)
    np.testing.assert_allclose(read_uv, uv[:, 0] - uv[:, 1], atol=1e-4)
    np.testing.assert_array_equal(times_s, np.arange(5000) / 250.0)


def test_channels_in_millivolts_and_in_no_voltage(tmp_path: Path) -> None:
    uv = noise(1000, 3) * 1000.0
    path = write_brainvision(
        tmp_path / "a.vhdr", uv, names=("Fpz", "Cz", "Temp"), units=("µV", "mV", "C")
    )
    recording = open_recording(path)
    assert [c.name for c in recording.channels] == ["Fpz", "Cz"]
    np.testing.assert_allclose(read(recording, "Cz")[1], uv[:, 1], atol=300.0)  # 0.5 mV steps


def test_brainvision_pause_is_a_gap_and_moves_what_comes_after_it(tmp_path: Path) -> None:
    segments = ((0, 0.0), (100, 60.0), (2500, 100.0))
    uv = noise(5000)
    recording = open_recording(write_brainvision(tmp_path / "a.vhdr", uv, segments=segments))
    times_s, read_uv = read(recording)
    assert times_s[[99, 100, 2499, 2500]].tolist() == [99 / 250, 60.0, 60.0 + 2399 / 250, 100.0]
    assert read_uv.size == 5000
    assert recording.duration_s == 110.0
    (lights,) = [a for a in recording.annotations if a.text == "Lights off"]
    assert lights.onset_s == 60.0 + 150 / 250
    assert "paused 2 times, for 90 s" in notes(recording)
    chunk = next(recording.chunks(choose_derivation(recording.channels), start_s=30.0))
    assert chunk.times_s[0] == 60.0


def test_brainvision_pause_of_unknown_length_is_named(tmp_path: Path) -> None:
    path = write_brainvision(tmp_path / "a.vhdr", noise(1000), segments=((0, 0.0), (500, None)))
    recording = open_recording(path)
    assert recording.duration_s == 4.0
    assert "paused or cut once for an unknown time" in notes(recording)


def test_any_file_of_the_recording_opens_the_same_one(tmp_path: Path) -> None:
    path = write_brainvision(tmp_path / "a.vhdr", noise(500))
    prints = {
        open_recording(path.with_suffix(suffix)).fingerprint
        for suffix in (".vhdr", ".eeg", ".vmrk")
    }
    assert len(prints) == 1
    write_brainvision(path, noise(500) + 0.5)  # only the data differ
    assert open_recording(path).fingerprint not in prints


def test_eeglab_cut_is_a_gap_and_stages_lie_behind_it(tmp_path: Path) -> None:
    uv = noise(250 * 90)
    events = [
        ("Sleep stage W", 1.0, 7500.0),
        ("boundary", 7500.5, 15_000.0),
        ("Sleep stage N2", 7501.0, 7500.0),
        ("Sleep stage N3", 15_001.0, 7500.0),
    ]
    recording = open_recording(write_eeglab(tmp_path / "night.set", uv, events=events))
    assert recording.start.date is StartDate.UNKNOWN
    assert "no start date" in notes(recording)
    times_s, read_uv = read(recording)
    np.testing.assert_allclose(read_uv, uv[:, 0] - uv[:, 1], atol=1e-3)
    np.testing.assert_allclose(times_s[[0, 7499, 7500]], [0.0, 29.996, 90.0])
    expert = expert_hypnogram(recording)
    assert expert is not None
    assert [(s.onset_s, s.stage) for s in expert.spans] == [(0.0, "W"), (90.0, "N2"), (120.0, "N3")]
    assert "paused once, for 60 s" in notes(recording)


def test_eeglab_file_that_holds_its_samples(tmp_path: Path) -> None:
    pytest.importorskip("eeglabio")
    uv = noise(2500)
    info = mne.create_info(["Fpz", "Cz"], 250.0, "eeg")
    raw = mne.io.RawArray(uv.T * 1e-6, info, verbose="ERROR")
    mne.export.export_raw(tmp_path / "a.set", raw, verbose="ERROR")
    recording = open_recording(tmp_path / "a.set")
    np.testing.assert_allclose(read(recording)[1], uv[:, 0] - uv[:, 1], atol=1e-3)


def test_fif_with_lost_samples_that_was_cropped(tmp_path: Path) -> None:
    path = write_fif(
        tmp_path / "night_raw.fif",
        cut_s=2.0,
        onset=[4.0, 12.0],
        duration=[3.0, 0.0],
        description=["BAD_ACQ_SKIP", "Lights off"],
    )
    recording = open_recording(path)
    assert [c.name for c in recording.channels] == ["Fpz", "Cz", "HEOG"]
    assert recording.start_utc == BEGIN + timedelta(seconds=2)
    assert recording.annotations[-1].onset_s == 10.0
    for chunk_s in (0.7, 30.0):
        times_s, read_uv = read(recording, chunk_s=chunk_s)
        np.testing.assert_allclose(times_s, np.r_[0:400, 1000:4600] / 200)
        truth_uv = noise(5000, 4)[400:]
        np.testing.assert_allclose(
            read_uv, np.diff(truth_uv[:, 1::-1])[:, 0][np.r_[0:400, 1000:4600]], atol=1e-3
        )
    assert "interrupted once, for 3 s" in notes(recording)


def test_split_fif_is_one_recording(tmp_path: Path) -> None:
    info = mne.create_info(["Fpz", "Cz"], 200.0, "eeg")
    raw = mne.io.RawArray(noise(400_000).T * 1e-6, info, verbose="ERROR")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw.save(tmp_path / "n_raw.fif", split_size="2MB", buffer_size_sec=10, verbose="ERROR")
    assert len(list(tmp_path.iterdir())) > 1
    recording = open_recording(tmp_path / "n_raw.fif")
    assert recording.duration_s == 2000.0
    assert [pair.recording.name for pair in find_pairs(tmp_path)] == ["n_raw.fif"]
    (tmp_path / "n_raw-1.fif").unlink()
    with pytest.raises(InputError, match=r"n_raw.fif lacks a file.*copy all files"):
        open_recording(tmp_path / "n_raw.fif")


def test_gdf_is_read_as_it_was_recorded(tmp_path: Path) -> None:
    uv = noise(5000)
    recording = open_recording(write_gdf(tmp_path / "night.gdf", uv))
    assert [(c.name, c.sfreq_hz) for c in recording.channels] == [("Fpz", 250.0), ("Cz", 250.0)]
    assert abs(recording.start_utc - BEGIN) < timedelta(milliseconds=1)
    assert [(a.onset_s, a.text) for a in recording.annotations] == [(1.0, "768")]
    np.testing.assert_allclose(read(recording)[1], uv[:, 0] - uv[:, 1], atol=1e-3)


def test_anonymised_fif_has_no_date(tmp_path: Path) -> None:
    path = write_fif(tmp_path / "a_raw.fif")
    raw = mne.io.read_raw_fif(path, verbose="ERROR").load_data()
    raw.anonymize(verbose="ERROR").save(path, overwrite=True, verbose="ERROR")
    assert open_recording(path).start.date is StartDate.UNKNOWN


def test_microvolts_that_were_saved_as_volts_are_named(tmp_path: Path) -> None:
    raw = mne.io.RawArray(noise(1000).T, mne.create_info(["Fpz", "Cz"], 200.0, "eeg"), verbose=40)
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    assert "saved with microvolts where MNE expects volts" in notes(
        open_recording(tmp_path / "a_raw.fif")
    )


def test_bad_channel_is_named_and_missing_values_are_gaps(tmp_path: Path) -> None:
    uv = noise(2000)
    uv[500:700] = np.nan
    raw = mne.io.RawArray(uv.T * 1e-6, mne.create_info(["Fpz", "Cz"], 200.0, "eeg"), verbose=40)
    raw.info["bads"] = ["Cz"]
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    recording = open_recording(tmp_path / "a_raw.fif")
    assert "The file marks Cz as bad." in notes(recording)
    np.testing.assert_allclose(read(recording)[0], np.r_[0:500, 700:2000] / 200)


def test_a_name_without_its_suffix_is_found_by_content(tmp_path: Path) -> None:
    path = write_fif(tmp_path / "night_raw.fif")
    assert open_recording(path.rename(tmp_path / "night_raw.dat.fif")).duration_s == 25.0
    edf = tmp_path / "night.cnt"
    raw = mne.io.RawArray(
        noise(2000).T * 1e-6, mne.create_info(["Fpz", "Cz"], 200, "eeg"), verbose=40
    )
    mne.export.export_raw(tmp_path / "night.edf", raw, verbose="ERROR")
    (tmp_path / "night.edf").rename(edf)
    assert type(open_recording(edf)).__name__ == "EdfRecording"


def test_folder_has_each_recording_once_and_scored_nights_open(tmp_path: Path) -> None:
    write_brainvision(tmp_path / "a.vhdr", noise(500))
    events = [(f"Sleep stage {s}", 7500.0 * n + 1, 7500.0) for n, s in enumerate(["W", "N2", "R"])]
    write_eeglab(tmp_path / "b.set", noise(250 * 90), events=events)
    (tmp_path / "other.mat").write_bytes(b"MATLAB 5.0 MAT-file, of something else")
    assert [pair.recording.name for pair in find_pairs(tmp_path)] == ["a.vhdr", "b.set"]
    night = ScoredNight.open(tmp_path / "b.set")
    assert night.stage.tolist() == [0, 2, 4]


def test_replay_of_brainvision_stages_its_epochs(tmp_path: Path) -> None:
    path = write_brainvision(tmp_path / "night.vhdr", noise(250 * 95))
    store = tmp_path / "night.sqlite"
    options = ReplayOptions(path, store=store, no_redis=True, dashboard=False)
    run_replay(options, Console(quiet=True), SystemClock(), threading.Event())
    with closing(NightStore.open(store)) as night:
        assert len(list(night.predictions(Track.LIVE))) == 3
        assert night.session().derivation == "Fpz-Cz"


@pytest.mark.parametrize("suffix", [".vhdr", ".set", ".fif"])
def test_damaged_bytes_give_one_line_or_samples(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a_raw{suffix}"
    {".vhdr": write_brainvision, ".set": write_eeglab}.get(suffix, lambda p, _: write_fif(p))(
        path, noise(1000)
    )
    whole, random = path.read_bytes(), np.random.default_rng(3)
    for n in range(2 if suffix == ".set" else 16):  # a process of its own tries each .set
        content = bytearray(whole[: int(random.integers(1, len(whole)))] if n % 2 else whole)
        for place in random.integers(0, min(len(content), 3000), 1 + n // 4):
            content[place] = int(random.integers(256))
        path.write_bytes(content)
        try:
            recording = open_recording(path)
            derivation = choose_derivation(recording.channels, recording.channels[0].name)
            assert "\n" not in "".join(recording.notes(derivation))
            for chunk in recording.chunks(derivation, 30.0):
                assert np.isfinite(chunk.times_s).all() and np.isfinite(chunk.data_uv).all()
        except MonitorError as exc:
            assert "\n" not in str(exc)


def test_fif_whose_tags_lead_back_ends(tmp_path: Path) -> None:
    """MNE would follow them for ever."""
    path = write_fif(tmp_path / "a_raw.fif")
    content = bytearray(path.read_bytes())
    content[48:52] = b"\x00\x00\x00\x00"  # no directory of the tags: they are followed
    second = 36  # behind the first tag: its header has 16 bytes, its content 20
    content[second + 12 : second + 16] = second.to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged: its parts lead back to byte 36"):
        open_recording(path)


def test_missing_file_of_a_recording_is_named(tmp_path: Path) -> None:
    path = write_brainvision(tmp_path / "a.vhdr", noise(500))
    path.with_suffix(".eeg").rename(tmp_path / "b.eeg")
    with pytest.raises(InputError, match=r"a.vhdr lacks a file that belongs to it.*copy all"):
        open_recording(path)
    with pytest.raises(InputError, match=r"b.eeg lacks the .vhdr file"):
        open_recording(tmp_path / "b.eeg")


def test_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = write_brainvision(tmp_path / "a.vhdr", noise(500_000))
    recording = open_recording(path)
    path.with_suffix(".eeg").unlink()
    with pytest.raises(MonitorError, match=r"a.vhdr cannot be read at 0 s"):
        read(recording)


def test_without_the_extra_one_line_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mne", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"pip install '\.\[formats\]'") as caught:
        open_recording(write_brainvision(tmp_path / "a.vhdr", noise(500)))
    assert "\n" not in str(caught.value)


def test_pauses_that_cannot_be_are_no_gaps() -> None:
    pauses = [
        Pause(100, begins_s=1.0),  # no pause: the samples take as long
        Pause(200, begins_s=-500.0),  # the clock was set back
        Pause(300, lasts_s=float("nan")),
        Pause(400, lasts_s=1e9),
        Pause(500, lasts_s=2.0),
        Pause(9999, lasts_s=2.0),  # after the last sample
    ]
    pieces, said = pieces_of(pauses, 1000, 100.0)
    assert [(p.first, p.n, p.start_s) for p in pieces] == [(0, 500, 0.0), (500, 500, 7.0)]
    assert [placed_s(pieces, n, 100.0) for n in (0, 499, 500, 1000)] == [0.0, 4.99, 7.0, 12.0]
    assert "paused once, for 2 s" in said[0] and "3 times for an unknown time" in said[1]
