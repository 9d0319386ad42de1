"""The headband is a real one: another process hears all of it, at its pace, with its stamps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.live.processes import ROOT, HeadbandProgram, environment, wait_for
from tests.live.signals import MadeUpNight

LISTEN = """
import sys, time, numpy, pylsl
inlet = pylsl.StreamInlet(pylsl.resolve_byprop("source_id", "headband-1", timeout=20)[0])
inlet.open_stream()
data, stamps, last = [], [], time.monotonic()
while time.monotonic() - last < 5.0:
    chunk, times = inlet.pull_chunk(timeout=0.1)
    if times:
        last = time.monotonic()
        data.append(numpy.asarray(chunk)); stamps.append(times)
numpy.savez(sys.argv[1], data=numpy.concatenate(data), stamps=numpy.concatenate(stamps))
"""


def heard(folder: Path, *arguments: str) -> tuple[np.ndarray, np.ndarray, HeadbandProgram]:
    """All that comes over LSL, (n, n_channels) and (n,), and the program that sent it."""
    env, path = environment(folder), folder / "heard.npz"
    with HeadbandProgram(folder, env, *arguments, "--wait-consumer", "--until-killed") as headband:
        listen = [sys.executable, "-c", LISTEN, str(path)]
        subprocess.run(listen, env=env, cwd=ROOT, check=True, timeout=60)
        wait_for(lambda: bool(headband.told("end")), "the end", 10.0, headband)
    with np.load(path) as file:
        return file["data"], file["stamps"], headband


def test_every_sample_arrives_with_its_true_time(tmp_path: Path) -> None:
    data, stamps, headband = heard(tmp_path, "--night", "60", "--speed", "30", "--seed", "5")
    night = MadeUpNight(60.0, ("TP9", "AF7", "AF8", "TP10"), 256.0, seed=5)
    np.testing.assert_array_equal(data.T, night.read(0, night.n_samples))
    (start,) = headband.told("start")
    np.testing.assert_allclose(stamps, start["t0"] + night.times_s(0, night.n_samples), atol=1e-9)


def test_faults_are_on_the_line_and_told(tmp_path: Path) -> None:
    data, _, headband = heard(tmp_path, "--night", "60", "--speed", "30", "--faults", "gap=5@20")
    (end,) = headband.told("end")
    assert end["faults"] == {"gap=5@20": {"samples": 1280, "first": 5120, "last": 6399}}
    assert data.shape[0] == end["sent"] == 60 * 256 - 1280


def test_started_again_it_goes_on_where_the_night_is(tmp_path: Path) -> None:
    """What was due while it was away is gone."""
    env = environment(tmp_path)
    arguments = ("--night", "3600", "--speed", "60")
    with HeadbandProgram(tmp_path, env, *arguments) as headband:
        wait_for(lambda: len(headband.told("progress")) > 2, "some progress", 20.0, headband)
        headband.kill()
    (start,) = headband.told("start")
    reached = headband.told("progress")[-1]["reached"]
    with HeadbandProgram(tmp_path, env, *arguments, "--t0", repr(start["t0"])) as headband:
        wait_for(lambda: len(headband.told("start")) > 1, "another start", 20.0, headband)
    again = headband.told("start")[-1]
    assert again["t0"] == start["t0"]
    assert abs(again["t0_utc"] - start["t0_utc"]) < 0.05
    assert again["first"] > reached
