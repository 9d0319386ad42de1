"""BrainFlow sources with boards that need no hardware: synthetic, playback and streaming."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from monitor.clock import Clock, ManualClock, SystemClock, Timeline
from monitor.config import BrainflowConfig
from monitor.errors import InputError
from monitor.sources.brainflow import BrainflowSource
from monitor.sources.brainflow.boards import find_board
from monitor.sources.brainflow.failures import explain
from monitor.sources.brainflow.worker import Ages
from monitor.types import F64
from tests.brainflow_peer import GROUP, poll_for, write_recording

Open = Callable[..., BrainflowSource]


@pytest.fixture
def open_source() -> Iterator[Open]:
    sources: list[BrainflowSource] = []

    def opened(clock: Clock | None = None, **config: object) -> BrainflowSource:
        timeline = Timeline(clock or SystemClock())
        sources.append(BrainflowSource(BrainflowConfig.model_validate(config), timeline))
        return sources[-1]

    yield opened
    for source in sources:
        source.close()


def wait_until(source: BrainflowSource, status: str) -> None:
    end_s = time.monotonic() + 10.0
    while status not in source.status:
        assert time.monotonic() < end_s, f"expected {status!r}, got {source.status!r}"
        source.poll()
        time.sleep(0.01)


def test_synthetic_board_streams(open_source: Open) -> None:
    source = open_source(board="Synthetic")
    assert source.device is None and source.clock_offset_s is None
    assert source.status == "looking for synthetic"
    chunks = poll_for(source, 10.0, count=300)
    assert source.status == "streaming"
    assert source.device is not None
    assert source.device.sfreq_hz == 250.0 and len(source.device.channels) == 16
    times_s = np.concatenate([c.times_s for c in chunks])
    assert np.diff(times_s).min() > 0.95 / 250 * 0.9 and np.diff(times_s).max() < 1.2 / 250
    assert abs(times_s[-1] - time.time()) < 0.5
    data_uv = np.concatenate([c.data_uv for c in chunks], axis=1)
    assert data_uv.shape == (16, times_s.size) and data_uv.dtype == np.float32
    assert 1.0 < data_uv.std() < 1000.0


@pytest.mark.parametrize(("board", "rate_hz", "each"), [("cyton", 250, 1), ("muse_2", 256, 12)])
def test_lost_packages_leave_gaps(
    open_source: Open, tmp_path: Path, board: str, rate_hz: int, each: int
) -> None:
    """Each channel holds the number of its sample, so that its place in time is known."""
    lost = (600, 612), (660, 672), (720, 744)
    index = np.delete(np.arange(900), np.concatenate([np.arange(*gap) for gap in lost]))
    file = write_recording(tmp_path / "night.csv", board, index, each)
    source = open_source(board=f"playback:{board}", file=file)
    chunks = poll_for(source, 8.0, count=index.size)
    truth = np.concatenate([c.data_uv[0] for c in chunks])
    times_s = np.concatenate([c.times_s for c in chunks])
    np.testing.assert_array_equal(truth, index)
    steps = np.diff(times_s) * rate_hz
    np.testing.assert_array_equal(np.round(steps), np.diff(index))


def test_a_silent_board_is_released_and_prepared_again(open_source: Open, tmp_path: Path) -> None:
    """At its end a playback neither raises nor sends, as a headband that is out of reach."""
    clock = ManualClock()
    file = write_recording(tmp_path / "short.csv", "cyton", np.arange(50), 1)
    source = open_source(clock, board="playback:cyton", file=file)
    first = poll_for(source, 10.0, count=50)
    clock.advance(9.9)
    assert not source.poll() and source.status == "streaming"
    clock.advance(0.1)
    source.poll()
    assert source.status.startswith("releasing playback_file:cyton: ")
    wait_until(source, "trying again in 1 s: playback_file:cyton sent nothing for 10 s")
    clock.advance(1.0)
    again = poll_for(source, 10.0, count=50)
    assert source.status == "streaming"
    assert again[0].times_s[0] > first[-1].times_s[-1] + 10.0


def test_looks_for_a_board_until_morning_with_growing_waits(open_source: Open) -> None:
    clock = ManualClock()
    source = open_source(clock, board="cyton", port="/dev/tty-not-there")
    waits_s = []
    for _ in range(8):
        wait_until(source, "trying again")
        waits_s.append(int(source.status.split()[3]))
        assert "plug the dongle in, or check --port" in source.status
        clock.advance(60.0)
        assert not source.poll()
    assert source.device is None
    for wait_s, longest_s in zip(waits_s, [1, 2, 4, 8, 16, 32, 60, 60], strict=True):
        assert 0.5 * longest_s <= wait_s <= longest_s


def test_the_search_for_a_board_delays_no_other_board(open_source: Open) -> None:
    """BrainFlow locks all boards of a process while it waits 6 s for this one."""
    listener, port = pty.openpty()
    try:
        away = open_source(board="cyton", port=os.ttyname(port))
        here = open_source(board="synthetic")
        poll_for(here, 10.0, count=1)
        away.poll()
        began_s = time.monotonic()
        for _ in range(5):
            poll_for(here, 10.0, count=50)
            away.poll()
        assert time.monotonic() - began_s < 3.0
        assert away.status == "looking for cyton"
    finally:
        os.close(listener)
        os.close(port)


def test_releases_the_board_when_the_monitor_is_killed() -> None:
    code = """
