"""`sleep-deploy parity`: every backend is judged, or has a reason why not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from deploy import cli
from deploy.parity import judge_backends
from models.card import default_weights
from models.contract import Gain
from monitor.staging.backend import Backend, BackendRefusedError, BackendUnavailableError
from tests.nights import backend


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["sleep-deploy", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def test_every_backend_is_judged_or_has_a_reason_why_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "parity.json"
    gain = ["--gain", "known", "--exported", str(tmp_path)]
    assert run_command(monkeypatch, "parity", *gain, "--json", str(path)) in (0, None)
    verdicts = {verdict["backend"]: verdict for verdict in json.loads(path.read_text())}
    assert list(verdicts) == ["tensorrt", "cuda", "onnx", "torch"]
    assert verdicts["onnx"]["parity"]["label_agreement"] == 1.0
    assert verdicts["torch"]["parity"]["largest_difference"] == 0.0
    assert all(verdict["parity"] or verdict["trouble"] for verdict in verdicts.values())
    assert "passed" in capsys.readouterr().out


def test_weights_are_for_one_gain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(monkeypatch, "parity", "--weights", "x", "--gain", "known") == 2
    assert "use only one of them" in capsys.readouterr().err


def test_a_backend_that_the_gate_refused_has_failed_and_a_missing_one_has_not() -> None:
    def open_one(name: str, weights: Path, exported: Path) -> Backend:
        if name == "cuda":
            raise BackendRefusedError("the parity gate refused it")
        if name == "onnx":
            raise RuntimeError("a driver\nfailed")
        if name == "torch":
            return backend()
        raise BackendUnavailableError("there is no NVIDIA GPU here")

    verdicts = judge_backends(default_weights(Gain.KNOWN), Path("none"), open_one)
    assert [(each.backend, each.available, each.failed) for each in verdicts] == [
        ("tensorrt", False, False),
        ("cuda", True, True),
        ("onnx", True, True),
        ("torch", True, False),
    ]
    assert verdicts[1].trouble == "the parity gate refused it"
