"""The live benchmarks fill every figure. Their values depend on the machine, so few are checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deploy import cli
from deploy.live_benchmark import SoakBenchmark, benchmark_live, draw_soak
from deploy.live_headbands import confined_lsl
from deploy.live_listener import Received, StageArrival
from deploy.usage import Usage, usage

needs_unix = pytest.mark.skipif(sys.platform == "win32", reason="needs the commands sleep and true")


@needs_unix
def test_usage_includes_memory_handles_threads_and_children(tmp_path: Path) -> None:
    before = usage(os.getpid())
    ballast = np.ones(8_000_000)
    with (tmp_path / "file").open("w"), subprocess.Popen(["sleep", "60"]) as child:
        after = usage(os.getpid())
        child.kill()
    assert before is not None
    assert after is not None
    assert after.rss_mb > before.rss_mb + 0.9 * ballast.nbytes / 2**20
    assert after.handles > before.handles + 1  # The file, and the handles of the child.
    assert after.threads > before.threads
    assert after.cpu_s >= before.cpu_s


@needs_unix
def test_a_process_that_has_ended_is_not_measured() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert usage(child.pid) is None


def test_lsl_is_confined_to_this_machine(tmp_path: Path) -> None:
    """Two benchmarks at the same time do not find each other's headbands."""
    texts = [Path(confined_lsl(tmp_path)["LSLAPICFG"]).read_text() for _ in range(2)]
    assert all("ResolveScope = machine" in text for text in texts)
    assert texts[0] != texts[1]


def test_missing_epochs_and_lost_samples_are_counted_for_each_session() -> None:
    arrivals = [("a", 3), ("a", 6), ("b", 0), ("b", 1)]  # Epochs 4 and 5 of session a are missing.
    stages = [StageArrival(session, index, 0.05) for session, index in arrivals]
    received = Received(stages, {"a": 7, "b": 2})
    assert (received.missing, received.lost) == (2, 9)
    assert received.delay_ms(50) == pytest.approx(50.0)


def test_a_soak_is_drawn(tmp_path: Path) -> None:
    by_minute = [Usage(float(n), 300.0, 20, 9) for n in range(3)]
    result = SoakBenchmark(2.0, 4, 0, 0, 50.0, 60.0, 61.0, by_minute[2], by_minute[2], by_minute)
    draw_soak(result, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "command",
    [
        ["live", "--sleepers", "1,none"],
        ["live", "--sleepers", "0"],
        ["live", "--minutes", "0"],
        ["soak", "--json", "/no/such/folder/x.json"],
        ["soak", "--plot", "/no/such/folder/x.png"],
    ],
)
def test_bad_options_are_refused_before_anything_is_measured(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sleep-deploy", "benchmark", *command])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert command[1] in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_several_people_are_monitored_and_measured() -> None:
    result = benchmark_live(2, minutes=1.1)
    assert result.n_epochs >= 4
    assert result.epochs_missing == result.samples_lost == 0
    assert 0.0 < result.median_ms <= result.p99_ms <= result.max_ms < 2000.0
    assert result.rss_mb is None or result.rss_mb > 75.0  # Python with onnxruntime needs more.


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_soak_reports_every_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "soak.json"
    command = ["sleep-deploy", "benchmark", "soak", "--minutes", "1.1", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code in (0, None)
    figures = json.loads(path.read_text())
    assert figures["epochs_missing"] == 0
    assert len(figures["by_minute"]) in (0, 3)
    assert "handles" in capsys.readouterr().out
