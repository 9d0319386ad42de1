"""Text recordings against the truth: rate, channels, units, start, gaps."""

from __future__ import annotations

import importlib
import threading
from contextlib import closing
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from monitor.clock import SystemClock
from monitor.config import ReplayOptions
from monitor.errors import InputError, MonitorError
from monitor.night.store import NightStore
from monitor.replay import run_replay
from monitor.sources.brainflow.library import board_shim
from monitor.sources.derivation import choose_derivation
from monitor.sources.formats import open_recording
from monitor.sources.recording import Recording, StartDate
from monitor.sources.texts.even_times import even_times, mended, recorded_rate_hz
from monitor.types import Track
from offline_training.data.pairs import find_pairs
from tests.sources import text_files as files
from tests.sources.reading import notes, read
from tests.sources.text_files import Truth, arrival_s, truth

GAP = (30.0, 5.0)


def check_muse(recording: Recording, recorded: Truth, within_s: float) -> None:
    times_s, uv = read(recording)
    np.testing.assert_allclose(uv, recorded.uv[:, 1] - recorded.uv[:, 0], atol=2e-3)
    np.testing.assert_allclose(times_s, recorded.times_s, atol=within_s)
    assert recording.duration_s == pytest.approx(recorded.times_s[-1], abs=within_s + 0.01)


def test_muselsl_file_has_true_rate_gap_start_and_microvolts(tmp_path: Path) -> None:
    recorded = truth(120.0, 255.9, 4, (GAP,))
    recording = open_recording(files.write_muselsl(tmp_path / "night.csv", recorded))
    assert [c.name for c in recording.channels] == ["TP9", "AF7", "AF8", "TP10", "Right AUX"]
    assert {c.sfreq_hz for c in recording.channels} == {256.0}
    assert choose_derivation(recording.channels).name == "AF7-TP9"
    assert recording.start.known
    assert recording.start_utc.timestamp() == pytest.approx(files.START_S, abs=0.002)
    check_muse(recording, recorded, within_s=0.0039)  # a period
    times_s, _ = read(recording)
    assert np.max(np.diff(times_s)) == pytest.approx(np.max(np.diff(recorded.times_s)), abs=0.004)
    assert "interrupted once, for 5" in notes(recording)


def test_packets_that_share_a_late_stamp_become_even(tmp_path: Path) -> None:
    recorded = truth(120.0, 256.0, 4, (GAP,))
    stamps_s = arrival_s(recorded.times_s, jitter_s=0.02)
    recording = open_recording(files.write_muselsl(tmp_path / "a.csv", recorded, stamps_s))
    check_muse(recording, recorded, within_s=0.06)
    times_s, _ = read(recording)
    assert np.count_nonzero(np.diff(times_s) > 0.05) == 1


def test_stall_whose_samples_come_in_a_burst_is_no_gap(tmp_path: Path) -> None:
    recorded = truth(120.0, 256.0, 4)
    stamps_s = recorded.times_s.copy()
    late = (stamps_s > 40.0) & (stamps_s < 48.0)
    stamps_s[late] = 48.0
    recording = open_recording(files.write_muselsl(tmp_path / "a.csv", recorded, stamps_s))
    check_muse(recording, recorded, within_s=0.01)


def test_whole_second_stamps_become_even(tmp_path: Path) -> None:
    recorded = truth(120.0, 256.0, 4, (GAP,))
    path = files.write_mind_monitor(tmp_path / "a.csv", recorded, decimals=0)
    recording = open_recording(path)
    assert recording.start_utc.timestamp() == pytest.approx(files.START_S, abs=0.1)
    check_muse(recording, recorded, within_s=0.1)


