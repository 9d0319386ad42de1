"""The benchmarks fill every figure. Their values depend on the machine, so few are checked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from deploy import cli
from deploy.benchmark import benchmark_latency, benchmark_night


def test_a_whole_night_is_replayed_and_measured(tmp_path: Path) -> None:
    ballast = np.ones(80_000_000)  # 640 MB in this process must not count as the monitor's.
    result = benchmark_night(hours=0.05, sfreq_hz=128, backend="onnx")
    assert result.peak_memory_mb < ballast.nbytes / 1e6
    assert result.n_epochs == 6
    assert 0.0 < result.staging_median_ms <= result.staging_p99_ms < result.epoch_ms
    assert result.peak_memory_mb > 75.0  # the imports alone need more


def test_latency_counts_from_the_last_sample(tmp_path: Path) -> None:
    """The delay after the hand-over cannot be longer than the whole delay."""
    result = benchmark_latency(speed=100.0, n_epochs=5)
    assert result.n_epochs == 5
    assert 0.0 < result.handed_over_median_ms < result.recorded_median_ms


def test_figures_are_written_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    command = ["sleep-deploy", "benchmark", "night", "--hours", "0.02", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code in (0, None)
    assert json.loads(path.read_text())["n_epochs"] == 2
    assert "wall_s" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--hours", "0"], ["--json", "/no/such/folder/x.json"]])
def test_bad_options_are_refused_before_anything_is_measured(
    option: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sleep-deploy", "benchmark", "night", *option])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert option[0] in capsys.readouterr().err
