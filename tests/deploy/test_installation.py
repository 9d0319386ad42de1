"""The service, the containers and the dependencies agree with the rest of the project."""

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
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from models.card import default_weights
from models.contract import Gain
from models.graphs import graph_files
from monitor.config import Settings

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "sleep-monitor.service"
DOCKERFILES = [DEPLOY / "Dockerfile", DEPLOY / "Dockerfile.nvidia"]


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def names(requirements: list[str]) -> set[str]:
    return {Requirement(each).name for each in requirements}


def test_the_monitor_is_installed_without_pytorch_and_the_extras_bring_it() -> None:
    """The containers install this list too: there is no other one."""
    extras = project()["optional-dependencies"]
    heavy = {"torch", "safetensors", "matplotlib", "onnx", "onnxscript"}
    served = {"segno", "starlette", "uvicorn"}
    assert not {*heavy, *served, "mne", "pyxdf"} & names(project()["dependencies"])
    assert "onnxruntime" in names(project()["dependencies"])
    assert heavy == names(extras["train"])
    assert {"torch", "safetensors"} == names(extras["cuda"])
    assert {"mne", "pyxdf"} == names(extras["formats"])
    assert served == names(extras["web"])
    assert "sleep-monitor[train,formats,mqtt,osc,web]" in extras["dev"]
    assert "sleep-monitor[cuda]" in extras["trt"]
    torch = {each for extra in extras.values() for each in extra if each.startswith("torch>")}
    assert len(torch) == 1  # One bound for all extras.


def test_no_python_is_too_new() -> None:
    assert project()["requires-python"] == ">=3.11"


def test_the_wheel_contains_the_page_for_the_phone() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "web/static/*" in patterns["package-data"]["monitor"]
    assert (ROOT / "monitor" / "web" / "static" / "page.html").is_file()


def test_the_wheel_contains_the_exported_networks() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    (pattern,) = [each for each in patterns["package-data"]["models"] if "default" in each]
    shipped = {path.name for path in (ROOT / "models").glob(pattern)}
    for gain in Gain:
        assert {path.name for path in graph_files(default_weights(gain))} <= shipped


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
    assert variables == {"config", "redis"}
    assert variables <= {*Settings.model_fields, "config"}


def test_the_project_supports_the_python_of_the_image() -> None:
    versions = re.findall(r"^FROM python:([\d.]+)", DOCKERFILES[0].read_text(), re.M)
    supported = SpecifierSet(project()["requires-python"])
    assert versions and all(supported.contains(version) for version in versions)


LOCKED = re.compile(r"^([a-z0-9-]+)==([^ ;]+)(?: ; (.*?))? \\$", re.M)


def test_the_lock_covers_every_dependency_within_its_bounds() -> None:
    """`deploy/lock` writes it anew after a change of the dependencies."""
    locked: dict[str, list[str]] = {}
    for name, version, _ in LOCKED.findall((DEPLOY / "requirements.lock").read_text()):
        locked.setdefault(name, []).append(version)
    for each in map(Requirement, project()["dependencies"]):
        assert locked[each.name], each
        assert all(each.specifier.contains(version) for version in locked[each.name]), each


@pytest.mark.parametrize("lock", ["requirements.lock", "build.lock", "arm.lock"])
def test_every_locked_package_has_hashes_and_an_exact_version(lock: str) -> None:
    text = (DEPLOY / lock).read_text()
    packages = re.split(r"^(?=[a-z])", text, flags=re.M)[1:]
    assert packages
    for package in packages:
        assert LOCKED.match(package), package
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", package)


def test_every_dependency_has_an_upper_bound() -> None:
    """The next major release of a library may break what the monitor uses."""
    extras = project()["optional-dependencies"]
    bounded = [extras[name] for name in ("train", "cuda", "trt", "formats")]
    for each in [*project()["dependencies"], *(each for extra in bounded for each in extra)]:
        requirement = Requirement(each)
        assert requirement.name == "sleep-monitor" or "<" in str(requirement.specifier), each


def test_the_container_and_the_service_install_by_hash() -> None:
    install = "pip install --require-hashes -r"
    assert f"{install} /locks/requirements.lock" in DOCKERFILES[0].read_text()
    assert f"{install} deploy/requirements.lock" in (DEPLOY / "INSTALL.md").read_text()