def test_mind_monitor_file_has_raw_channels_events_and_local_start(tmp_path: Path) -> None:
    recorded = truth(90.0, 256.0, 4, (GAP,))
    stamps_s = arrival_s(recorded.times_s, each=4)
    events = {0: "/muse/event/connected MuseS-1A2B", 5120: "/Marker/1", 900: "/muse/elements/blink"}
    path = files.write_mind_monitor(tmp_path / "mind.csv", recorded, stamps_s, events)
    recording = open_recording(path)
    assert [c.name for c in recording.channels] == ["TP9", "AF7", "AF8", "TP10"]
    assert recording.start_utc.timestamp() == pytest.approx(files.START_S, abs=0.02)
    check_muse(recording, recorded, within_s=0.02)
    texts = {a.text: a.onset_s for a in recording.annotations}
    assert texts["/Marker/1"] == pytest.approx(20.0, abs=0.05)
    assert "left out" not in notes(recording)


def test_local_times_with_a_zone_and_damaged_ones_are_read_one_by_one(tmp_path: Path) -> None:
    recorded = truth(30.0, 256.0, 4)
    path = files.write_mind_monitor(tmp_path / "mind.csv", recorded)
    lines = path.read_text().split("\n")
    lines[1:] = [line.replace(",", "+01:00,", 1) for line in lines[1:]]
    lines[3000] = "2026-02-021_0" + lines[3000][10:]
    path.write_text("\n".join(lines))
    recording = open_recording(path)
    assert recording.start_utc.timestamp() == pytest.approx(files.START_S - 3600.0, abs=0.002)
    assert "1 line that holds no sample" in notes(recording)


def test_missing_cells_are_a_gap_of_that_channel_alone(tmp_path: Path) -> None:
    recorded = truth(60.0, 256.0, 4)
    path = files.write_mind_monitor(tmp_path / "mind.csv", recorded)
    lines = path.read_text().split("\n")
    at = files.MIND_MONITOR.index("RAW_AF7")
    for number in range(5121, 5121 + 512):
        cells = lines[number].split(",")
        cells[at] = ""
        lines[number] = ",".join(cells)
    path.write_text("\n".join(lines))
    recording = open_recording(path)
    times_s, _ = read(recording)
    assert np.max(np.diff(times_s)) == pytest.approx(2.0, abs=0.01)
    assert read(recording, "AF8-TP10")[0].size == pytest.approx(recorded.times_s.size, abs=1)


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_summer_time_moves_no_epoch(tmp_path: Path, step_s: float) -> None:
    recorded = truth(60.0, 256.0, 4)
    stamps_s = recorded.times_s + np.where(recorded.times_s >= 30.0, step_s, 0.0)
    recording = open_recording(files.write_mind_monitor(tmp_path / "a.csv", recorded, stamps_s))
    check_muse(recording, recorded, within_s=0.01)
    assert "clock of the recording was set once" in notes(recording)


def test_openbci_file_has_units_names_rate_and_gap_by_sample_number(tmp_path: Path) -> None:
    recorded = truth(90.0, 250.0, 8, (GAP, (60.0, 0.052)))
    numbers = np.round(recorded.times_s * 250.0) % 256
    stamps_s = arrival_s(recorded.times_s, each=10, jitter_s=0.005)
    path = files.write_openbci(tmp_path / "OpenBCI-RAW.txt", recorded, stamps_s, 250.0, numbers)
    recording = open_recording(path)
    names = ["Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"]
    assert [c.name for c in recording.channels] == names
    times_s, uv = read(recording)
    np.testing.assert_allclose(uv, recorded.uv[:, 0], atol=1e-4)
    steps_s = np.diff(times_s)
    short_s, long_s = sorted(steps_s[steps_s > 0.006])
    assert short_s == pytest.approx(0.056, abs=1e-3)  # by the sample number
    assert long_s == pytest.approx(5.004, abs=0.02)  # by the stamps: the numbers wrapped often
    np.testing.assert_allclose(times_s - times_s[0], recorded.times_s, atol=0.02)
    assert "names of the channels are BrainFlow's" in notes(recording)


