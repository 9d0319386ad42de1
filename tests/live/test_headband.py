"""The software headband sends every sample to another process, at its pace, with its stamps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.live.headband_signals import MadeUpNight
from tests.live.processes import ROOT, HeadbandProgram, environment, wait_for

NIGHT_S = 60.0
N_SAMPLES = round(NIGHT_S * 256)

RECEIVE = """
import sys, time, numpy, pylsl
path, n_expected = sys.argv[1], int(sys.argv[2])
inlet = pylsl.StreamInlet(pylsl.resolve_byprop("source_id", "headband-1", timeout=20)[0])
inlet.open_stream()
data, stamps, n_received, ends_s = [], [], 0, time.monotonic() + 20.0
while time.monotonic() < ends_s:
    chunk, times = inlet.pull_chunk(timeout=0.1)
    if times:
        data.append(numpy.asarray(chunk)); stamps.append(times)
        n_received += len(times)
        if n_received >= n_expected:
            ends_s = min(ends_s, time.monotonic() + 1.0)  # one more sample would come soon
numpy.savez(path, data=numpy.concatenate(data), stamps=numpy.concatenate(stamps))
"""


def receive(
    folder: Path, n_expected: int, *arguments: str
) -> tuple[np.ndarray, np.ndarray, HeadbandProgram]:
    """Run a headband; return its samples (n, n_channels), their stamps (n,), and its program.

    A process receives over LSL until 1 s after ``n_expected`` samples, for 20 s at most.
    """
    env, path = environment(folder), folder / "received.npz"
    night = ("--night", f"{NIGHT_S:g}", "--speed", "30", "--settle", "0.5")
    options = (*night, *arguments, "--wait-consumer", "--until-killed")
    with HeadbandProgram(folder, env, *options) as headband:
        receiver = [sys.executable, "-c", RECEIVE, str(path), str(n_expected)]
        subprocess.run(receiver, env=env, cwd=ROOT, check=True, timeout=60)
        wait_for(lambda: bool(headband.lines("end")), "the end", 10.0, headband)
    with np.load(path) as file:
        return file["data"], file["stamps"], headband


def test_every_sample_arrives_with_its_true_time(tmp_path: Path) -> None:
    data, stamps, headband = receive(tmp_path, N_SAMPLES, "--seed", "5")
    night = MadeUpNight(NIGHT_S, ("TP9", "AF7", "AF8", "TP10"), 256.0, seed=5)
    np.testing.assert_array_equal(data.T, night.read(0, night.n_samples))
    (start,) = headband.lines("start")
    np.testing.assert_allclose(stamps, start["t0"] + night.times_s(0, night.n_samples), atol=1e-9)


def test_faults_change_the_stream_and_are_reported(tmp_path: Path) -> None:
    data, _, headband = receive(tmp_path, N_SAMPLES - 1280, "--faults", "gap=5@20")
    (end,) = headband.lines("end")
    assert end["faults"] == {"gap=5@20": {"samples": 1280, "first": 5120, "last": 6399}}
    assert data.shape[0] == end["sent"] == N_SAMPLES - 1280


def test_a_headband_started_again_continues_at_the_present_point_of_the_night(
    tmp_path: Path,
) -> None:
    """The samples that were due while it was away are lost."""
    env = environment(tmp_path)
    arguments = ("--night", "3600", "--speed", "60")
    with HeadbandProgram(tmp_path, env, *arguments) as headband:
        wait_for(lambda: len(headband.lines("progress")) > 2, "some progress", 20.0, headband)
        headband.kill()
    (start,) = headband.lines("start")
    reached = headband.lines("progress")[-1]["reached"]
    with HeadbandProgram(tmp_path, env, *arguments, "--t0", repr(start["t0"])) as headband:
        wait_for(lambda: len(headband.lines("start")) > 1, "another start", 20.0, headband)
    again = headband.lines("start")[-1]
    assert again["t0"] == start["t0"]
    assert abs(again["t0_utc"] - start["t0_utc"]) < 0.05
    assert again["first"] > reached
