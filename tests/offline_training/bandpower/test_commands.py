"""The commands for band-power weights: files, messages and exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.card import read_card
from models.contract import Gain
from models.weights import load
from tests.offline_training.data.measured import write_data
from tests.offline_training.program import Program


def test_fit_and_evaluate_write_weights_that_load(tmp_path: Path, sleep_train: Program) -> None:
    write_data(tmp_path, subjects=4)
    common = ("--data", str(tmp_path), "--out", str(tmp_path / "out"), "--steps", "1")
    code, out, err = sleep_train("fit-bandpower", *common, "--no-export")
    assert code == 0 and "min left" in err and "gain-free.safetensors" in out
    path = tmp_path / "out" / "gain-free.safetensors"
    network, contract = load(path)
    assert contract.gain is Gain.UNKNOWN and network.config.gain_free
    folds = ("--folder", str(tmp_path / "folds"), "--folds", "2", "--run-folds", "1")
    code, out, _ = sleep_train("evaluate-bandpower", *common, *folds)
    assert code == 0 and out.count("kappa") == 4
    figures = read_card(path)["figures"]["cross_validated"]
    assert figures["folds_run"] == 1 and figures["command"].startswith("sleep-train evaluate")
    load(path)


def test_bad_input_prints_one_line_and_exits_with_2(tmp_path: Path, sleep_train: Program) -> None:
    code, _, err = sleep_train("fit-bandpower", "--data", str(tmp_path))
    assert code == 2 and err.count("\n") == 1 and "sleep_edf_bandpower.npz" in err
    code, _, err = sleep_train(
        "evaluate-bandpower",
        *("--data", str(tmp_path), "--out", str(tmp_path), "--folder", str(tmp_path)),
    )
    assert code == 2 and err.count("\n") == 1 and "has no card" in err


@pytest.mark.parametrize("command", ["fit-bandpower", "evaluate-bandpower"])
def test_help_shows_an_example(command: str, sleep_train: Program) -> None:
    code, out, _ = sleep_train(command, "--help")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert code == 0 and f"Example: sleep-train {command}" in plain