def test_damaged_sample_number_leaves_the_stamps(tmp_path: Path) -> None:
    recorded = truth(30.0, 250.0, 8)
    numbers = np.arange(recorded.times_s.size) % 256.0
    numbers[3000] = 1e300
    path = files.write_openbci(tmp_path / "a.txt", recorded, recorded.times_s, 250.0, numbers)
    times_s, _ = read(open_recording(path))
    np.testing.assert_allclose(times_s, recorded.times_s, atol=0.002)


def test_openbci_file_without_names_has_milliseconds(tmp_path: Path) -> None:
    recorded = truth(60.0, 250.0, 8)
    path = files.write_old_openbci(tmp_path / "a.txt", recorded, recorded.times_s, True)
    recording = open_recording(path)
    assert recording.start_utc.timestamp() == pytest.approx(files.START_S, abs=0.002)
    times_s, uv = read(recording, "O2")
    np.testing.assert_allclose(uv, recorded.uv[:, 7], atol=6e-3)
    np.testing.assert_allclose(times_s, recorded.times_s, atol=0.002)


def test_openbci_file_with_time_of_day_alone_goes_over_midnight(tmp_path: Path) -> None:
    recorded = truth(60.0, 250.0, 8)
    later_s = recorded.times_s + 21 * 3600.0 + 19 * 60.0 + 30.0  # 23:59:30
    path = files.write_old_openbci(tmp_path / "a.txt", recorded, later_s, False)
    recording = open_recording(path)
    assert recording.start.date is StartDate.UNKNOWN
    assert recording.start.time_known
    assert f"{recording.start_utc:%d %H:%M:%S}" == "01 23:59:30"
    assert recording.duration_s == pytest.approx(60.0, abs=0.01)
    assert "no date" in notes(recording)


def write_brainflow(path: Path, board: str, recorded: Truth) -> Path:
    """Write with BrainFlow's own writer."""
    library = board_shim()
    data_filter = importlib.import_module("brainflow.data_filter")
    data_filter.files = library.files  # as `board_shim` explains
    described = library.BoardShim.get_board_descr(library.BoardIds[board].value)
    data = np.zeros((described["num_rows"], recorded.times_s.size))
    data[described["eeg_channels"]] = recorded.uv.T
    data[described["package_num_channel"]] = np.arange(recorded.times_s.size) % 256
    data[described["timestamp_channel"]] = files.START_S + recorded.times_s
    data_filter.DataFilter.write_file(data, str(path), "w")
    return path


@pytest.mark.parametrize(
    ("board", "rate_hz", "staged", "n_channels"),
    [
        ("MUSE_S_BOARD", 256.0, "AF7-TP9", 4),
        ("CYTON_BOARD", 250.0, "Fp1", 8),
        ("CYTON_DAISY_BOARD", 125.0, "Fp1", 16),
        ("CROWN_BOARD", 256.0, "F5", 8),
    ],
)
def test_brainflow_file_of_a_board_that_its_columns_and_rate_show(
    tmp_path: Path, board: str, rate_hz: float, staged: str, n_channels: int
) -> None:
    recorded = truth(40.0, rate_hz, n_channels, ((10.0, 2.0),))
    recording = open_recording(write_brainflow(tmp_path / "a.csv", board, recorded))
    if staged == "AF7-TP9":
        assert choose_derivation(recording.channels).name == staged
        check_muse(recording, recorded, within_s=0.002)
    assert recording.channels[0].sfreq_hz == rate_hz
    assert len(recording.channels) == n_channels
    times_s, _ = read(recording, recording.channels[0].name)
    np.testing.assert_allclose(times_s, recorded.times_s, atol=0.004)


