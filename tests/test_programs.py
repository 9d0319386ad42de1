"""The commands run with the project's own packages, whatever else has their names."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from monitor.programs import COMMANDS, PACKAGES, child_command
from tests.source_tree import ROOT, imports, modules

START = ROOT / "monitor" / "cli" / "start" / "sleep_monitor_start"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Return a folder with packages and modules of our names, and of those that we import."""
    folder = tmp_path / "hostile"
    for name in ("monitor", "models", "deploy", "numpy"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise SystemExit('{name} is shadowed')")
    for name in ("redis", "rich", "typer", "logging", "socket", "platformdirs"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} is shadowed')")
    return folder


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder of installed packages, as pip lays them out, and the script `command`."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for name in PACKAGES:
        (folder / name).symlink_to(ROOT / name)
    (folder / START.name).symlink_to(START)
    (folder / "command").write_text(
        f"import sys\nsys.path.append({str(folder)!r})\n"
        "import sleep_monitor_start\n"
        "getattr(sleep_monitor_start, sys.argv.pop(1))()\n"
    )
    return folder


def run(command: list[str], cwd: Path, *pythonpath: Path | str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, pythonpath))}
    return subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=60
    )


def test_the_installed_commands_begin_in_a_package_of_a_unique_name() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert {each.partition(":")[0] for each in scripts.values()} == {START.name}
    assert scripts.keys() == COMMANDS.keys()
    filled = [
        each.parent.name
        for each in ROOT.glob("*/__init__.py")
        if each.parent.name in PACKAGES and each.stat().st_size
    ]
    assert filled == ["monitor"], "monitor/programs.py does not run these files"
    # This one only offers `from monitor import score` to others: no program needs it.
    offered = ast.parse((ROOT / "monitor" / "__init__.py").read_text(encoding="utf-8"))
    assert [each.name for each in ast.walk(offered) if isinstance(each, ast.FunctionDef)] == [
        "__getattr__"
    ]
    assert not any(
        name in ("monitor.score", "monitor.Score")
        for package in PACKAGES
        for _, path in modules(package)
        for name in imports(path)
    )


@pytest.mark.parametrize("program", ["monitor", "train", "deploy"])
def test_neither_pythonpath_nor_the_current_folder_shadows(
    installed: Path, hostile: Path, program: str
) -> None:
    command = [sys.executable, str(installed / "command"), program, "--help"]
    found = run(command, hostile, "", hostile)  # "" is the current folder
    assert (found.returncode, found.stderr) == (0, "")
    assert "Usage" in found.stdout


def test_a_command_stages_among_hostile_names(installed: Path, hostile: Path) -> None:
    command = [sys.executable, str(installed / "command"), "monitor", "--version"]
    found = run(command, hostile, hostile)
    assert "backend onnx" in found.stdout, found.stderr


def test_a_child_process_runs_our_module_among_hostile_names(hostile: Path) -> None:
    (hostile / "types.py").write_text("raise SystemExit('types is shadowed')")
    found = run(child_command("monitor.cli", "live", "--help"), hostile)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_module_of_another_package_is_named_in_one_line(installed: Path, tmp_path: Path) -> None:
    """Two distributions that install into the same folder overwrite one another's files."""
    (installed / "monitor").unlink()
    (installed / "monitor" / "cli").mkdir(parents=True)
    (installed / "monitor" / "cli" / "__init__.py").write_text("from monitor import display")
    (installed / "monitor" / "programs.py").symlink_to(ROOT / "monitor" / "programs.py")
    found = run([sys.executable, str(installed / "command"), "monitor", "--help"], tmp_path)
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert line.startswith("sleep-monitor: cannot import name 'display' from 'monitor'")
    assert "into an environment of its own" in line
