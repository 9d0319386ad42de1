"""The monitor runs without PyTorch, matplotlib, MNE and a web server; what needs them says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.card import default_weights, read_contract
from models.contract import Gain
from tests.nights import EXCERPT

MISSING = (
    *("torch", "matplotlib", "safetensors", "onnx", "onnxscript", "edfio", "mne"),
    *("starlette", "uvicorn", "segno"),
)

# Python runs this file when it starts, also in the monitor's child processes.
SITECUSTOMIZE = f"""
import sys

class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {MISSING}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing)
"""


@pytest.fixture
def lean(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a Python without the packages of the extra `train`."""
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    # pytest's filterwarnings must not reach the programs.
    return os.environ | {"PYTHONPATH": str(tmp_path), "COLUMNS": "200"}


def run(lean: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=lean, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("module", MISSING)
def test_the_modules_are_missing_in_these_tests(lean: dict[str, str], module: str) -> None:
    assert f"No module named '{module}'" in run(lean, "-c", f"import {module}").stderr


def test_onnxruntime_sends_no_usage_data(lean: dict[str, str], tmp_path: Path) -> None:
    """Its telemetry would keep a database in the user's cache. It stays off in CI by itself."""
    home = tmp_path / "home"
    home.mkdir()
    env = {name: value for name, value in lean.items() if name not in ("CI", "XDG_CACHE_HOME")}
    env |= {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    env.pop("ORT_DISABLE_TELEMETRY", None)
    found = run(env, "-m", "monitor.cli", "doctor")
    assert "Staging with onnx" in found.stdout
    assert [path.name for path in home.rglob("*") if path.is_file()] == []


def test_the_demo_recording_is_replayed_with_the_same_figures(
    lean: dict[str, str], tmp_path: Path
) -> None:
    store = ["--store", str(tmp_path / "night.sqlite"), "--no-redis"]
    found = run(lean, "-m", "monitor.cli", "replay", str(EXCERPT), *store)
    assert found.returncode == 0, found.stderr
    assert "Staging with onnx" in found.stdout + found.stderr
    for track, kappa in (("live", "0.817"), ("revised", "0.840")):
        (line,) = [line for line in found.stdout.splitlines() if kappa in line]
        assert track in line.lower()


def test_every_module_that_needs_no_gpu_is_imported(lean: dict[str, str]) -> None:
    program = """
import importlib, pkgutil
import monitor
for each in pkgutil.walk_packages(monitor.__path__, "monitor."):
    served = each.name.startswith("monitor.web.") and not each.name.endswith(("link", "beside"))
    if not (served or each.name.endswith(("__main__", ".device_backend", ".network_parts"))):
        importlib.import_module(each.name)
import models.card, models.contract, models.files, models.graphs
print("imported")
"""
    found = run(lean, "-c", program)
    assert found.stdout == "imported\n", found.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("live", "--help"), ("replay", "--help")])
def test_help_needs_none_of_them(lean: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert run(lean, "-m", "monitor.cli", *arguments).returncode == 0


def test_the_doctor_stages_an_epoch(lean: dict[str, str]) -> None:
    found = run(lean, "-m", "monitor.cli", "doctor", "--redis", "none")
    assert "Staging with onnx" in found.stdout, found.stderr
    assert "stages an epoch in" in found.stdout
    assert "Traceback" not in found.stdout + found.stderr


def test_the_version_names_weights_and_backend(lean: dict[str, str]) -> None:
    found = run(lean, "-m", "monitor.cli", "--version")
    first, second = found.stdout.splitlines()
    assert first.startswith("sleep-monitor ") and "backend onnx (onnxruntime " in first
    for gain in Gain:
        contract = read_contract(default_weights(gain))
        assert f"{contract.full_name} (sha256 {contract.weights_sha256[:8]})" in second


def test_torch_says_what_to_install(lean: dict[str, str]) -> None:
    command = ["-m", "monitor.cli", "replay", str(EXCERPT), "--no-redis", "--backend", "torch"]
    found = run(lean, *command)
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        "sleep-monitor: the network cannot be run here: torch: safetensors is not installed; "
        "run pip install '.[train]' in the monitor's source folder"
    ]


@pytest.mark.parametrize("command", [("web",), ("live", "lsl", "--web"), ("web", "--link")])
def test_the_page_says_what_to_install(lean: dict[str, str], command: tuple[str, ...]) -> None:
    found = run(lean, "-m", "monitor.cli", *command)
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        "sleep-monitor: the page needs segno: run pip install '.[web]' in the monitor's source "
        "folder"
    ]


def test_weights_without_an_export_say_which_command_makes_it(
    lean: dict[str, str], tmp_path: Path
) -> None:
    weights = tmp_path / "own.safetensors"
    for suffix in (".safetensors", ".json"):
        shutil.copy(default_weights(Gain.KNOWN).with_suffix(suffix), weights.with_suffix(suffix))
    command = ["-m", "monitor.cli", "replay", str(EXCERPT), "--no-redis"]
    found = run(lean, *command, "--weights", str(weights))
    assert found.returncode == 2
    line = found.stderr.splitlines()[-1]
    assert "onnx: these weights are not exported yet" in line
    assert f"run sleep-deploy export --weights {weights}" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("offline_training.cli", "fit", "--data", "."),
        ("offline_training.cli", "--help"),
        ("deploy.cli", "export"),
        ("deploy.cli", "parity"),
        ("deploy.cli", "build-engine"),
        ("deploy.cli", "benchmark", "soak", "--plot", "soak.png"),
        ("deploy.cli", "benchmark", "night"),
    ],
    ids=" ".join,
)
def test_the_other_programs_say_what_to_install(
    lean: dict[str, str], arguments: tuple[str, ...]
) -> None:
    found = run(lean, "-m", *arguments)
    assert found.returncode in (1, 2)
    (line,) = found.stderr.splitlines()
    assert line.startswith(("sleep-train needs ", "sleep-deploy: "))
    extra = "dev" if "night" in arguments else "train"
    assert f"pip install '.[{extra}]' in the monitor's source folder" in line


def test_sleep_deploy_shows_its_help(lean: dict[str, str]) -> None:
    assert run(lean, "-m", "deploy.cli", "--help").returncode == 0