def test_brainflow_file_that_fits_several_boards_needs_a_name(tmp_path: Path) -> None:
    recorded = truth(40.0, 250.0, 8)
    path = write_brainflow(tmp_path / "night.csv", "NOTION_1_BOARD", recorded)
    with pytest.raises(InputError, match=r"fit .*notion_1.*put the board into the file's name"):
        open_recording(path)
    named = path.rename(tmp_path / "night.notion_2.csv")
    recording = open_recording(named)
    assert recording.channels[1].name == "F5"
    other = open_recording(named.rename(tmp_path / "night.notion_1.csv"))
    assert other.fingerprint != recording.fingerprint


def test_chunks_do_not_depend_on_how_the_recording_is_cut(tmp_path: Path) -> None:
    recorded = truth(60.0, 256.0, 4, (GAP,))
    recording = open_recording(files.write_muselsl(tmp_path / "a.csv", recorded))
    times_s, uv = read(recording)
    for chunk_s in (0.1, 7.7, 100.0):
        again_s, again_uv = read(recording, chunk_s=chunk_s)
        np.testing.assert_array_equal(again_s, times_s)
        np.testing.assert_array_equal(again_uv, uv)
    derivation = choose_derivation(recording.channels)
    late = next(iter(recording.chunks(derivation, start_s=40.0)))
    np.testing.assert_array_equal(late.times_s, times_s[times_s >= 40.0][: late.times_s.size])


def test_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    recorded = truth(20.0, 256.0, 4)
    path = files.write_muselsl(tmp_path / "a.csv", recorded)
    first = open_recording(path).fingerprint
    assert open_recording(path.rename(tmp_path / "b.txt")).fingerprint == first
    path = tmp_path / "b.txt"
    path.write_text(path.read_text().replace("20", "21", 1))
    assert open_recording(path).fingerprint != first


def test_cut_file_gives_what_is_sound_and_a_note(tmp_path: Path) -> None:
    recorded = truth(60.0, 256.0, 4)
    path = files.write_muselsl(tmp_path / "a.csv", recorded)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\n", len(data) // 2) - 5])
    recording = open_recording(path)
    assert 28.0 < recording.duration_s < 31.0
    assert "ends within a line" in notes(recording)
    read(recording)


def test_damaged_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    recorded = truth(60.0, 256.0, 4)
    path = files.write_muselsl(tmp_path / "a.csv", recorded)
    lines = path.read_text().split("\n")
    lines[5000] = "\x1b[31mgarbage"
    lines[6000] = lines[0]
    lines[7000] = "\0" * 300_000
    lines[1] = "0.0" + lines[1][14:]
    lines[8000] = "99999999999.0" + lines[8000][14:]
    path.write_text("\n".join(lines))
    recording = open_recording(path)
    assert "3 lines that hold no sample are left out" in notes(recording)
    times_s, _ = read(recording)
    assert np.abs(np.diff(times_s) * 256.0 - 1.0).max() < 0.6
    assert recording.duration_s == pytest.approx(60.0, abs=0.05)


def test_spreadsheet_with_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    recorded = truth(30.0, 256.0, 4)
    path = files.write_muselsl(tmp_path / "a.csv", recorded)
    text = path.read_text().replace(",", ";").replace(".", ",").replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    check_muse(open_recording(path), recorded, within_s=0.002)


def test_stamps_since_the_start_of_a_computer_have_no_date(tmp_path: Path) -> None:
    recorded = truth(30.0, 256.0, 4)
    path = files.write_muselsl(tmp_path / "a.csv", recorded, recorded.times_s - files.START_S + 9e3)
    recording = open_recording(path)
    assert recording.start.date is StartDate.UNKNOWN
    assert recording.start_utc.date() == date(1985, 1, 1)
    assert "no date and no time of day" in notes(recording)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timestamps,TP9,AF7,AF8,TP10,Right AUX\n", "without samples"),
        ("timestamps,PPG1,PPG2\n1.0,2.0,3.0\n", "holds no EEG, only PPG1, PPG2"),
        ("TimeStamp,Delta_TP9,Elements\n2026-01-01 10:00:00.000,1.0,\n", "band powers only"),
        ("timestamps,TP9\n" + "5.0,1.0\n" * 5000, "stand still"),
        ("timestamps,TP9\n" + "x,1.0\n" * 5000, "is damaged: 0 of its"),
        ("%OpenBCI Raw EXG Data\n%Sample Rate = 250 Hz\n", "without samples"),
        ("%OpenBCI Raw EXG Data\n1, 2, 3\n", "do not hold the channels"),
        ("1.0\t2.0\t3.0\t4.0\t1.77e9\n" * 100, "no board of BrainFlow"),
        ("a,b,c\n1,2,3\n", "has no format"),
    ],
)
def test_file_that_cannot_be_staged_gives_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        open_recording(path)
    assert "\n" not in str(caught.value)