import time
from monitor.clock import SystemClock, Timeline
from monitor.config import BrainflowConfig
from monitor.sources.brainflow import BrainflowSource
source = BrainflowSource(BrainflowConfig(board="synthetic"), Timeline(SystemClock()))
while not source.poll():
    time.sleep(0.01)
print(source._worker._process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as monitor:
        assert monitor.stdout is not None
        worker = int(monitor.stdout.readline())
        monitor.send_signal(signal.SIGKILL)
    end_s = time.monotonic() + 5.0
    while _alive(worker):
        assert time.monotonic() < end_s
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-rn", "ip", "link"], capture_output=True).returncode != 0,
    reason="needs a network namespace of its own for multicast (unshare -rn)",
)
def test_streaming_board_over_multicast() -> None:
    run = subprocess.run(
        ["unshare", "-rn", sys.executable, "-m", "tests.brainflow_peer"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["device"] == f"BrainFlow streaming:synthetic:{GROUP}"
    assert result["samples"] >= 400
    assert result["span_s"] == pytest.approx((result["samples"] - 1) / 250, abs=0.2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"board": "muse_x"}, "--board muse_x: BrainFlow knows no such board; did you mean muse_"),
        ({"board": "callibri_ecg"}, "--board callibri_ecg records no EEG"),
        ({"board": "aavaa_v3"}, "samples at 50 Hz; sleep staging needs 80 Hz"),
        ({"board": "cyton"}, "--board cyton needs --port"),
        ({"board": "cyton_wifi", "port": "192.168.4.1"}, "needs --port, its address and a free"),
        ({"board": "playback"}, "--board playback needs --file"),
        ({"board": "playback:muse_2", "file": "/none.csv"}, "--file /none.csv: there is no such"),
        ({"board": "playback", "file": __file__}, "such as --board playback:muse_2"),
        ({"board": "playback:streaming", "file": __file__}, "such as --board playback:muse_2"),
        ({"board": "streaming:muse_2"}, "needs --port, the multicast address"),
        ({"board": "muse_2:muse_s"}, "only playback and streaming take another board"),
    ],
)
def test_refuses_options_that_no_waiting_can_mend(config: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        find_board(BrainflowConfig.model_validate(config))


def test_refuses_a_file_that_cannot_be_played(open_source: Open, tmp_path: Path) -> None:
    file = tmp_path / "one-line.csv"
    file.write_text("1\n")
    source = open_source(board="playback:cyton", file=file)
    file.unlink()
    with pytest.raises(InputError, match="cannot be used with these options"):
        poll_for(source, 10.0)


@pytest.mark.parametrize(
    ("board", "port", "channels", "candidates"),
    [
        ("MUSE_S", None, ("TP9", "AF7", "AF8", "TP10"), "AF7-TP9"),
        ("muse-2", None, ("TP9", "AF7", "AF8", "TP10"), "AF7-TP9"),
        ("muse_s_athena_board", None, ("TP9", "AF7", "AF8", "TP10"), "AF7-TP9"),
        ("Cyton", "COM3", ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"), "Fp1"),
        ("cyton_wifi", "192.168.4.1:6987", tuple("12345678"), "1"),
        ("ganglion", "/dev/ttyACM0", tuple("1234"), "1"),
        ("crown", None, ("CP3", "C3", "F5", "PO3", "PO4", "F6", "C4", "CP4"), "F5"),
        ("brainbit", None, ("T3", "T4", "O1", "O2"), "T3"),
    ],
)
def test_describes_headbands(
    board: str, port: str | None, channels: tuple[str, ...], candidates: str
) -> None:
    found = find_board(BrainflowConfig(board=board, port=port))
    assert found.channels == channels
    assert found.candidates[0] == candidates
    for candidate in found.candidates:
        assert set(candidate.split("-")) <= set(channels)


def test_the_athena_sends_eeg_only() -> None:
    """With its lamps on, the battery would be empty long before morning."""
    assert find_board(BrainflowConfig(board="muse_athena")).params == {"other_info": "p21"}
    assert find_board(BrainflowConfig(board="muse_s")).params == {}


def test_every_board_is_described_or_refused_with_a_message() -> None:
    from monitor.sources.brainflow.library import board_shim

    for board in board_shim().BoardIds:
        for port in ("COM3", "192.168.4.1:6987"):
            try:
                found = find_board(BrainflowConfig(board=board.name, port=port))
            except InputError as exc:
                assert str(exc).startswith("--board ")
            else:
                assert found.board_id == board.value and found.channels


@pytest.mark.parametrize("code", [None, *range(1, 19)])
def test_failures_are_explained_in_one_line_without_a_code(code: int | None) -> None:
    muse = explain(find_board(BrainflowConfig(board="muse_s")), code, "text of the library")
    cyton = explain(
        find_board(BrainflowConfig(board="cyton", port="COM3")), code, "text of the library"
    )
    for text in (muse, cyton):
        assert "ERROR" not in text and "\n" not in text
    assert explain(find_board(BrainflowConfig(board="muse_s")), code, "a\x1b[2J\nb").isprintable()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may open every port")
def test_the_message_for_a_port_of_another_group_names_the_group(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch(mode=0)
    board = find_board(BrainflowConfig(board="cyton", port=str(port)))
    assert "dialout" in explain(board, 2, "")


def test_ages_keep_the_spread_of_stamps_and_no_step_of_the_clock() -> None:
    ages = Ages()

    def read(stamps_s: list[float], wall_s: float, steady_s: float) -> F64:
        return ages.of(np.array(stamps_s), wall_s, steady_s)

    assert read([99.0], 100.0, 5.0).tolist() == [0.0]  # the first read has nothing to compare with
    assert read([100.25, 100.5], 100.5, 5.5).tolist() == [0.25, 0.0]
    # The wall clock is set back an hour between two samples.
    assert read([100.75, -3499.0], -3499.0, 6.0).tolist() == [0.0, 0.0]
    assert read([-3498.75, -3498.5], -3498.5, 6.5).tolist() == [0.25, 0.0]
    # Stamps of another clock: ages stay within the time since the last read and a second.
    assert read([0.0, 9e9, np.nan], -3498.0, 7.0).tolist() == [0.0, 0.0, 0.0]
    assert read([-9e9], -3497.5, 7.5).tolist() == [1.5]
