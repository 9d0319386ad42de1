"""The service, the containers and the light requirements agree with the rest of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from monitor.config import Settings

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "sleep-monitor.service"
DOCKERFILES = [DEPLOY / "Dockerfile", DEPLOY / "Dockerfile.nvidia"]


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def test_the_light_requirements_are_those_of_the_project_without_pytorch() -> None:
    heavy = ("torch", "safetensors")  # safetensors is only used by code that imports torch.
    of_project = [each for each in project()["dependencies"] if not each.startswith(heavy)]
    light = [line for line in (DEPLOY / "light.txt").read_text().splitlines() if line[0] != "#"]
    assert light == sorted(of_project + project()["optional-dependencies"]["onnx"])


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / ".local/share/sleep-monitor/venv/bin/sleep-monitor"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    run = subprocess.run(
        [analyze, "verify", "--user", str(UNIT)],
        env=os.environ | {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_docker_compose_accepts_the_file() -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not installed")
    subprocess.run(
        [compose, "-f", str(DEPLOY / "compose.yaml"), "--profile", "nvidia", "config", "--quiet"],
        check=True,
    )


def commands() -> list[list[str]]:
    """Return the arguments of `sleep-monitor` in the unit and in each image's CMD."""
    (unit_command,) = re.findall(r"^ExecStart=\S+/sleep-monitor (.*)$", UNIT.read_text(), re.M)
    found = [unit_command.split()]
    for path in DOCKERFILES:
        (image_command,) = re.findall(r"^CMD \[(.*)\]$", path.read_text(), re.M)
        found.append([word.strip(' "') for word in image_command.split(",")])
    return found


@pytest.mark.parametrize("arguments", commands(), ids=["unit", "Dockerfile", "Dockerfile.nvidia"])
def test_the_command_line_accepts_the_started_command(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "monitor.cli", *arguments, "--help"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_variables_of_the_containers_are_settings() -> None:
    variables = {
        name.lower()
        for path in [*DOCKERFILES, DEPLOY / "compose.yaml"]
        for name in re.findall(r"SLEEP_MONITOR_(\w+)", path.read_text())
    }
    assert variables == {"exported", "config", "redis"}
    assert variables <= {*Settings.model_fields, "config"}


def test_the_project_supports_the_python_of_the_image() -> None:
    versions = re.findall(r"^FROM python:([\d.]+)", DOCKERFILES[0].read_text(), re.M)
    supported = SpecifierSet(project()["requires-python"])
    assert versions and all(supported.contains(version) for version in versions)