def test_mind_monitor_file_of_one_line_a_second_is_refused_with_advice(tmp_path: Path) -> None:
    path = files.write_mind_monitor(tmp_path / "a.csv", truth(300.0, 1.0, 4))
    with pytest.raises(InputError, match=r"holds 1 samples a second.*'Constant'"):
        open_recording(path)


def test_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = files.write_muselsl(tmp_path / "a.csv", truth(20.0, 256.0, 4))
    recording = open_recording(path)
    path.write_text(path.read_text() + "1.0,2,3,4,5,6\n")
    with pytest.raises(MonitorError, match="changed"):
        read(recording)


def test_replay_of_a_csv_stages_its_epochs(tmp_path: Path) -> None:
    recorded = truth(95.0, 256.0, 4)
    path = files.write_mind_monitor(tmp_path / "mind.csv", recorded)
    store = tmp_path / "night.sqlite"
    options = ReplayOptions(path, store=store, no_redis=True, dashboard=False)
    run_replay(options, Console(quiet=True), SystemClock(), threading.Event())
    with closing(NightStore.open(store)) as night:
        assert len(list(night.predictions(Track.LIVE))) == 3
        assert night.session().derivation == "AF7-TP9"


def test_folder_of_recordings_has_texts_and_no_other_tables(tmp_path: Path) -> None:
    files.write_muselsl(tmp_path / "a.csv", truth(1.0, 256.0, 4))
    (tmp_path / "summary.csv").write_text("night,TST\na,400\n")
    assert [pair.name for pair in find_pairs(tmp_path)] == ["a"]


@pytest.mark.parametrize("seed", range(8))
def test_times_rise_evenly_whatever_the_stamps_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 60_000
    stamps_s = np.arange(n) / rng.uniform(251.5, 260.5) + rng.normal(0.0, 0.02, n)
    for at in rng.integers(0, n, 20):
        stamps_s[at:] += rng.choice([rng.uniform(0.0, 100.0), -rng.uniform(0.0, 100.0), 3600.0])
    stamps_s[rng.integers(0, n, 100)] = np.nan
    stamps_s[rng.integers(0, n, 20)] = rng.uniform(-1e12, 1e12, 20)
    risen_s, _ = mended(stamps_s, 1 / 256.0)
    times_s = even_times(risen_s, 256.0).at(0, n)
    assert np.isfinite(times_s).all()
    assert (np.diff(times_s) * 256.0 > 0.5).all()


@pytest.mark.parametrize(("loss", "within_s"), [(0.01, 0.12), (0.1, 0.25)])
def test_packets_that_are_lost_all_night_keep_time_and_rate(loss: float, within_s: float) -> None:
    rng = np.random.default_rng(3)
    true_s = np.arange(12 * 12_800) / 255.9
    kept = np.repeat(rng.random(12_800) > loss, 12)
    true_s = true_s[kept]
    stamps_s = arrival_s(true_s, jitter_s=0.01)
    assert recorded_rate_hz(stamps_s, 256.0) == 256.0
    times_s = even_times(stamps_s, 256.0).at(0, true_s.size)
    np.testing.assert_allclose(times_s - times_s[0], true_s - true_s[0], atol=within_s)
